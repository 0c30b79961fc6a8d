//! The one that writes: batches to the active segment, and segments one after the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::error::LogError;
use super::index::Place;
use super::record::{self, Hard, Record};
use super::replay::Replayed;
use super::segment::{self, HEADER_BYTES, Segment};
use crate::store::data_dir::DirectoryId;

/// Whether a batch must be durable before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// It may be lost with the power.
    Written,
    /// It may not.
    Durable,
}

pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    id: DirectoryId,
    pub(crate) segment_bytes: u64,
    pub(crate) active: Segment,
    length: u64,
    synced: u64,
    /// The older segments and their lengths.
    pub(crate) sealed: BTreeMap<u64, (Segment, u64)>,
    /// Everything besides entries, as it is on disk.
    hard: BTreeMap<Arc<str>, Hard>,
}

impl Writer {
    /// Writes on where the replay ended.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        id: DirectoryId,
        segment_bytes: u64,
        replayed: &Replayed,
    ) -> Result<Self, LogError> {
        let mut sealed: BTreeMap<_, _> =
            replayed.segments.iter().map(|(s, length)| (s.number, (s.clone(), *length))).collect();
        let (active, length) = match sealed.pop_last() {
            Some((_, last)) => last,
            None => (begin(&*disk, &directory, 1, &id)?, length_of(HEADER_BYTES)),
        };
        let groups = replayed.index.groups.iter();
        let hard = groups.map(|(name, group)| (name.clone(), group.hard.clone())).collect();
        Ok(Self {
            disk,
            directory,
            id,
            segment_bytes,
            active,
            length,
            synced: length,
            sealed,
            hard,
        })
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.sealed.values().map(|(_, length)| length).sum::<u64>() + self.length
    }

    /// Writes records, begins a new segment when the active one is full, and says where each stands.
    pub(crate) fn write(
        &mut self,
        records: &[&Record],
        need: Need,
    ) -> Result<Vec<Place>, LogError> {
        if self.length >= self.segment_bytes {
            self.rotate()?;
        }
        let places = self.append(records)?;
        if need == Need::Durable {
            self.sync()?;
        }
        Ok(places)
    }

    fn append(&mut self, records: &[&Record]) -> Result<Vec<Place>, LogError> {
        let synced = u32::try_from(self.synced).unwrap_or(u32::MAX);
        let mut buffer = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let offset = self.length + length_of(buffer.len());
            let length = record::encode(record, self.active.salt, synced, &mut buffer);
            places.push(Place { segment: self.active.number, offset, length });
        }
        let written = self.active.file.write_at(&buffer, self.length);
        written.map_err(LogError::io("write", &self.active.path))?;
        self.length += length_of(buffer.len());
        records.iter().for_each(|record| note(&mut self.hard, record));
        Ok(places)
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        if self.synced < self.length {
            self.active.file.sync().map_err(LogError::io("sync", &self.active.path))?;
            self.synced = self.length;
        }
        Ok(())
    }

    /// Seals the active segment and begins the next with what is known of each group, so that nothing
    /// but entries is ever needed from an older one.
    fn rotate(&mut self) -> Result<(), LogError> {
        self.sync()?;
        let next = begin(&*self.disk, &self.directory, self.active.number + 1, &self.id)?;
        let old = std::mem::replace(&mut self.active, next);
        self.sealed.insert(old.number, (old, self.length));
        self.length = length_of(HEADER_BYTES);
        self.synced = self.length;
        let states: Vec<Record> = self
            .hard
            .iter()
            .map(|(group, hard)| Record::State { group: group.clone(), hard: hard.clone() })
            .collect();
        self.append(&states.iter().collect::<Vec<_>>())?;
        self.sync()
    }

    /// Removes the oldest segment, once the log says durably that it may be gone: the loss of one
    /// that is needed is then never taken for this. The directory is synced before the next may go,
    /// so that no gap can ever be found.
    pub(crate) fn remove_oldest(&mut self) -> Result<Option<u64>, LogError> {
        let Some((number, (segment, _))) = self.sealed.pop_first() else { return Ok(None) };
        self.append(&[&Record::Released { segment: number }])?;
        self.sync()?;
        self.disk.remove(&segment.path).map_err(LogError::io("remove", &segment.path))?;
        let synced = self.disk.sync_dir(&self.directory);
        synced.map_err(LogError::io("sync", &self.directory))?;
        Ok(Some(number))
    }
}

/// Makes a segment: its header is durable before anything follows it.
fn begin(
    disk: &dyn Disk,
    directory: &std::path::Path,
    number: u64,
    id: &DirectoryId,
) -> Result<Segment, LogError> {
    let segment = segment::create(disk, directory, number, id)?;
    segment.file.sync().map_err(LogError::io("sync", &segment.path))?;
    disk.sync_dir(directory).map_err(LogError::io("sync", directory))?;
    Ok(segment)
}

fn length_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn note(known: &mut BTreeMap<Arc<str>, Hard>, record: &Record) {
    let mut hard = |group: &Arc<str>, change: &dyn Fn(&mut Hard)| {
        change(known.entry(group.clone()).or_default());
    };
    match record {
        Record::Vote { group, vote } => hard(group, &|h| h.vote = Some(vote.clone())),
        Record::Committed { group, at } => hard(group, &|h| h.committed = *at),
        Record::Purge { group, upto } => hard(group, &|h| h.purged = h.purged.max(Some(*upto))),
        Record::Forget { group } => {
            known.remove(group);
        }
        Record::Entry { .. }
        | Record::Truncate { .. }
        | Record::State { .. }
        | Record::Released { .. }
        | Record::Mark => {}
    }
}
