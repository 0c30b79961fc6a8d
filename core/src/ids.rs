//! Validated names. Each is parsed once, at the edge, and is valid from then on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The name has no characters.
    #[error("{what} is empty")]
    Empty {
        /// What kind of name it is.
        what: &'static str,
    },
    /// The name is longer than its limit.
    #[error("{what} has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// What kind of name it is.
        what: &'static str,
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The name holds a character outside its alphabet.
    #[error("{what} has a character that is not allowed at byte {at} ({allowed})")]
    Character {
        /// What kind of name it is.
        what: &'static str,
        /// Byte offset of the first offender.
        at: usize,
        /// The alphabet, in words.
        allowed: &'static str,
    },
    /// A number outside its range.
    #[error("{what} is {found}, it must be below {bound}")]
    Range {
        /// What kind of number it is.
        what: &'static str,
        /// The number found.
        found: u64,
        /// The exclusive bound.
        bound: u64,
    },
    /// The text of a group id could not be read.
    #[error("`{text}` is not a group (control, catalog-<n>, users-<domain>-<n>)")]
    Group {
        /// The text, shortened.
        text: String,
    },
}

fn check(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    ok: fn(char) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > max {
        return Err(IdError::TooLong { what, len: text.len(), max });
    }
    match text.char_indices().find(|(_, c)| !ok(*c)) {
        Some((at, _)) => Err(IdError::Character { what, at, allowed }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:literal, $ok:expr, $debug:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and keeps the text.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long or has a character that is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($what, &text, $max, $allowed, $ok)?;
                Ok(Self(text.into_boxed_str()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&str, &mut fmt::Formatter<'_>) -> fmt::Result = $debug;
                show(&self.0, f)
            }
        }
    };
}

macro_rules! display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn plain(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(text)
}

fn redacted(_: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[redacted]")
}

fn label(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn printable(c: char) -> bool {
    !c.is_control()
}

text_id!(
    /// Whose law: `EU-DE`. Well-formed is not known: a jurisdiction without a pack counts as STRICT.
    Jurisdiction, "jurisdiction", limits::JURISDICTION_BYTES_MAX,
    "letters, digits and `-`", |c| c.is_ascii_alphanumeric() || c == '-', plain
);
text_id!(
    /// A residency domain, the places among which pinned data may live together: `eu`.
    DomainId, "domain", limits::LABEL_BYTES_MAX, "lower-case letters, digits and `-`", label, plain
);
text_id!(
    /// A place where nodes stand, inside exactly one domain: `eu-west`.
    RegionId, "region", limits::LABEL_BYTES_MAX, "lower-case letters, digits and `-`", label, plain
);
text_id!(
    /// The name of one process: `eu-west-1`.
    NodeName, "node name", limits::LABEL_BYTES_MAX, "lower-case letters, digits and `-`", label, plain
);
text_id!(
    /// The cluster's name, the trust domain of its certificates.
    ClusterName, "cluster name", limits::LABEL_BYTES_MAX, "lower-case letters, digits and `-`", label, plain
);
text_id!(
    /// An item of the catalogue.
    ItemId, "item id", limits::ITEM_ID_BYTES_MAX, "no control characters", printable, plain
);
text_id!(
    /// A person's `sub`, as the token says it. Personal: redacted in `Debug`, no `Display`.
    Subject, "sub", limits::SUBJECT_BYTES_MAX, "no control characters", printable, redacted
);
text_id!(
    /// A token's issuer.
    Issuer, "issuer", limits::ISSUER_BYTES_MAX, "no control characters", printable, plain
);
text_id!(
    /// The id an app gave an event. It may be linked to a person: redacted in `Debug`.
    EventId, "event id", limits::EVENT_ID_BYTES_MAX, "no control characters", printable, redacted
);
display!(Jurisdiction, DomainId, RegionId, NodeName, ClusterName, ItemId, Issuer);

impl Jurisdiction {
    /// The id itself and its ever shorter prefixes, cut at `-`: `EU-DE`, then `EU`.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |text| {
            text.rfind('-').and_then(|at| text.get(..at))
        })
    }
}

