//! The log as its groups see it: append, truncate, purge, vote, read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::Position;
use super::disk::Disk;
use super::error::LogError;
use super::gc;
use super::index::{GroupIndex, Index};
use super::record::{RECORD_BYTES_MAX, Record};
use super::replay;
use super::shared::{Closer, Found, Job, Shared, job};
use super::writer::{Need, Writer};
use crate::store::data_dir::DirectoryId;

/// Called once what it came with is durable, or can't be made so.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriterMode {
    /// A thread of its own.
    #[default]
    Thread,
    /// Whoever calls: for simulations, whose every step must have its place.
    Inline,
    /// Whoever calls [`SegmentLog::write_queued`]: for simulations of a disk that takes its time.
    Driven,
}

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes after which a new segment begins.
    pub segment_bytes: u64,
    /// Bytes of recent entries kept in memory.
    pub cache_bytes: usize,
    /// Bytes that may be queued for the writer; beyond them [`SegmentLog::admit`] waits.
    pub queue_bytes: usize,
    /// Who writes.
    pub writer: WriterMode,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            // A node has several logs; a follower farther behind is served from the segments.
            cache_bytes: 8 << 20,
            queue_bytes: 32 << 20,
            writer: WriterMode::Thread,
        }
    }
}

/// An entry, as opaque to the log as can be.
#[derive(Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its position.
    pub at: Position,
    /// What it says. It may be personal.
    pub body: Bytes,
}

impl std::fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogEntry({:?}, {} bytes)", self.at, self.body.len())
    }
}

/// The log of a node. Clones share it; with the last one it is closed.
#[derive(Clone)]
pub struct SegmentLog {
    shared: Arc<Shared>,
    _closer: Arc<Closer>,
}

impl std::fmt::Debug for SegmentLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SegmentLog")
    }
}

/// Room in the queue, given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    _permit: OwnedSemaphorePermit,
}

/// Bytes that one permit of the queue's semaphore stands for.
const UNIT_BYTES: usize = 1024;

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).max(1)
}

