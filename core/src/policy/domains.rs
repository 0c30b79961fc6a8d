//! Sets of residency domains, later domains included.

use std::collections::BTreeSet;
use std::fmt;

use crate::ids::DomainId;

/// A set of domains: a list, or everything but a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainSet {
    /// Exactly these.
    Only(BTreeSet<DomainId>),
    /// All but these; a domain founded later is in the set.
    AllExcept(BTreeSet<DomainId>),
}

use DomainSet::{AllExcept, Only};

impl DomainSet {
    /// Every domain.
    #[must_use]
    pub const fn all() -> Self {
        AllExcept(BTreeSet::new())
    }

    /// No domain.
    #[must_use]
    pub const fn none() -> Self {
        Only(BTreeSet::new())
    }

    /// Whether `domain` is in the set.
    #[must_use]
    pub fn contains(&self, domain: &DomainId) -> bool {
        match self {
            Only(named) => named.contains(domain),
            AllExcept(named) => !named.contains(domain),
        }
    }

    /// Whether the set has no domain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::none()
    }

    /// The domains in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Only(a), Only(b)) => Only(a & b),
            (Only(a), AllExcept(b)) | (AllExcept(b), Only(a)) => Only(a - b),
            (AllExcept(a), AllExcept(b)) => AllExcept(a | b),
        }
    }

    /// The domains in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.complement().intersection(&other.complement()).complement()
    }

    /// The domains not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        match self {
            Only(named) => AllExcept(named.clone()),
            AllExcept(named) => Only(named.clone()),
        }
    }

    /// Whether every domain here, or founded later, is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(&other.complement()).is_empty()
    }
}

impl FromIterator<DomainId> for DomainSet {
    fn from_iter<I: IntoIterator<Item = DomainId>>(domains: I) -> Self {
        Only(domains.into_iter().collect())
    }
}

impl fmt::Display for DomainSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |named: &BTreeSet<DomainId>| {
            named.iter().map(DomainId::as_str).collect::<Vec<_>>().join(" ")
        };
        match self {
            Only(named) if named.is_empty() => f.write_str("none"),
            Only(named) => f.write_str(&list(named)),
            AllExcept(named) if named.is_empty() => f.write_str("all"),
            AllExcept(named) => write!(f, "all except {}", list(named)),
        }
    }
}
