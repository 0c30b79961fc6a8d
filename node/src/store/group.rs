//! The applied state of one group: written by one applier, read by many, scanned by one at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use bailiwick_core::ids::GroupId;
use bytes::Bytes;
use tokio::sync::watch;

use super::engine::{Engine, Tree};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::{Row, STATE_KEY};
use super::scan::{Overlay, Scan};
use super::state::AppliedState;
use super::view::{Changes, View};
use crate::mutant::{Mutant, planted};
use crate::raft::types::{LogId, StoredMembership};

/// Rows written at once while a snapshot is loaded, in bytes.
const LOAD_BYTES: usize = 1 << 20;

/// The applied state of one group.
#[derive(Clone)]
pub struct GroupStore {
    pub(crate) inner: Arc<GroupInner>,
}

impl std::fmt::Debug for GroupStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupStore({})", self.inner.id)
    }
}

pub(crate) struct GroupInner {
    pub(crate) id: GroupId,
    pub(crate) applied: watch::Sender<u64>,
    /// Signalled when a scan has moved on or ended, so that its overlay has room again.
    pub(crate) room: Condvar,
    engine: Arc<Engine>,
    place: RwLock<Place>,
    writing: Mutex<Writing>,
}

/// The tree in use and its generation, which grows with every snapshot installed.
struct Place {
    tree: Tree,
    generation: u64,
}

/// What changes with every batch. Its lock makes a batch and a page of a scan exclude each other.
pub(crate) struct Writing {
    pub(crate) state: AppliedState,
    pub(crate) overlay: Option<Overlay>,
    /// Scans begun so far.
    pub(crate) scans: u64,
}

/// How the position moves with a batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Advance {
    pub(crate) last_applied: Option<LogId>,
    pub(crate) membership: Option<StoredMembership>,
}

/// The name of a group's tree of one generation.
pub(crate) fn tree_name(group: &GroupId, generation: u64) -> String {
    format!("{group}/{generation}")
}

/// The row, outside of all groups, that names the generation in use.
pub(crate) fn pointer_key(group: &GroupId) -> String {
    format!("tree/{group}")
}

