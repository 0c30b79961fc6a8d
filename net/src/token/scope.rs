//! What a token may allow.

use std::fmt;
use std::str::FromStr;

/// One right that a token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Ranked lists.
    Recommend,
    /// Recording events.
    Events,
    /// The person's own controls.
    Person,
    /// A child's controls, by its guardian.
    Guardian,
    /// Changing the catalogue.
    ItemsWrite,
    /// Reading packs.
    PolicyRead,
    /// Drafting packs.
    PolicyWrite,
    /// Approving packs.
    PolicyApprove,
    /// Operating the cluster.
    ClusterAdmin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] = [
        Self::Recommend,
        Self::Events,
        Self::Person,
        Self::Guardian,
        Self::ItemsWrite,
        Self::PolicyRead,
        Self::PolicyWrite,
        Self::PolicyApprove,
        Self::ClusterAdmin,
    ];

    /// The word in the claim `scope`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recommend => "recommend",
            Self::Events => "events",
            Self::Person => "person",
            Self::Guardian => "guardian",
            Self::ItemsWrite => "items:write",
            Self::PolicyRead => "policy:read",
            Self::PolicyWrite => "policy:write",
            Self::PolicyApprove => "policy:approve",
            Self::ClusterAdmin => "cluster:admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a scope, allowed: {allowed}")]
pub struct UnknownScope {
    /// The text, shortened.
    pub found: String,
    /// Every scope.
    pub allowed: String,
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope {
            found: text.chars().take(40).collect(),
            allowed: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}