impl SegmentLog {
    /// Opens the log in `directory`, or makes it: reads all of it, cuts off a torn end.
    ///
    /// # Errors
    /// [`LogError`] naming file and offset when something durable is damaged or missing.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        id: DirectoryId,
        options: LogOptions,
    ) -> Result<Self, LogError> {
        let replayed = replay::open(&*disk, directory, &id, options.cache_bytes)?;
        let writer = Writer::new(disk, directory.into(), id, options.segment_bytes, &replayed)?;
        let shared = Shared::new(replayed, writer, options.writer, units(options.queue_bytes));
        let closer = Closer::start(shared.clone(), directory)?;
        Ok(Self { _closer: Arc::new(closer), shared })
    }

    /// Waits until something is queued, under [`WriterMode::Driven`].
    pub async fn queued(&self) {
        self.shared.stirred.notified().await;
    }

    /// Writes what is queued, under [`WriterMode::Driven`].
    pub fn write_queued(&self) {
        self.shared.pump();
    }

    /// Waits until `bytes` more may be queued.
    ///
    /// # Errors
    /// [`LogError::Closed`] when the log is closed.
    pub async fn admit(&self, bytes: usize) -> Result<Admission, LogError> {
        let wanted = units(bytes).min(self.shared.queue_units);
        let permit = self.shared.room.clone().acquire_many_owned(wanted).await;
        permit.map(|permit| Admission { _permit: permit }).map_err(|_| LogError::Closed)
    }

    /// Appends entries. They can be read when this returns, and are durable when `done` is called.
    ///
    /// # Errors
    /// [`LogError`] when they do not follow what is there or the log has failed; nothing is then
    /// written, and `done` is not called.
    pub fn append(
        &self,
        group: &Arc<str>,
        entries: Vec<LogEntry>,
        done: Done,
    ) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        check_entries(&state.index, group, &entries)?;
        let mut done = Some(done);
        let last = entries.len().saturating_sub(1);
        if entries.is_empty() {
            state.queue.push(job(Record::Mark, Need::Durable, done.take()));
        }
        for (nth, entry) in entries.into_iter().enumerate() {
            let key = state.index.append(group, entry.at, entry.body.clone());
            let record = Record::Entry { group: group.clone(), at: entry.at, body: entry.body };
            let done = if nth == last { done.take() } else { None };
            state.queue.push(Job { entry: Some(key), ..job(record, Need::Durable, done) });
        }
        self.shared.wake(state);
        Ok(())
    }

    /// Sets the vote of a group.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed; `done` is then not called.
    pub fn save_vote(&self, group: &Arc<str>, vote: Bytes, done: Done) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        state.index.group(group).hard.vote = Some(vote.clone());
        let record = Record::Vote { group: group.clone(), vote };
        state.queue.push(job(record, Need::Durable, Some(done)));
        self.shared.wake(state);
        Ok(())
    }

    /// Notes how far a group has committed. It may be lost with the power: it can be learned again.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub fn save_committed(&self, group: &Arc<str>, at: Option<Position>) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        state.index.group(group).hard.committed = at;
        let record = Record::Committed { group: group.clone(), at };
        state.queue.push(job(record, Need::Written, None));
        self.shared.wake(state);
        Ok(())
    }

    /// Voids the entries from `from` on.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed; `done` is then not called.
    pub fn truncate(&self, group: &Arc<str>, from: u64, done: Done) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        state.index.truncate(group, from);
        let record = Record::Truncate { group: group.clone(), from };
        state.queue_removal(job(record, Need::Durable, Some(done)));
        self.shared.wake(state);
        Ok(())
    }

    /// Gives up the entries up to `upto`.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed; `done` is then not called.
    pub fn purge(&self, group: &Arc<str>, upto: Position, done: Done) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        state.index.purge(group, upto);
        let record = Record::Purge { group: group.clone(), upto };
        state.queue_removal(job(record, Need::Durable, Some(done)));
        self.shared.wake(state);
        Ok(())
    }

    /// Removes all that is known of a group, vote included: only for a member that has left it and
    /// would come back under another raft id.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed; `done` is then not called.
    pub fn forget(&self, group: &Arc<str>, done: Done) -> Result<(), LogError> {
        let mut state = self.shared.writable()?;
        state.index.forget(group);
        let record = Record::Forget { group: group.clone() };
        state.queue_removal(job(record, Need::Durable, Some(done)));
        self.shared.wake(state);
        Ok(())
    }

    /// The entries of a range, as far as they are there and do not exceed `bytes_max`, but at least
    /// one. May block on the disk for entries that are no longer in memory.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed, or an entry is damaged.
    pub fn read(
        &self,
        group: &str,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, LogError> {
        let hole = |index| LogError::Hole { group: group.to_owned(), index };
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        for (at, found) in self.shared.healthy()?.find(group, range) {
            let body = match found {
                Found::Cached(body) => body,
                Found::Written(segment, place) => gc::read(&segment, place)?,
                Found::Nowhere => return Err(hole(at.index)),
            };
            bytes = bytes.saturating_add(body.len());
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(LogEntry { at, body });
        }
        Ok(entries)
    }

    /// The vote of a group.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub fn vote(&self, group: &str) -> Result<Option<Bytes>, LogError> {
        self.of(group, |g| g.hard.vote.clone())
    }

    /// How far a group was last known to have committed.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub fn committed(&self, group: &str) -> Result<Option<Position>, LogError> {
        self.of(group, |g| g.hard.committed)
    }

    /// The last entry that a group has given up.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub fn purged(&self, group: &str) -> Result<Option<Position>, LogError> {
        self.of(group, |g| g.hard.purged)
    }

    /// The last entry of a group, or the last that it has given up.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub fn last(&self, group: &str) -> Result<Option<Position>, LogError> {
        self.of(group, GroupIndex::last)
    }

    /// The groups of which anything is known.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<str>> {
        self.shared.state().index.groups.keys().cloned().collect()
    }

    /// How many segment files there are.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.shared.state().segments.len()
    }

    fn of<T>(
        &self,
        group: &str,
        get: impl FnOnce(&GroupIndex) -> Option<T>,
    ) -> Result<Option<T>, LogError> {
        Ok(self.shared.healthy()?.index.groups.get(group).and_then(get))
    }
}

fn check_entries(index: &Index, group: &Arc<str>, entries: &[LogEntry]) -> Result<(), LogError> {
    let Some(first) = entries.first() else { return Ok(()) };
    index.check_follows(group, first.at.index)?;
    for (one, next) in entries.iter().zip(entries.iter().skip(1)) {
        if one.at.index.checked_add(1) != Some(next.at.index) {
            let (last, found) = (one.at.index, next.at.index);
            return Err(LogError::NotConsecutive { group: group.to_string(), last, found });
        }
    }
    // Room for the frame, the group's name and the position.
    let max = RECORD_BYTES_MAX - 1024;
    match entries.iter().map(|entry| entry.body.len()).find(|bytes| *bytes > max) {
        Some(bytes) => Err(LogError::TooLarge { group: group.to_string(), bytes, max }),
        None => Ok(()),
    }
}
