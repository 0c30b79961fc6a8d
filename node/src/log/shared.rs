//! What the handles of a log and its writer share: the queue, the index, and the batch under way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::Position;
use super::error::LogError;
use super::gc::{self, Cleaned};
use super::index::{EntryKey, Index, Place, Slot};
use super::record::Record;
use super::replay::Replayed;
use super::segment::Segment;
use super::segment_log::{Done, WriterMode};
use super::writer::{Need, Writer};

/// Something to be written.
pub(crate) struct Job {
    pub(crate) record: Record,
    pub(crate) entry: Option<EntryKey>,
    pub(crate) need: Need,
    pub(crate) done: Option<Done>,
}

pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Truncations, purges and leavings among the queued.
    pub(crate) removals: usize,
    pub(crate) queue: Vec<Job>,
    fault: Option<LogError>,
    closing: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// The same for a writer that is driven.
    pub(crate) stirred: Notify,
    writer: Mutex<(Writer, Cleaned)>,
    mode: WriterMode,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) queue_units: u32,
}

pub(crate) fn job(record: Record, need: Need, done: Option<Done>) -> Job {
    Job { record, entry: None, need, done }
}

/// Where an entry is to be had. The segment stays readable while this is held.
pub(crate) enum Found {
    Cached(Bytes),
    Written(Segment, Place),
    Nowhere,
}

impl State {
    pub(crate) fn find(&self, group: &str, range: Range<u64>) -> Vec<(Position, Found)> {
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

    pub(crate) fn queue_removal(&mut self, job: Job) {
        self.removals += 1;
        self.queue.push(job);
    }
}

impl Shared {
    pub(crate) fn new(
        replayed: Replayed,
        writer: Writer,
        mode: WriterMode,
        queue_units: u32,
    ) -> Arc<Self> {
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
        Arc::new(Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            stirred: Notify::new(),
            writer: Mutex::new((writer, Cleaned::Later)),
            mode,
            room: Arc::new(Semaphore::new(usize::try_from(queue_units).unwrap_or_default())),
            queue_units,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn healthy(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.state();
        match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(state),
        }
    }

    pub(crate) fn writable(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.healthy()?;
        if state.closing { Err(LogError::Closed) } else { Ok(state) }
    }

    pub(crate) fn wake(&self, state: MutexGuard<'_, State>) {
        drop(state);
        match self.mode {
            WriterMode::Thread => self.work.notify_one(),
            WriterMode::Inline => self.pump(),
            WriterMode::Driven => self.stirred.notify_one(),
        }
    }

    /// Writes everything that is queued, as one batch, and acknowledges it.
    pub(crate) fn pump(&self) {
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

    /// The work of the writer's thread. Should it ever panic, everyone who waits is told.
    fn write_until_closed(&self) {
        let work = || {
            while self.wait_for_work() {
                self.pump();
            }
        };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.fail(&LogError::WriterPanicked);
            self.pump();
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
        if self.mode == WriterMode::Driven {
            self.pump();
        }
        self.room.close();
    }
}

/// Closes the log when its last handle goes.
pub(crate) struct Closer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Closer {
    /// Starts the writer's thread, if it is to have one.
    pub(crate) fn start(shared: Arc<Shared>, directory: &Path) -> Result<Self, LogError> {
        if shared.mode != WriterMode::Thread {
            return Ok(Self { shared, thread: None });
        }
        let written = shared.clone();
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || written.write_until_closed())
            .map_err(LogError::io("start the writer of", directory))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.shared.close();
        // The last handle may go with a callback, on the writer's own thread, which then ends by itself.
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread))
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}
