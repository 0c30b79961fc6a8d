//! What is wrong, or doubtful, with packs taken together.

use std::fmt;

use crate::ids::Jurisdiction;
use crate::kind::Kind;

/// One fault of a pack among others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{pack} version {version}: {fault}")]
pub struct SetError {
    /// The pack.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a pack among others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// Two files have the same pack and version.
    #[error("the version is taken by another file")]
    SameVersion,
    /// The parent has no file.
    #[error("inherits {parent}, which has no pack")]
    NoParent {
        /// The parent named.
        parent: String,
    },
    /// The parents form a ring.
    #[error("inherits itself by way of {by}")]
    Cycle {
        /// A member of the ring.
        by: String,
    },
    /// A value is set that no ancestor delegates.
    #[error("sets `{name}`, which no ancestor delegates")]
    NotDelegated {
        /// The field.
        name: String,
    },
    /// A field is delegated again below the ancestor that delegates it.
    #[error("delegates `{name}`, which {ancestor} delegates already")]
    DelegatedTwice {
        /// The field.
        name: String,
        /// The ancestor.
        ancestor: String,
    },
    /// A set value is outside the bounds.
    #[error("sets `{name}` to {value}, outside the bounds {min} to {max} of {ancestor}")]
    OutOfBounds {
        /// The field.
        name: String,
        /// The value.
        value: u8,
        /// The least value.
        min: u8,
        /// The largest value.
        max: u8,
        /// The ancestor that delegates it.
        ancestor: String,
    },
    /// Two rules come to start at one age for one service once delegated values are in.
    #[error("rules `{one}` and `{other}` start at the same age for the same service")]
    SameFrom {
        /// A rule.
        one: String,
        /// Another.
        other: String,
    },
    /// A rule starts at a field without a value.
    #[error("rule `{rule}` starts at `{name}`, which no ancestor delegates")]
    NoValue {
        /// The rule.
        rule: String,
        /// The field.
        name: String,
    },
    /// With its parents, the young would be granted more than the old.
    #[error("with its parents, {service} at {age} is laxer than a year later")]
    NotMonotone {
        /// The kind of service.
        service: String,
        /// The younger age.
        age: u8,
    },
    /// With its parents, the primary copy may be stored nowhere.
    #[error("with its parents, primary_copy ({copies}) is not inside store_in ({allowed})")]
    CopyBarred {
        /// Where a copy must be.
        copies: String,
        /// Where one may be.
        allowed: String,
    },
    /// Shares of local items can't be had together.
    #[error("shares of local items that exclude each other sum to {sum}, together with {other}")]
    Shares {
        /// The sum.
        sum: String,
        /// The other pack, or the parents.
        other: String,
    },
}

/// Every fault of a set of packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetErrors(pub Vec<SetError>);

impl SetErrors {
    /// Always [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl fmt::Display for SetErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(SetError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SetErrors {}

/// Something that an officer should know, but that refuses nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The pack.
    pub pack: Jurisdiction,
    /// Its version.
    pub version: u32,
    /// What it is about.
    pub note: Note,
}

/// What a warning can be about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Note {
    /// The pack never expires.
    #[error("has no review_by: it never expires")]
    NoReview,
    /// The day to look again has passed.
    #[error("was due for review by {due}; from {expires} on it counts as STRICT")]
    ReviewDue {
        /// The day.
        due: String,
        /// The first day it counts as STRICT.
        expires: String,
    },
    /// The pack has expired.
    #[error("expired on {expires} and counts as STRICT")]
    Expired {
        /// The first day it counts as STRICT.
        expires: String,
    },
    /// Domains without a transfer mechanism.
    #[error("names no transfer mechanism for: {domains}")]
    NoMechanism {
        /// The domains.
        domains: String,
    },
    /// A mechanism has ended: its domains are taken out of store_in and process_in.
    #[error("the {mechanism} for {domains} ended on {ended}")]
    MechanismEnded {
        /// The mechanism.
        mechanism: String,
        /// Its domains.
        domains: String,
        /// Its last day.
        ended: String,
    },
    /// Together with another pack no length of the decision log satisfies both.
    #[error("with {other}, no decision_log_days satisfy both; {days} days will be used")]
    LogDays {
        /// The other pack.
        other: Jurisdiction,
        /// The days used.
        days: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}: {}", self.pack, self.version, self.note)
    }
}
