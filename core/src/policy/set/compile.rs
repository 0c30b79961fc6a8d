//! A set of packs: strictly for files on a desk, leniently for a running cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::error::{Fault, SetError, SetErrors, Warning};
use super::lay::Faulty as _;
use super::layer::Layer;
use super::warnings;
use crate::ids::Jurisdiction;
use crate::policy::file::{PackFile, PackHash};
use crate::policy::order::Order as _;

/// A pack that was read, or the id of one that could not be.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidate {
    /// A pack that was read.
    Read(Arc<PackFile>),
    /// Whatever other versions of this pack say, it counts as STRICT.
    Unreadable(Jurisdiction),
}

/// Compiled packs. During a roll-out it holds the old and the new at once, and their meet is enforced.
#[derive(Debug, Clone, PartialEq)]
pub struct PackSet {
    pub(super) layers: Vec<Arc<Layer>>,
    warnings: Arc<[Warning]>,
}

impl PackSet {
    /// No packs: every jurisdiction counts as STRICT.
    #[must_use]
    pub fn empty() -> Self {
        Self::lenient([]).0
    }

    /// Compiles packs that must all be right.
    ///
    /// # Errors
    /// [`SetErrors`] with every fault: missing parents, rings, values outside delegated bounds, a version
    /// taken twice, packs that are not age-monotone with their parents, shares that exceed a list.
    pub fn compile(files: impl IntoIterator<Item = PackFile>) -> Result<Self, SetErrors> {
        let read = files.into_iter().map(|file| Candidate::Read(Arc::new(file)));
        let (layer, mut faults) = layer(read, BTreeSet::new());
        faults.extend(crowded(&layer));
        if faults.is_empty() {
            Ok(Self::of(layer))
        } else {
            Err(SetErrors(faults.into_iter().collect()))
        }
    }

    /// Compiles what can be: a pack that is at fault counts as STRICT, and the rest stands. Two packs
    /// whose shares exceed a list are kept; where they meet, STRICT holds.
    pub fn lenient(candidates: impl IntoIterator<Item = Candidate>) -> (Self, Vec<SetError>) {
        let candidates: Vec<Candidate> = candidates.into_iter().collect();
        let (mut layer, mut faults) = (layer(candidates.clone(), BTreeSet::new())).clone();
        let poisoned: BTreeSet<Jurisdiction> =
            faults.iter().filter_map(|fault| fault.pack.parse().ok()).collect();
        if !poisoned.is_empty() {
            layer = self::layer(candidates, poisoned).0;
        }
        faults.extend(crowded(&layer));
        (Self::of(layer), faults.into_iter().collect())
    }

    fn of(layer: Layer) -> Self {
        let warnings = warnings::timeless(&layer).into_iter().collect();
        Self { layers: vec![Arc::new(layer)], warnings }
    }

    /// This set and one more pack.
    ///
    /// # Errors
    /// [`SetErrors`], as [`PackSet::compile`]; this set is unchanged.
    pub fn with(&self, pack: PackFile) -> Result<Self, SetErrors> {
        Self::compile(self.packs().cloned().chain([pack]))
    }

    /// Old and new at once: every decision is made under the meet of both. A jurisdiction whose domain
    /// differs between them counts as STRICT until the roll-out is done.
    #[must_use]
    pub fn during(old: &Self, new: &Self) -> Self {
        let mut layers = new.layers.clone();
        layers.extend(old.layers.iter().filter(|layer| !new.layers.contains(layer)).cloned());
        Self { layers, warnings: Arc::clone(&new.warnings) }
    }

    /// Whether old and new are held at once.
    #[must_use]
    pub fn is_rolling_out(&self) -> bool {
        self.layers.len() > 1
    }

    /// Every pack, by id and version; during a roll-out those of both sets.
    pub fn packs(&self) -> impl Iterator<Item = &PackFile> {
        let files = self.layers.iter().flat_map(|layer| layer.files.values().flatten());
        let unique: BTreeMap<_, &PackFile> =
            files.map(|file| ((&file.pack, file.version, file.hash), &**file)).collect();
        unique.into_values()
    }

    /// One version of a pack, or the highest.
    #[must_use]
    pub fn pack(&self, pack: &Jurisdiction, version: Option<u32>) -> Option<&PackFile> {
        self.packs()
            .filter(|file| file.pack == *pack && version.is_none_or(|v| v == file.version))
            .last()
    }

    /// Packs that count as STRICT because they can't be read or are at fault.
    pub fn unreadable(&self) -> impl Iterator<Item = &Jurisdiction> {
        self.layers.iter().flat_map(|layer| &layer.poisoned)
    }

    /// What an officer should know, whatever the day.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What an officer should know on a day: reviews that are due, packs and mechanisms that have ended.
    #[must_use]
    pub fn warnings_on(&self, day: jiff::civil::Date) -> Vec<Warning> {
        self.packs().flat_map(|file| warnings::on(file, day)).collect()
    }

    /// A hash over all packs held, for comparing what two nodes enforce.
    #[must_use]
    pub fn fingerprint(&self) -> PackHash {
        let mut all = String::new();
        for file in self.packs() {
            // Writing to a String can't fail.
            let _ = writeln!(all, "{} {} {}", file.pack, file.version, file.hash);
        }
        for pack in self.unreadable() {
            let _ = writeln!(all, "{pack} unreadable");
        }
        PackHash::of(&all)
    }
}

fn layer(
    candidates: impl IntoIterator<Item = Candidate>,
    mut poisoned: BTreeSet<Jurisdiction>,
) -> (Layer, BTreeSet<SetError>) {
    let mut files: BTreeMap<Jurisdiction, Vec<Arc<PackFile>>> = BTreeMap::new();
    for candidate in candidates {
        match candidate {
            Candidate::Read(file) => files.entry(file.pack.clone()).or_default().push(file),
            Candidate::Unreadable(pack) => {
                poisoned.insert(pack);
            }
        }
    }
    for versions in files.values_mut() {
        versions.sort_by_key(|file| (file.version, file.hash));
    }
    Layer::build(files, poisoned)
}

/// Pairs of packs whose shares no list can satisfy together.
fn crowded(layer: &Layer) -> BTreeSet<SetError> {
    let mut faults = BTreeSet::new();
    for flats in layer.by_stretch() {
        let sharing: Vec<_> =
            flats.iter().filter(|flat| !flat.policy.fields().local_share.0.is_empty()).collect();
        for (i, one) in sharing.iter().enumerate() {
            for other in sharing.iter().skip(i + 1) {
                let shares = &one.policy.fields().local_share;
                let met = shares.meet(&other.policy.fields().local_share);
                if let (true, Some(leaf)) = (met.infeasible(), one.chain.first()) {
                    let (sum, other) = (met.needed().to_string(), other.pack.to_string());
                    faults.insert(leaf.fault(Fault::Shares { sum, other }));
                }
            }
        }
    }
    faults
}
