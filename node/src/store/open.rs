//! Opening the applied state: checked against its own hash and the last checkpoint, or thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::ids::GroupId;

use super::checkpoint::{self, Marks};
use super::data_dir::DataDir;
use super::engine::{Engine, Tree, guarded};
use super::error::StoreError;
use super::group::{GroupStore, pointer_key, tree_name};
use super::rows::STATE_KEY;
use super::state::AppliedState;
use super::view::group_range;

/// How the store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of sled's page cache.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20 }
    }
}

/// What was found when the store was opened.
#[derive(Debug, Clone)]
pub enum Recovery {
    /// Everything holds, or there was nothing yet.
    Intact,
    /// What was found did not hold. Every group starts empty and is rebuilt from its snapshot and
    /// log, as if it had never been applied.
    Rebuilt {
        /// What was wrong.
        why: StoreError,
        /// Where the old database went.
        moved_to: PathBuf,
    },
}

/// The applied state of all groups of a node.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
}

#[derive(Debug)]
struct StoreInner {
    dir: DataDir,
    engine: Arc<Engine>,
    groups: Mutex<BTreeMap<GroupId, GroupStore>>,
    recovery: Recovery,
    checkpoints: Mutex<()>,
}

type Found = (Engine, BTreeMap<GroupId, (u64, AppliedState)>);

