//! Where each group's entries are, and the newest of them in memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Position;
use super::error::LogError;
use super::record::Hard;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) term: u64,
    /// Tells an entry from one that was truncated before it.
    pub(crate) serial: u64,
    /// None until it is written.
    pub(crate) place: Option<Place>,
    /// The entry itself: always until it is written, then as long as the cache has room.
    pub(crate) body: Option<Bytes>,
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct GroupIndex {
    pub(crate) hard: Hard,
    pub(crate) slots: BTreeMap<u64, Slot>,
}

impl GroupIndex {
    /// The last position: of an entry, or the purge marker.
    pub(crate) fn last(&self) -> Option<Position> {
        let last = self.slots.last_key_value();
        last.map(|(index, slot)| Position { term: slot.term, index: *index }).or(self.hard.purged)
    }
}

/// A name for one entry, for as long as it is not truncated.
#[derive(Debug, Clone)]
pub(crate) struct EntryKey {
    pub(crate) group: Arc<str>,
    pub(crate) index: u64,
    pub(crate) serial: u64,
}

/// All groups.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) groups: BTreeMap<Arc<str>, GroupIndex>,
    serial: u64,
    /// Entries in memory, the oldest first; some may be gone.
    cached: VecDeque<EntryKey>,
    cached_bytes: usize,
    cache_bytes_max: usize,
}

impl Index {
    pub(crate) fn new(cache_bytes_max: usize) -> Self {
        Self {
            groups: BTreeMap::new(),
            serial: 0,
            cached: VecDeque::new(),
            cached_bytes: 0,
            cache_bytes_max,
        }
    }

    pub(crate) fn group(&mut self, name: &Arc<str>) -> &mut GroupIndex {
        self.groups.entry(name.clone()).or_default()
    }

    /// Checks that an entry at `index` would follow what is there.
    pub(crate) fn check_follows(&self, name: &Arc<str>, index: u64) -> Result<(), LogError> {
        let last = self.groups.get(name).and_then(GroupIndex::last);
        match last {
            Some(last) if last.index.checked_add(1) != Some(index) => {
                Err(LogError::NotConsecutive {
                    group: name.to_string(),
                    last: last.index,
                    found: index,
                })
            }
            _ => Ok(()),
        }
    }

    /// Adds an entry that is not written yet, and returns its key.
    pub(crate) fn append(&mut self, name: &Arc<str>, at: Position, body: Bytes) -> EntryKey {
        self.serial += 1;
        let key = EntryKey { group: name.clone(), index: at.index, serial: self.serial };
        self.cached_bytes += body.len();
        self.cached.push_back(key.clone());
        let slot = Slot { term: at.term, serial: self.serial, place: None, body: Some(body) };
        self.group(name).slots.insert(at.index, slot);
        key
    }

    /// Adds an entry that was found on disk.
    pub(crate) fn found(&mut self, name: &Arc<str>, at: Position, place: Place) {
        self.serial += 1;
        let slot = Slot { term: at.term, serial: self.serial, place: Some(place), body: None };
        self.group(name).slots.insert(at.index, slot);
    }

    /// Notes where an entry was written, unless it has been truncated since.
    pub(crate) fn placed(&mut self, key: &EntryKey, place: Place) {
        if let Some(slot) = self.slot(key) {
            slot.place = Some(place);
        }
    }

    fn slot(&mut self, key: &EntryKey) -> Option<&mut Slot> {
        let slot = self.groups.get_mut(&key.group)?.slots.get_mut(&key.index)?;
        (slot.serial == key.serial).then_some(slot)
    }

    pub(crate) fn truncate(&mut self, name: &Arc<str>, from: u64) {
        let gone = self.group(name).slots.split_off(&from);
        self.uncount(&gone);
    }

    pub(crate) fn purge(&mut self, name: &Arc<str>, upto: Position) {
        let group = self.group(name);
        group.hard.purged = group.hard.purged.max(Some(upto));
        let kept = group.slots.split_off(&upto.index.saturating_add(1));
        let gone = std::mem::replace(&mut group.slots, kept);
        self.uncount(&gone);
    }

    pub(crate) fn forget(&mut self, name: &Arc<str>) {
        if let Some(gone) = self.groups.remove(name) {
            self.uncount(&gone.slots);
        }
    }

    fn uncount(&mut self, gone: &BTreeMap<u64, Slot>) {
        let bytes: usize = gone.values().filter_map(|s| s.body.as_ref()).map(Bytes::len).sum();
        self.cached_bytes = self.cached_bytes.saturating_sub(bytes);
    }

    /// Lets go of the oldest entries in memory that are on disk, until the cache is within its bound.
    pub(crate) fn evict(&mut self) {
        self.forget_stale_keys();
        while self.cached_bytes > self.cache_bytes_max {
            let Some(key) = self.cached.pop_front() else { return };
            let Some(slot) = self.slot(&key) else { continue };
            if slot.place.is_none() {
                self.cached.push_front(key);
                return;
            }
            let bytes = slot.body.take().map_or(0, |body| body.len());
            self.cached_bytes = self.cached_bytes.saturating_sub(bytes);
        }
    }

    /// Keys of purged entries leave the queue of the cached ones only when it has grown by as many
    /// again as there are entries, so that this costs little.
    fn forget_stale_keys(&mut self) {
        let entries: usize = self.groups.values().map(|group| group.slots.len()).sum();
        if self.cached.len() <= 2 * entries + 1024 {
            return;
        }
        let mut cached = std::mem::take(&mut self.cached);
        cached.retain(|key| self.slot(key).is_some());
        self.cached = cached;
    }

    /// The entries of a range that are there.
    pub(crate) fn entries(&self, name: &str, range: Range<u64>) -> Vec<(Position, Slot)> {
        let Some(group) = self.groups.get(name).filter(|_| range.start < range.end) else {
            return Vec::new();
        };
        let slots = group.slots.range(range);
        slots.map(|(i, slot)| (Position { term: slot.term, index: *i }, slot.clone())).collect()
    }

    /// Every entry that stands on disk.
    pub(crate) fn on_disk(&self) -> impl Iterator<Item = (EntryKey, u64, Place)> {
        self.groups.iter().flat_map(|(name, group)| {
            group.slots.iter().filter_map(|(index, slot)| {
                let (group, index, serial) = (name.clone(), *index, slot.serial);
                Some((EntryKey { group, index, serial }, slot.term, slot.place?))
            })
        })
    }
}