/// One of the [`limits::SLOTS`] buckets that people fall into by a keyed hash whose key never leaves home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// Checks the range.
    ///
    /// # Errors
    /// [`IdError::Range`] from [`limits::SLOTS`] on.
    pub fn new(number: u16) -> Result<Self, IdError> {
        if number < limits::SLOTS {
            Ok(Self(number))
        } else {
            Err(IdError::Range { what: "slot", found: number.into(), bound: limits::SLOTS.into() })
        }
    }

    /// The slot of a keyed hash: its first eight bytes, big-endian, modulo the number of slots.
    #[must_use]
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *hash;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(limits::SLOTS);
        Self(u16::try_from(number).unwrap_or_default())
    }

    /// The number, below [`limits::SLOTS`].
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// One Raft group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GroupId {
    /// Packs, slots, nodes, versions.
    Control,
    /// Items; manifests of models and indexes.
    Catalog(u16),
    /// Profiles, consent, events: pinned to `domain`.
    Users {
        /// The domain whose people live here.
        domain: DomainId,
        /// The group's number inside the domain.
        number: u16,
    },
}

impl GroupId {
    /// The domain that the group's data is pinned to; none when it may stand anywhere.
    #[must_use]
    pub fn pinned_to(&self) -> Option<&DomainId> {
        match self {
            Self::Control | Self::Catalog(_) => None,
            Self::Users { domain, .. } => Some(domain),
        }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Catalog(n) => write!(f, "catalog-{n}"),
            Self::Users { domain, number } => write!(f, "users-{domain}-{number}"),
        }
    }
}

impl FromStr for GroupId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Group { text: text.chars().take(80).collect() };
        if text == "control" {
            return Ok(Self::Control);
        }
        let (head, number) = text.rsplit_once('-').ok_or_else(bad)?;
        // One spelling a group: `catalog-00` would be a second name of `catalog-0`.
        let number: u16 =
            number.parse().ok().filter(|n: &u16| n.to_string() == number).ok_or_else(bad)?;
        match head.strip_prefix("users-") {
            Some(domain) => {
                let domain = DomainId::new(domain).map_err(|_| bad())?;
                Ok(Self::Users { domain, number })
            }
            None if head == "catalog" => Ok(Self::Catalog(number)),
            None => Err(bad()),
        }
    }
}

impl TryFrom<String> for GroupId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<GroupId> for String {
    fn from(id: GroupId) -> Self {
        id.to_string()
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, stamped by a leader; never read from a clock in the core.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The moment `ms` later (earlier if negative), saturating.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The UTC day this moment falls on, none outside the calendar's range.
    #[must_use]
    pub fn day(self) -> Option<jiff::civil::Date> {
        let moment = jiff::Timestamp::from_millisecond(self.0).ok()?;
        Some(jiff::tz::TimeZone::UTC.to_datetime(moment).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_id_has_one_spelling() {
        for text in ["control", "catalog-0", "users-eu-0", "users-eu-west-12"] {
            assert_eq!(text.parse::<GroupId>().unwrap().to_string(), text);
        }
        for text in
            ["", "catalog", "catalog-00", "catalog--1", "users--0", "users-EU-0", "users-eu-+1"]
        {
            assert!(text.parse::<GroupId>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_refuse_what_could_hurt_later() {
        assert!(ItemId::new("").is_err());
        assert!(ItemId::new("a\0b").is_err());
        assert!(ItemId::new("x".repeat(1_000_000)).is_err());
        assert!(Subject::new("x".repeat(129)).is_err());
        assert!(DomainId::new("EU").is_err());
        assert!(Jurisdiction::new("EU_DE").is_err());
    }

    #[test]
    fn prefixes_shorten_at_the_dash() {
        let id = Jurisdiction::new("US-CA-SF").unwrap();
        assert_eq!(id.prefixes().collect::<Vec<_>>(), ["US-CA-SF", "US-CA", "US"]);
    }

    #[test]
    fn personal_names_do_not_show_in_debug() {
        assert_eq!(format!("{:?}", Subject::new("alice").unwrap()), "[redacted]");
    }
}
