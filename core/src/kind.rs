//! The nine kinds of failure. Transports map them once; nothing parses error text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller may conclude from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is malformed: mend it.
    Invalid,
    /// Who is asking is not proved.
    Unauthenticated,
    /// Proved, but not allowed.
    Refused,
    /// There is no such thing.
    NotFound,
    /// What the request builds on has changed: read again.
    Stale,
    /// Shed to protect the rest: retry later.
    Overloaded,
    /// Not possible now, and proved free of side effects.
    Unavailable,
    /// The outcome is unknown: retry only with the same request id.
    Uncertain,
    /// A fault of this system.
    Broken,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Refused,
        Self::NotFound,
        Self::Stale,
        Self::Overloaded,
        Self::Unavailable,
        Self::Uncertain,
        Self::Broken,
    ];

    /// The name used in answers and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Stale => "stale",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Uncertain => "uncertain",
            Self::Broken => "broken",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Refused => 403,
            Self::NotFound => 404,
            Self::Stale => 409,
            Self::Overloaded => 429,
            Self::Unavailable => 503,
            Self::Uncertain => 504,
            Self::Broken => 500,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
