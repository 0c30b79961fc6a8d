//! openraft's log over a group's part of the shared segment log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use futures::Stream;
use openraft::entry::RaftPayload;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::codec::Wire;
use super::guard::{MembershipGuard, refused};
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::log::{Done, LogEntry, LogError, Position, SegmentLog};
use crate::mutant::{Mutant, planted};

/// Bytes of entries that one replication request carries, a single large entry aside.
const REPLICATED_BYTES: usize = 1 << 20;
/// Entries read at once on the way to the state machine.
const STREAMED_ENTRIES: u64 = 256;

/// The log of one group. Clones share it.
#[derive(Clone)]
pub struct GroupLog {
    log: SegmentLog,
    group: GroupId,
    name: Arc<str>,
    guard: MembershipGuard,
}

impl Debug for GroupLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupLog({})", self.group)
    }
}

fn log_id(at: Position) -> LogId {
    LogId::new_term_index(at.term, at.index)
}

fn position(id: &LogId) -> Position {
    Position { term: id.leader_id.term, index: id.index }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

/// A callback, and what waits for it.
fn waiter() -> (Done, impl Future<Output = Result<(), LogError>>) {
    let (tell, told) = oneshot::channel();
    let done: Done = Box::new(move |outcome| {
        // Nobody waits any more when the group was shut down meanwhile.
        let _ = tell.send(outcome);
    });
    (done, async move { told.await.unwrap_or(Err(LogError::Closed)) })
}

impl GroupLog {
    /// The part of `group` in the node's log; `guard` says which memberships may be written.
    #[must_use]
    pub fn new(log: SegmentLog, group: GroupId, guard: MembershipGuard) -> Self {
        let name = group.to_string().into();
        Self { log, group, name, guard }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupId {
        &self.group
    }

    /// The last entry that was purged; none also when the log has failed.
    #[must_use]
    pub fn purged(&self) -> Option<LogId> {
        self.log.purged(&self.name).ok().flatten().map(log_id)
    }

    /// The last entry, or the last that was purged where there is none; none also when the log has failed.
    #[must_use]
    pub fn last(&self) -> Option<LogId> {
        self.log.last(&self.name).ok().flatten().map(log_id).max(self.purged())
    }

    /// Removes the group from the log, durably: only for a member that has left it for good.
    ///
    /// # Errors
    /// [`LogError`] when the log has failed.
    pub async fn forget(&self) -> Result<(), LogError> {
        let (done, told) = waiter();
        self.log.forget(&self.name, done)?;
        told.await
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let entries = self.log.read(&self.name, range, bytes_max)?;
        entries.into_iter().map(|entry| Ok(Entry::decode(entry.body)?)).collect()
    }

    /// Encodes an entry; one that names unlawful members is refused before anything is written.
    fn encode(&self, entry: &Entry) -> io::Result<LogEntry> {
        if let Some(membership) = entry.payload.get_membership()
            && !planted(Mutant::AdmitAbroad)
        {
            (self.guard)(&membership).map_err(refused)?;
        }
        Ok(LogEntry { at: position(&entry.log_id), body: entry.encode() })
    }

    /// One step of [`RaftLogReader::entries_stream`]: some entries, and the range that is left.
    fn step(&self, range: Range<u64>) -> io::Result<Option<(Vec<Entry>, Range<u64>)>> {
        let end = range.end.min(range.start.saturating_add(STREAMED_ENTRIES));
        let entries = self.read(range.start..end, REPLICATED_BYTES)?;
        let Some(last) = entries.last() else { return Ok(None) };
        let next = last.log_id.index + 1;
        Ok(Some((entries, next..range.end)))
    }
}

impl RaftLogReader<TypeConfig> for GroupLog {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(bounds(&range), usize::MAX)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start..end, REPLICATED_BYTES)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        let vote = self.log.vote(&self.name)?;
        Ok(vote.map(Vote::decode).transpose()?)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        use futures::stream::{self, StreamExt, TryStreamExt};

        let log = self.clone();
        // A lagging member applies a long log without all of it in memory at once.
        let first = bounds(&range);
        stream::try_unfold(first, move |left| futures::future::ready(log.step(left)))
            .map_ok(|entries| stream::iter(entries).map(Ok))
            .try_flatten()
    }
}

impl RaftLogStorage<TypeConfig> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        Ok(LogState {
            last_purged_log_id: self.log.purged(&self.name)?.map(log_id),
            last_log_id: self.log.last(&self.name)?.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, told) = waiter();
        self.log.save_vote(&self.name, vote.encode(), done)?;
        Ok(told.await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        Ok(self.log.save_committed(&self.name, committed.as_ref().map(position))?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.committed(&self.name)?.map(log_id))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> =
            entries.into_iter().map(|entry| self.encode(&entry)).collect::<Result<_, _>>()?;
        let bytes = entries.iter().map(|entry| entry.body.len()).sum();
        let admission = self.log.admit(bytes).await?;
        let done: Done = Box::new(move |outcome| {
            drop(admission);
            callback.io_completed(outcome.map_err(Into::into));
        });
        Ok(self.log.append(&self.name, entries, done)?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index + 1);
        let (done, told) = waiter();
        self.log.truncate(&self.name, from, done)?;
        Ok(told.await?)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let (done, told) = waiter();
        self.log.purge(&self.name, position(&upto), done)?;
        Ok(told.await?)
    }
}
