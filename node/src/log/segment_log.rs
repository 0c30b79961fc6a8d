//! The log as its groups see it: append, truncate, purge, vote, read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Position;
use super::disk::Disk;
use super::error::LogError;
use super::gc::{self, Cleaned};
use super::index::{EntryKey, GroupIndex, Index, Place, Slot};
use super::record::{RECORD_BYTES_MAX, Record};
use super::replay;
use super::segment::Segment;
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
            cache_bytes: 32 << 20,
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

/// Something to be written.
struct Job {
    record: Record,
    entry: Option<EntryKey>,
    need: Need,
    done: Option<Done>,
}

pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Truncations, purges and leavings among the queued.
    pub(crate) removals: usize,
    queue: Vec<Job>,
    fault: Option<LogError>,
    closing: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    writer: Mutex<(Writer, Cleaned)>,
    mode: WriterMode,
    room: Arc<Semaphore>,
    queue_units: u32,
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
        let mut segments: BTreeMap<u64, Segment> =
            replayed.segments.into_iter().map(|(s, _)| (s.number, s)).collect();
        segments.insert(writer.active.number, writer.active.clone());
        let state = State {
            index: replayed.index,
            segments,
            removals: 0,
            queue: Vec::new(),
            fault: None,
            closing: false,
        };
        let queue_units = units(options.queue_bytes);
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            writer: Mutex::new((writer, Cleaned::Later)),
            mode: options.writer,
            room: Arc::new(Semaphore::new(usize::try_from(queue_units).unwrap_or_default())),
            queue_units,
        });
        let thread = match options.writer {
            WriterMode::Inline => None,
            WriterMode::Thread => Some(start(shared.clone(), directory)?),
        };
        Ok(Self { _closer: Arc::new(Closer { shared: shared.clone(), thread }), shared })
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

fn job(record: Record, need: Need, done: Option<Done>) -> Job {
    Job { record, entry: None, need, done }
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

/// Where an entry is to be had. The segment stays readable while this is held.
enum Found {
    Cached(Bytes),
    Written(Segment, Place),
    Nowhere,
}

impl State {
    fn find(&self, group: &str, range: Range<u64>) -> Vec<(Position, Found)> {
        let place = |slot: Slot| match (slot.body, slot.place) {
            (Some(body), _) => Found::Cached(body),
            (None, Some(place)) => match self.segments.get(&place.segment) {
                Some(segment) => Found::Written(segment.clone(), place),
                None => Found::Nowhere,
            },
            (None, None) => Found::Nowhere,
        };
        let slots = self.index.entries(group, range).into_iter();
        slots.map(|(at, slot)| (at, place(slot))).collect()
    }

    fn queue_removal(&mut self, job: Job) {
        self.removals += 1;
        self.queue.push(job);
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn healthy(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.state();
        match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(state),
        }
    }

    fn writable(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.healthy()?;
        if state.closing { Err(LogError::Closed) } else { Ok(state) }
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        drop(state);
        match self.mode {
            WriterMode::Thread => self.work.notify_one(),
            WriterMode::Inline => self.pump(),
        }
    }

    /// Writes everything that is queued, as one batch, and acknowledges it.
    fn pump(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (jobs, fault) = {
            let mut state = self.state();
            state.removals = 0;
            (std::mem::take(&mut state.queue), state.fault.clone())
        };
        if jobs.is_empty() {
            return;
        }
        let written = match fault {
            Some(fault) => Err(fault),
            None => self.write(&mut writer.0, &jobs),
        };
        if let Err(error) = &written {
            self.fail(error);
        }
        let outcome = written.as_ref().map(|_| ()).map_err(LogError::poisoned);
        jobs.into_iter().filter_map(|job| job.done).for_each(|done| done(outcome.clone()));
        if let Ok(removed) = written {
            self.clean(&mut writer, removed);
        }
    }

    /// Writes a batch, and says whether it may have left old segments without live entries.
    fn write(&self, writer: &mut Writer, jobs: &[Job]) -> Result<bool, LogError> {
        let before = writer.active.number;
        let need = jobs.iter().map(|job| job.need).max().unwrap_or(Need::Written);
        let records: Vec<&Record> = jobs.iter().map(|job| &job.record).collect();
        let places = writer.write(&records, need)?;
        let mut state = self.state();
        state.segments.insert(writer.active.number, writer.active.clone());
        for (job, place) in jobs.iter().zip(places) {
            if let Some(key) = &job.entry {
                state.index.placed(key, place);
            }
        }
        state.index.evict();
        let removal = |job: &Job| {
            use Record as R;
            matches!(job.record, R::Truncate { .. } | R::Purge { .. } | R::Forget { .. })
        };
        Ok(before != writer.active.number || jobs.iter().any(removal))
    }

    fn clean(&self, writer: &mut (Writer, Cleaned), due: bool) {
        if !due && writer.1 == Cleaned::Done {
            return;
        }
        match gc::clean(self, &mut writer.0) {
            Ok(cleaned) => writer.1 = cleaned,
            Err(error) => self.fail(&error),
        }
    }

    /// After the first failure nothing is written any more: a sync that failed once says nothing
    /// about the bytes when it succeeds the next time.
    fn fail(&self, error: &LogError) {
        let mut state = self.state();
        if state.fault.is_none() {
            tracing::error!(%error, "the log stops");
            state.fault = Some(error.poisoned());
        }
    }

    /// Waits for work; false once the log is closed and nothing is queued.
    fn wait_for_work(&self) -> bool {
        let idle = |state: &mut State| state.queue.is_empty() && !state.closing;
        let state =
            self.work.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        !state.queue.is_empty()
    }

    fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        // A last record that proves, by its `synced`, that all before it was durable.
        state.queue.push(job(Record::Mark, Need::Durable, None));
        self.wake(state);
        self.room.close();
    }
}

fn start(shared: Arc<Shared>, directory: &Path) -> Result<JoinHandle<()>, LogError> {
    let work = move || {
        while shared.wait_for_work() {
            shared.pump();
        }
    };
    let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(work);
    thread.map_err(LogError::io("start the writer of", directory))
}

/// Closes the log when its last handle goes.
struct Closer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}
