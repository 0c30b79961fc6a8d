//! Packs compiled: for every stretch of days on which nothing changes, each pack laid flat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::error::{Fault, SetError};
use super::flat::{Flat, PackRef};
use super::lay::{self, Faulty};
use crate::ids::Jurisdiction;
use crate::policy::effective::Policy;
use crate::policy::file::PackFile;

/// Why a jurisdiction counts as STRICT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Neither it nor a prefix of it has a pack.
    Unknown,
    /// No version of it, or of an ancestor, is in force on the day.
    NotInForce,
    /// It, or an ancestor, is past its review by more than 90 days.
    Expired,
    /// It, or an ancestor, can't be read or is at fault.
    Unreadable,
    /// Neither it nor an ancestor applies to such a request.
    AppliesToNobody,
    /// Its roll-out moves people to another domain; until it is done, nothing is read or stored.
    Moving,
}

type Entry = Result<Arc<Flat>, Why>;

/// One set of packs, compiled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    pub(super) files: BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>,
    /// Packs that count as STRICT whatever their files say.
    pub(super) poisoned: BTreeSet<Jurisdiction>,
    /// Stretches of days, each with its first day.
    stretches: Vec<(Date, BTreeMap<Box<str>, Entry>)>,
    pub(super) strict: Arc<Policy>,
}

impl Layer {
    /// Lays out every pack for every stretch; faults of packs are returned, and such a pack is STRICT.
    pub(super) fn build(
        files: BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>,
        poisoned: BTreeSet<Jurisdiction>,
    ) -> (Self, BTreeSet<SetError>) {
        let mut faults = structure(&files);
        let mut memo = BTreeMap::new();
        let mut stretches = Vec::new();
        for day in first_days(&files) {
            let mut entries = BTreeMap::new();
            for pack in files.keys().chain(&poisoned) {
                let entry = entry(&files, &poisoned, pack, day, &mut memo, &mut faults);
                entries.insert(pack.as_str().into(), entry);
            }
            stretches.push((day, entries));
        }
        let mut layer = Self { files, poisoned, stretches, strict: Arc::new(Policy::strict()) };
        layer.strict = Arc::new(Policy::strict_among(layer.flats().map(|flat| &*flat.policy)));
        (layer, faults)
    }

    /// Every flat pack of every stretch.
    fn flats(&self) -> impl Iterator<Item = &Arc<Flat>> {
        self.stretches
            .iter()
            .flat_map(|(_, entries)| entries.values())
            .filter_map(|e| e.as_ref().ok())
    }

    /// The flat packs of each stretch.
    pub(super) fn by_stretch(&self) -> impl Iterator<Item = Vec<&Arc<Flat>>> {
        self.stretches
            .iter()
            .map(|(_, entries)| entries.values().filter_map(|e| e.as_ref().ok()).collect())
    }

    /// The pack of a jurisdiction on a day: its own, or that of its longest prefix that has one.
    pub(super) fn find(&self, jurisdiction: &Jurisdiction, on: Date) -> Entry {
        let after = self.stretches.partition_point(|(first, _)| *first <= on);
        let Some((_, entries)) = after.checked_sub(1).and_then(|i| self.stretches.get(i)) else {
            return Err(Why::Unknown);
        };
        jurisdiction
            .prefixes()
            .find_map(|prefix| entries.get(prefix))
            .cloned()
            .unwrap_or(Err(Why::Unknown))
    }
}

/// The days on which a version starts or ends, a pack expires, or a transfer mechanism has ended.
fn first_days(files: &BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>) -> BTreeSet<Date> {
    let mut days = BTreeSet::from([Date::MIN]);
    for file in files.values().flatten() {
        days.insert(file.effective_from);
        days.extend(file.effective_to.and_then(|last| last.tomorrow().ok()));
        days.extend(file.expires_on());
        let ends = file.transfers.iter().filter_map(|transfer| transfer.valid_until);
        days.extend(ends.filter_map(|last| last.tomorrow().ok()));
    }
    days
}