impl Store {
    /// Opens the store of a data directory and checks all of it. Blocks while every row is read.
    ///
    /// # Errors
    /// [`StoreError`] when the surroundings (rights, space) forbid it, or a fresh one can't be made.
    pub fn open(dir: &DataDir, options: StoreOptions) -> Result<Self, StoreError> {
        let first = checkpoint::read(&dir.checkpoint())
            .and_then(|marks| guarded(|| open_checked(dir, options, &marks)));
        let (found, recovery) = match first {
            Ok(found) => (found, Recovery::Intact),
            Err(why) if why.is_environment() => return Err(why),
            Err(why) => {
                let moved_to = move_aside(dir)?;
                tracing::error!(%why, moved_to = %moved_to.display(), "the applied state is rebuilt");
                (open_checked(dir, options, &Marks::new())?, Recovery::Rebuilt { why, moved_to })
            }
        };
        let engine = Arc::new(found.0);
        let mut groups = BTreeMap::new();
        for (id, (generation, state)) in found.1 {
            groups.insert(id.clone(), GroupStore::new(id, engine.clone(), generation, state)?);
        }
        let (dir, groups) = (dir.clone(), Mutex::new(groups));
        let inner = StoreInner { dir, engine, groups, recovery, checkpoints: Mutex::new(()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What was found when the store was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &DataDir {
        &self.inner.dir
    }

    /// The state of one group, empty when the node did not have it yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn group(&self, id: &GroupId) -> Result<GroupStore, StoreError> {
        let mut groups = self.groups();
        if let Some(group) = groups.get(id) {
            return Ok(group.clone());
        }
        let engine = self.inner.engine.clone();
        let group = GroupStore::new(id.clone(), engine, 0, AppliedState::default())?;
        groups.insert(id.clone(), group.clone());
        Ok(group)
    }

    /// Removes a group's rows, mark and snapshots: the node has left it. Its log is not touched.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn forget(&self, id: &GroupId) -> Result<(), StoreError> {
        self.groups().remove(id);
        self.checkpoint()?;
        let engine = &self.inner.engine;
        let prefix = format!("{id}/");
        for name in engine.tree_names().iter().filter(|name| name.starts_with(&prefix)) {
            engine.drop_tree(name)?;
        }
        let pointer = pointer_key(id);
        engine.root().apply(std::iter::once((pointer.as_bytes(), None)))?;
        engine.flush_durably()?;
        let snapshots = self.inner.dir.snapshots(id);
        match fs::remove_dir_all(&snapshots) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &snapshots)(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes durable what was applied so far and records how far that is. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be made durable; the record is then the old one.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _one = self.inner.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        // The marks are taken first: what is flushed is then at least as far as they say.
        let groups: Vec<GroupStore> = self.groups().values().cloned().collect();
        let marks = groups
            .iter()
            .filter_map(|group| Some((group.id().clone(), checkpoint::mark(&group.state())?)))
            .collect();
        self.inner.engine.flush_durably()?;
        checkpoint::write(&self.inner.dir.checkpoint(), &marks)
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupId, GroupStore>> {
        self.inner.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_checked(dir: &DataDir, options: StoreOptions, marks: &Marks) -> Result<Found, StoreError> {
    let engine = Engine::open(&dir.state(), options.cache_bytes)?;
    if !marks.is_empty() && !engine.was_recovered() {
        return Err(damaged(
            "the database",
            "it is empty, and was not at the checkpoint".to_owned(),
        ));
    }
    let found = check_trees(&engine, marks)?;
    Ok((engine, found))
}

fn check_trees(
    engine: &Engine,
    marks: &Marks,
) -> Result<BTreeMap<GroupId, (u64, AppliedState)>, StoreError> {
    let mut found = BTreeMap::new();
    for name in engine.tree_names() {
        let (id, generation) = parse(&name)?;
        if generation == generation_of(engine, &id)? {
            let state = check_tree(&name, &engine.tree(&name)?)?;
            found.insert(id, (generation, state));
        } else {
            // A snapshot was being installed, or had just taken over, when the process ended.
            engine.drop_tree(&name)?;
        }
    }
    for (id, mark) in marks {
        let state = found.get(id).map(|(_, state)| state);
        let at = state.and_then(|s| s.last_applied);
        let same = at == Some(mark.last_applied);
        if at < Some(mark.last_applied) || (same && state.map(|s| s.hash) != Some(mark.hash)) {
            let why = format!("it is at {at:?}, the checkpoint at {:?}", mark.last_applied);
            return Err(damaged(&id.to_string(), why));
        }
    }
    Ok(found)
}

fn parse(name: &str) -> Result<(GroupId, u64), StoreError> {
    let parts = name
        .rsplit_once('/')
        .and_then(|(id, generation)| Some((id.parse().ok()?, generation.parse().ok()?)));
    parts
        .filter(|(id, generation)| tree_name(id, *generation) == name)
        .ok_or_else(|| damaged("the database", "a tree is not a group's".to_owned()))
}

fn generation_of(engine: &Engine, id: &GroupId) -> Result<u64, StoreError> {
    let Some(value) = engine.root().get(pointer_key(id).as_bytes())? else { return Ok(0) };
    let bytes = value.as_ref().try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| damaged(&id.to_string(), "its generation".to_owned()))
}

/// Reads the whole tree and compares its hash to the one kept with every batch.
fn check_tree(name: &str, tree: &Tree) -> Result<AppliedState, StoreError> {
    let state = tree.get(STATE_KEY)?.map(AppliedState::decode).transpose()?.unwrap_or_default();
    let mut found = AppliedState::default();
    if let Some(range) = group_range((Bound::Unbounded, Bound::Unbounded)) {
        for row in tree.range(range) {
            let row = row?;
            found.hash.add(&row.key, &row.value);
            found.rows += 1;
        }
    }
    if (found.hash, found.rows) != (state.hash, state.rows) {
        let why = format!(
            "{} rows with hash {}, where {} with {} were written",
            found.rows, found.hash, state.rows, state.hash
        );
        return Err(damaged(name, why));
    }
    Ok(state)
}

fn damaged(what: &str, why: String) -> StoreError {
    StoreError::Damaged { what: what.to_owned(), why }
}

/// Moves the database out of the way, in place of what was moved there before, and drops its marks.
fn move_aside(dir: &DataDir) -> Result<PathBuf, StoreError> {
    let (state, aside) = (dir.state(), dir.path().join("state.damaged"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(StoreError::io("remove", &aside))?;
    }
    if state.exists() {
        fs::rename(&state, &aside).map_err(StoreError::io("move aside", &state))?;
    }
    checkpoint::write(&dir.checkpoint(), &Marks::new())?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database that is sound in itself, but not what the group wrote: why it is not believed, empty where it is.
    fn check(spoil: &[(&[u8], Option<&[u8]>)], expected: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let (cluster, node) = ("c".parse().unwrap(), "n".parse().unwrap());
        let dir = DataDir::open(scratch.path(), &cluster, &node).unwrap();
        let id: GroupId = "control".parse().unwrap();
        let store = Store::open(&dir, StoreOptions::default()).unwrap();
        let put = |view: &mut super::super::view::View<'_>| {
            view.put(b"a", "1").unwrap();
            view.put(b"b", "2").unwrap();
            super::super::group::Advance::default()
        };
        store.group(&id).unwrap().apply(put).unwrap();
        drop(store);
        let engine = Engine::open(&dir.state(), 1 << 20).unwrap();
        engine.tree(&tree_name(&id, 0)).unwrap().apply(spoil.iter().copied()).unwrap();
        drop(engine);
        let why = match Store::open(&dir, StoreOptions::default()).unwrap().recovery() {
            Recovery::Intact => String::new(),
            Recovery::Rebuilt { why, .. } => why.to_string(),
        };
        assert!(why.contains(expected) && why.is_empty() == expected.is_empty(), "{why}");
    }

    #[test]
    fn a_row_changed_added_or_lost_is_noticed() {
        check(&[], "");
        check(&[(b"a", Some(b"3"))], "2 rows with hash");
        check(&[(b"c", Some(b"3"))], "3 rows with hash");
        check(&[(b"a", None)], "1 rows with hash");
        check(&[(STATE_KEY, None)], "where 0 with");
    }

    /// A lock that is held is no damage: it is waited for, and nothing is rebuilt meanwhile.
    #[test]
    fn a_database_that_still_ends_is_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let (cluster, node) = ("c".parse().unwrap(), "n".parse().unwrap());
        let dir = DataDir::open(scratch.path(), &cluster, &node).unwrap();
        drop(Store::open(&dir, StoreOptions::default()).unwrap());
        let held = fs::File::open(dir.state().join("db")).unwrap();
        held.lock().unwrap();
        let opening = std::thread::spawn({
            let dir = dir.clone();
            move || Store::open(&dir, StoreOptions::default()).unwrap().recovery().clone()
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!opening.is_finished());
        drop(held);
        assert!(matches!(opening.join().unwrap(), Recovery::Intact));
    }
}
