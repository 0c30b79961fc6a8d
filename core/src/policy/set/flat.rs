//! One pack with its parents, laid flat for a stretch of days on which nothing changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::ids::{DomainId, Jurisdiction};
use crate::policy::domains::DomainSet;
use crate::policy::effective::Policy;
use crate::policy::file::{PackFile, PackHash, STRICT_ID};
use crate::policy::vocabulary::Factor;

/// A pack that took part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackRef {
    /// The pack, or `STRICT`.
    pub pack: Arc<str>,
    /// Its version; 0 of STRICT.
    pub version: u32,
    /// The hash of its canonical content.
    pub hash: PackHash,
}

impl PackRef {
    /// The built-in bottom.
    #[must_use]
    pub fn strict() -> Self {
        Self { pack: STRICT_ID.into(), version: 0, hash: PackHash::of(STRICT_ID) }
    }
}

impl fmt::Display for PackRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {} {}", self.pack, self.version, self.hash)
    }
}

/// A pack with its parents.
#[derive(Debug, Clone, PartialEq)]
pub struct Flat {
    /// The pack and its ancestors, itself first.
    pub(crate) chain: Vec<Arc<PackFile>>,
    /// The same, as references.
    pub(crate) refs: Vec<PackRef>,
    /// Values of delegated fields.
    pub(crate) values: BTreeMap<Box<str>, u8>,
    /// Its own domain, or its nearest ancestor's.
    pub(crate) domain: Option<DomainId>,
    /// The meet of the chain.
    pub(crate) policy: Arc<Policy>,
    /// The parent, laid flat by itself.
    pub(crate) parent: Option<Arc<Flat>>,
    /// The pack's id.
    pub(crate) pack: Jurisdiction,
    /// To whom it applies.
    pub(crate) applies: crate::policy::file::Applies,
}

impl Flat {
    /// The pack's id.
    #[must_use]
    pub fn pack(&self) -> &Jurisdiction {
        &self.pack
    }

    /// The pack's file and its ancestors', itself first.
    #[must_use]
    pub fn chain(&self) -> &[Arc<PackFile>] {
        &self.chain
    }

    /// The values of delegated fields, in years.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<Box<str>, u8> {
        &self.values
    }

    /// The domain where its residents' linked data lives.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainId> {
        self.domain.as_ref()
    }

    /// The meet of the pack and its ancestors.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The pack itself if it applies by `factor`, else the nearest ancestor that does.
    pub(crate) fn climb(self: &Arc<Self>, factor: Factor) -> Option<&Arc<Self>> {
        std::iter::successors(Some(self), |flat| flat.parent.as_ref())
            .find(|flat| flat.applies.contains(factor))
    }

    /// Whether `other` is this pack or an ancestor of it.
    pub(crate) fn descends_from(&self, other: &Self) -> bool {
        self.chain.iter().any(|file| file.pack == other.pack)
    }

    /// Domains of store_in and process_in that no mechanism covers.
    pub(crate) fn uncovered(&self) -> DomainSet {
        let fields = self.policy.fields();
        let reach = fields.store_in.union(&fields.process_in);
        let own: DomainSet = self.domain.iter().cloned().collect();
        let covered = (self.chain.iter().flat_map(|file| &file.transfers))
            .fold(own, |covered, transfer| covered.union(&transfer.to));
        reach.intersection(&covered.complement())
    }
}