type Memo = BTreeMap<(Vec<PackRef>, Vec<bool>), Result<Arc<Flat>, Vec<Fault>>>;

fn entry(
    files: &BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>,
    poisoned: &BTreeSet<Jurisdiction>,
    pack: &Jurisdiction,
    day: Date,
    memo: &mut Memo,
    faults: &mut BTreeSet<SetError>,
) -> Entry {
    let chain = chain(files, poisoned, pack, day)?;
    let parent = match chain.get(1) {
        Some(parent) => Some(entry(files, poisoned, &parent.pack, day, memo, faults)?),
        None => None,
    };
    let refs: Vec<PackRef> = chain.iter().map(|file| reference(file)).collect();
    let ended = chain.iter().flat_map(|f| f.transfers.iter().map(|t| t.holds_on(day))).collect();
    let laid = memo
        .entry((refs.clone(), ended))
        .or_insert_with(|| lay::flat(&chain, refs, parent, day).map(Arc::new));
    match (laid, chain.first()) {
        (Ok(flat), _) => Ok(Arc::clone(flat)),
        (Err(found), leaf) => {
            faults.extend(leaf.into_iter().flat_map(|leaf| leaf.faults(found)));
            Err(Why::Unreadable)
        }
    }
}

pub(super) fn reference(file: &PackFile) -> PackRef {
    PackRef { pack: file.pack.as_str().into(), version: file.version, hash: file.hash }
}

/// The versions in force of a pack and its ancestors, itself first.
fn chain(
    files: &BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>,
    poisoned: &BTreeSet<Jurisdiction>,
    pack: &Jurisdiction,
    day: Date,
) -> Result<Vec<Arc<PackFile>>, Why> {
    let mut chain: Vec<Arc<PackFile>> = Vec::new();
    let mut next = Some(pack);
    while let Some(pack) = next {
        let looped = chain.iter().any(|file| file.pack == *pack);
        if looped || poisoned.contains(pack) {
            return Err(Why::Unreadable);
        }
        let versions = files.get(pack).ok_or(Why::Unreadable)?;
        let file = in_force(versions, day).ok_or(Why::NotInForce)?;
        if file.expires_on().is_some_and(|expires| expires <= day) {
            return Err(Why::Expired);
        }
        chain.push(Arc::clone(file));
        next = file.inherits.as_ref();
    }
    Ok(chain)
}

/// Of several versions in force: the latest `effective_from`, then the highest version.
pub(super) fn in_force(versions: &[Arc<PackFile>], day: Date) -> Option<&Arc<PackFile>> {
    versions
        .iter()
        .filter(|file| file.effective_from <= day)
        .filter(|file| file.effective_to.is_none_or(|last| day <= last))
        .max_by_key(|file| (file.effective_from, file.version))
}

/// Faults that need no dates: versions taken twice, missing parents, rings.
fn structure(files: &BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>) -> BTreeSet<SetError> {
    let mut faults = BTreeSet::new();
    for (pack, versions) in files {
        let mut taken = BTreeSet::new();
        for file in versions {
            if !taken.insert(file.version) {
                faults.insert(file.fault(Fault::SameVersion));
            }
            let Some(parent) = &file.inherits else { continue };
            if !files.contains_key(parent) {
                faults.insert(file.fault(Fault::NoParent { parent: parent.to_string() }));
            } else if reaches(files, parent, pack) {
                faults.insert(file.fault(Fault::Cycle { by: parent.to_string() }));
            }
        }
    }
    faults
}

/// Whether `pack` is among the ancestors of `from`, by any version.
fn reaches(
    files: &BTreeMap<Jurisdiction, Vec<Arc<PackFile>>>,
    from: &Jurisdiction,
    pack: &Jurisdiction,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        if next == pack {
            return true;
        }
        if seen.insert(next) {
            open.extend(files.get(next).into_iter().flatten().filter_map(|f| f.inherits.as_ref()));
        }
    }
    false
}