impl GroupInner {
    pub(crate) fn tree(&self) -> Tree {
        self.place.read().unwrap_or_else(PoisonError::into_inner).tree.clone()
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> AppliedState {
        self.writing().state.clone()
    }
}

impl GroupStore {
    pub(crate) fn new(
        id: GroupId,
        engine: Arc<Engine>,
        generation: u64,
        state: AppliedState,
    ) -> Result<Self, StoreError> {
        let tree = engine.tree(&tree_name(&id, generation))?;
        let inner = GroupInner {
            id,
            applied: watch::Sender::new(state.applied_index()),
            room: Condvar::new(),
            engine,
            place: RwLock::new(Place { tree, generation }),
            writing: Mutex::new(Writing { state, overlay: None, scans: 0 }),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The group.
    #[must_use]
    pub fn id(&self) -> &GroupId {
        &self.inner.id
    }

    /// A handle for reading.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { group: self.inner.clone() }
    }

    /// The applied position, membership and hash, all of one moment.
    #[must_use]
    pub fn state(&self) -> AppliedState {
        self.inner.state()
    }

    /// Runs `work` on a view of the current state and writes, all or nothing, what it changed
    /// together with the position it advances to. Returns the rows written.
    ///
    /// The caller is the group's only applier.
    pub(crate) fn apply(
        &self,
        work: impl FnOnce(&mut View<'_>) -> Advance,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>, StoreError> {
        let tree = self.inner.tree();
        let mut view = View::new(&tree);
        let advance = work(&mut view);
        let changes = view.finish()?;
        self.commit(&tree, &changes, advance)?;
        Ok(changes.into_iter().collect())
    }

    fn commit(&self, tree: &Tree, changes: &Changes, advance: Advance) -> Result<(), StoreError> {
        let mut writing = Overlay::wait_for_room(&self.inner);
        let mut state = writing.state.clone();
        for (key, value) in changes {
            let old = tree.get(key)?;
            account(&mut state, key, old.as_ref(), value.as_ref());
            if let Some(overlay) = &mut writing.overlay {
                overlay.remember(key, old);
            }
        }
        state.last_applied = advance.last_applied.or(state.last_applied);
        if let Some(membership) = advance.membership {
            state.membership = membership;
        }
        let row = state.encode();
        let rows = changes.iter().map(|(k, v)| (&**k, v.as_deref()));
        tree.apply(rows.chain(std::iter::once((STATE_KEY, Some(&*row)))))?;
        writing.state = state;
        Ok(())
    }

    /// Tells those who wait that everything up to the last batch has been applied.
    pub(crate) fn announce(&self) {
        let mut index = self.inner.state().applied_index();
        if planted(Mutant::AppliedFalls) && index.is_multiple_of(16) {
            index = index.saturating_sub(8);
        }
        self.inner.applied.send_replace(index);
    }

    /// Begins a scan of the state as it is now. There is one at a time: an earlier one is cut off.
    pub(crate) fn scan(&self) -> Scan {
        Scan::begin(&self.inner)
    }

    /// Replaces the whole state by `rows`, atomically with respect to a kill at any moment: they go
    /// to a fresh tree, which takes over only when all of it is durable.
    pub(crate) fn replace(
        &self,
        rows: impl Iterator<Item = Result<Row, StoreError>>,
        state: AppliedState,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let old = inner.place.read().unwrap_or_else(PoisonError::into_inner).generation;
        let name = tree_name(&inner.id, old + 1);
        inner.engine.drop_tree(&name)?;
        let tree = inner.engine.tree(&name)?;
        load(&tree, rows, &state)?;
        inner.engine.flush_durably()?;
        let pointer = pointer_key(&inner.id);
        let generation = (old + 1).to_be_bytes();
        let row = (pointer.as_bytes(), Some(generation.as_slice()));
        inner.engine.root().apply(std::iter::once(row))?;
        inner.engine.flush_durably()?;
        self.take_over(tree, old + 1, state);
        inner.engine.drop_tree(&tree_name(&inner.id, old))
    }

    fn take_over(&self, tree: Tree, generation: u64, state: AppliedState) {
        let mut writing = self.inner.writing();
        *self.inner.place.write().unwrap_or_else(PoisonError::into_inner) =
            Place { tree, generation };
        writing.state = state;
        writing.overlay = None;
    }
}

fn account(state: &mut AppliedState, key: &[u8], old: Option<&Bytes>, new: Option<&Bytes>) {
    if let Some(old) = old {
        state.hash.remove(key, old);
        state.rows = state.rows.saturating_sub(1);
    }
    if let Some(new) = new {
        state.hash.add(key, new);
        state.rows += 1;
    }
}

fn load(
    tree: &Tree,
    rows: impl Iterator<Item = Result<Row, StoreError>>,
    state: &AppliedState,
) -> Result<(), StoreError> {
    let mut found = AppliedState::default();
    let (mut pending, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        account(&mut found, &row.key, None, Some(&row.value));
        bytes += row.key.len() + row.value.len();
        pending.push(row);
        if bytes >= LOAD_BYTES {
            write(tree, &std::mem::take(&mut pending))?;
            bytes = 0;
        }
    }
    if (found.hash, found.rows) != (state.hash, state.rows) {
        let why = format!(
            "{} rows with hash {}, not {} with {}",
            found.rows, found.hash, state.rows, state.hash
        );
        return Err(StoreError::Damaged { what: "a snapshot".to_owned(), why });
    }
    write(tree, &pending)?;
    tree.apply(std::iter::once((STATE_KEY, Some(state.encode().as_slice()))))
}

fn write(tree: &Tree, rows: &[Row]) -> Result<(), StoreError> {
    tree.apply(rows.iter().map(|row| (&*row.key, Some(&*row.value))))
}
