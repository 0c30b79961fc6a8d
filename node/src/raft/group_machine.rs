//! openraft's state machine over a group's store: one implementation for all groups.

use std::io;
use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use futures::{Stream, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::Mutex;

use super::guard::{MembershipGuard, refused};
use super::log_storage::GroupLog;
use super::machine::{AppliedAt, Change, Machine, Reader, View};
use super::snapshot::{SnapshotFile, SnapshotWriter};
use super::snapshot_dir::{SnapshotDir, SnapshotSink};
use super::types::{Entry, LogId, Outcome, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::mutant::{Mutant, planted};
use crate::store::error::StoreError;
use crate::store::group::{Advance, GroupStore};
use crate::store::open::Store;
use crate::store::state::AppliedState;

pub use super::offload::{Offload, OpenError};

/// Entries written in one batch at most.
const BATCH_ENTRIES: usize = 256;
/// Rows after which a batch is closed.
const BATCH_ROWS: usize = 4096;

type Item = (Entry, Option<ApplyResponder<TypeConfig>>);

/// What a group's state machine is made of.
pub struct GroupParts {
    /// The node's store.
    pub store: Store,
    /// What commands mean.
    pub machine: Arc<dyn Machine>,
    /// Who may be a member.
    pub guard: MembershipGuard,
    /// Where blocking work runs.
    pub offload: Offload,
}

/// The state machine of one group. Clones share it.
#[derive(Clone)]
pub struct GroupMachine {
    inner: Arc<Inner>,
}

struct Inner {
    group: GroupId,
    parts: GroupParts,
    state: GroupStore,
    snapshots: SnapshotDir,
    /// Held while a snapshot is built or installed: one at a time.
    snapshotting: Arc<Mutex<()>>,
}

impl std::fmt::Debug for GroupMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupMachine({})", self.inner.group)
    }
}

impl GroupMachine {
    /// Opens the state of the log's group, and checks that log and snapshot can bring it up to date.
    /// Blocks while the snapshot is read.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(parts: GroupParts, log: &GroupLog) -> Result<Self, OpenError> {
        let group = log.group().clone();
        let state = parts.store.group(&group)?;
        let snapshots = SnapshotDir::open(&parts.store.dir().snapshots(&group))?;
        if step_back(&state, &snapshots, log.last())? {
            parts.store.checkpoint()?;
        }
        let mut found = vec![state.state()];
        if let Some(file) = snapshots.current() {
            found.push(file.rows()?.1);
        }
        for state in &found {
            (parts.guard)(state.membership.membership())
                .map_err(|why| OpenError::Placement { group: group.clone(), why })?;
        }
        let covered = found.iter().filter_map(|state| state.last_applied).max();
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        if covered.map(|id| id.index) < log.purged().map(|id| id.index) {
            return Err(OpenError::MustFetch {
                group,
                have: index(covered),
                purged: index(log.purged()),
            });
        }
        let snapshotting = Arc::new(Mutex::new(()));
        let inner = Inner { group, parts, state, snapshots, snapshotting };
        inner.refresh_everything();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A handle for reading the applied state.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.inner.state.reader()
    }

    /// Where its blocking work runs.
    #[must_use]
    pub fn offload(&self) -> Offload {
        self.inner.parts.offload
    }

    /// Begins to receive a snapshot of `length` bytes from a peer.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be made.
    pub fn receive_snapshot(&self, length: u64) -> Result<SnapshotSink, StoreError> {
        SnapshotSink::create(self.inner.snapshots.part(), length)
    }
}

/// Goes back to the snapshot where the state is ahead of log and snapshot both; says whether it was.
///
/// A leader applies what a quorum of the others has made durable, perhaps before its own disk has it. A power cut
/// can keep the rows and lose the entries; openraft takes what is applied for logged and would never send them.
fn step_back(
    state: &GroupStore,
    snapshots: &SnapshotDir,
    last: Option<LogId>,
) -> Result<bool, StoreError> {
    let snapshot = snapshots.current().map(|file| file.rows()).transpose()?;
    let covered = snapshot.as_ref().and_then(|(_, covered, _)| covered.last_applied);
    // Without any log the directory is somebody else's problem.
    let Some(last) = last else { return Ok(false) };
    let applied = state.state().last_applied;
    if applied <= Some(last).max(covered) {
        return Ok(false);
    }
    tracing::warn!(group = %state.id(), ?applied, %last, "the state is ahead of the log; it is rebuilt");
    match snapshot {
        Some((_, covered, rows)) => state.replace(rows, covered)?,
        None => state.replace(std::iter::empty(), AppliedState::default())?,
    }
    Ok(true)
}

impl Inner {
    fn refresh_everything(&self) {
        let reader = self.state.reader();
        let applied = self.state.state().applied_index();
        self.parts.machine.refreshed(Change::Everything(&reader), applied);
        self.state.announce();
    }

    /// Applies as many of `items` as make a batch, and answers them.
    fn apply_batch(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let mut answers = Vec::new();
            let changes = self.state.apply(|view| self.run(view, &mut items, &mut answers))?;
            let applied = self.state.state().applied_index();
            self.parts.machine.refreshed(Change::Batch(&changes), applied);
            self.state.announce();
            for (responder, outcome) in answers {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    fn run(
        &self,
        view: &mut View<'_>,
        items: &mut impl Iterator<Item = Item>,
        answers: &mut Vec<(ApplyResponder<TypeConfig>, Outcome)>,
    ) -> Advance {
        let mut advance = Advance::default();
        for (entry, responder) in items {
            advance.last_applied = Some(entry.log_id);
            let outcome = self.apply_one(view, entry, &mut advance);
            answers.extend(responder.map(|responder| (responder, outcome)));
            if view.len() >= BATCH_ROWS {
                break;
            }
        }
        advance
    }

    fn apply_one(&self, view: &mut View<'_>, entry: Entry, advance: &mut Advance) -> Outcome {
        match entry.payload {
            EntryPayload::Blank => Outcome::default(),
            EntryPayload::Normal(_) if self.skips(entry.log_id.index) => Outcome::default(),
            EntryPayload::Normal(command) => {
                let at = AppliedAt { index: entry.log_id.index, term: entry.log_id.leader_id.term };
                Outcome::new(self.parts.machine.apply(at, command.as_bytes(), view))
            }
            EntryPayload::Membership(membership) => {
                advance.membership = Some(StoredMembership::new(Some(entry.log_id), membership));
                Outcome::default()
            }
        }
    }

    /// What no replica may do: see [`Mutant::SkipApply`].
    fn skips(&self, index: u64) -> bool {
        planted(Mutant::SkipApply)
            && index % 64 == 40
            && self.parts.store.dir().raft_id().is_multiple_of(2)
    }

    fn build(&self) -> Result<Snapshot, StoreError> {
        let mut scan = self.state.scan();
        let mut writer = SnapshotWriter::create(&self.snapshots.part(), &self.group, scan.state())?;
        loop {
            let page = scan.next_page()?;
            if page.is_empty() {
                break;
            }
            page.iter().try_for_each(|row| writer.push(row))?;
        }
        let snapshot = self.snapshots.adopt(writer.finish()?)?;
        let meta = scan.state().meta();
        drop(scan);
        // The log may be purged up to this snapshot now; the checkpoint spares a replay from it.
        self.parts.store.checkpoint()?;
        Ok(Snapshot { meta, snapshot })
    }

    fn install(&self, meta: &SnapshotMeta, file: SnapshotFile) -> Result<(), StoreError> {
        file.verify()?;
        let (group, state, rows) = file.rows()?;
        if group != self.group || state.meta() != *meta {
            return Err(StoreError::Damaged {
                what: file.path.display().to_string(),
                why: format!("it is a snapshot of {group} and not the one announced"),
            });
        }
        // Durable before the state changes: a kill in between finds it and installs it again.
        self.snapshots.adopt(file)?;
        self.state.replace(rows, state)?;
        self.refresh_everything();
        self.parts.store.checkpoint()
    }
}

impl RaftSnapshotBuilder<TypeConfig> for GroupMachine {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let one = self.inner.snapshotting.clone().lock_owned().await;
        let inner = self.inner.clone();
        self.inner.parts.offload.run(move || inner.build().inspect(|_| drop(one))).await
    }
}

impl RaftStateMachine<TypeConfig> for GroupMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let state = self.inner.state.state();
        Ok((state.last_applied, state.membership))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.try_chunks(BATCH_ENTRIES);
        while let Some(items) = chunks.try_next().await.map_err(|e| e.1)? {
            let inner = self.inner.clone();
            self.inner.parts.offload.run(move || inner.apply_batch(items)).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        (self.inner.parts.guard)(meta.last_membership.membership()).map_err(refused)?;
        let one = self.inner.snapshotting.clone().lock_owned().await;
        let (inner, meta) = (self.inner.clone(), meta.clone());
        let work = move || inner.install(&meta, snapshot).inspect(|()| drop(one));
        self.inner.parts.offload.run(work).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let Some(snapshot) = self.inner.snapshots.current() else { return Ok(None) };
        let (_, state, _) = snapshot.rows()?;
        Ok(Some(Snapshot { meta: state.meta(), snapshot }))
    }
}
