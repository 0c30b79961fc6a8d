//! A small state machine, and a group opened as a node opens it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bailiwick_node::log::{LogOptions, RealDisk, SegmentLog, Syncing};
use bailiwick_node::raft::group_machine::{GroupMachine, GroupParts, Offload, OpenError};
use bailiwick_node::raft::guard::placement_guard;
use bailiwick_node::raft::log_storage::GroupLog;
use bailiwick_node::raft::machine::{AppliedAt, Change, Machine, Reader, View};
use bailiwick_node::raft::types::{Command, Entry, LogId, Member, Membership, TypeConfig, Vote};
use bailiwick_node::store::{DataDir, Store, StoreOptions};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{EntryPayload, RaftLogReader, RaftSnapshotBuilder, StorageHelper};

pub const GROUP: &str = "users-eu-0";

/// Commands are lines: `put KEY VALUE`, `del KEY`, `scan PREFIX AFTER LIMIT`.
#[derive(Default)]
pub struct Lines {
    /// The rows as the changes told them.
    pub told: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Machine for Lines {
    fn apply(&self, _: AppliedAt, command: &[u8], view: &mut View<'_>) -> Vec<u8> {
        let text = std::str::from_utf8(command).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["put", key, value] => match view.put(key.as_bytes(), value.as_bytes().to_vec()) {
                Ok(()) => view.get(key.as_bytes()).unwrap().to_vec(),
                Err(refusal) => refusal.to_string().into_bytes(),
            },
            ["del", key] => {
                view.delete(key.as_bytes());
                Vec::new()
            }
            ["scan", prefix, after, limit] => {
                let after = (!after.is_empty()).then_some(after.as_bytes());
                let rows = view.scan_prefix(prefix.as_bytes(), after, limit.parse().unwrap());
                let keys = rows.iter().map(|row| [&row.key[..], b"=", &row.value, b";"].concat());
                keys.collect::<Vec<_>>().concat()
            }
            _ => panic!("{text}"),
        }
    }

    fn refreshed(&self, change: Change<'_>, _: u64) {
        let mut told = self.told.lock().unwrap();
        match change {
            Change::Batch(rows) => rows.iter().for_each(|(key, value)| {
                match value {
                    Some(value) => told.insert(key.to_vec(), value.to_vec()),
                    None => told.remove(&key[..]),
                };
            }),
            Change::Everything(reader) => *told = rows(reader),
        }
    }
}

/// All rows of a group.
pub fn rows(reader: &Reader) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let rows = reader.scan_prefix(b"", None, usize::MAX).unwrap();
    rows.into_iter().map(|row| (row.key.to_vec(), row.value.to_vec())).collect()
}

/// A node with one group.
pub struct Node {
    pub dir: DataDir,
    pub store: Store,
    pub shared_log: SegmentLog,
    pub log: GroupLog,
    pub machine: GroupMachine,
    pub lines: Arc<Lines>,
}

pub fn data_dir(path: &Path) -> DataDir {
    DataDir::open(path, &"test".parse().unwrap(), &"eu-1".parse().unwrap()).unwrap()
}

impl Node {
    pub fn open(path: &Path) -> Self {
        Self::try_open(path).unwrap()
    }

    pub fn try_open(path: &Path) -> Result<Self, OpenError> {
        let dir = data_dir(path);
        let disk = Arc::new(RealDisk { syncing: Syncing::Skipped });
        let shared_log =
            SegmentLog::open(disk, &dir.log(), dir.id(), LogOptions::default()).unwrap();
        let guard = placement_guard(GROUP.parse().unwrap());
        let log = GroupLog::new(shared_log.clone(), GROUP.parse().unwrap(), guard.clone());
        let store = Store::open(&dir, StoreOptions::default()).unwrap();
        let lines = Arc::new(Lines::default());
        let (machine, offload) = (lines.clone(), Offload::Pool);
        let parts = GroupParts { store: store.clone(), machine, guard, offload };
        let machine = GroupMachine::open(parts, &log)?;
        Ok(Self { dir, store, shared_log, log, machine, lines })
    }

    /// Writes commands to the log and applies them, as a group of one would.
    pub async fn run(&mut self, commands: impl IntoIterator<Item = String>) {
        let last = self.log.get_log_state().await.unwrap().last_log_id;
        let next = last.map_or(0, |id| id.index + 1);
        let entries: Vec<Entry> = (next..).zip(commands).map(|(i, c)| command(i, &c)).collect();
        self.log.blocking_append(entries.clone()).await.unwrap();
        let committed = entries.last().map(|entry| entry.log_id);
        self.log.save_committed(committed).await.unwrap();
        // What was committed is told without waiting for the disk; a vote waits, and for all before it.
        let vote = self.log.read_vote().await.unwrap().unwrap_or_else(|| Vote::new(1, 1));
        self.log.save_vote(&vote).await.unwrap();
        self.apply(entries).await;
    }

    pub async fn apply(&mut self, entries: Vec<Entry>) {
        let items = entries.into_iter().map(|entry| Ok((entry, None)));
        self.machine.apply(futures::stream::iter(items)).await.unwrap();
    }

    /// Brings the state up to date from snapshot and log, as openraft does when it starts.
    pub async fn recover(&mut self) {
        StorageHelper::<TypeConfig, _, _>::new(&mut self.log, &mut self.machine)
            .with_id(1)
            .get_initial_state()
            .await
            .unwrap();
    }

    /// Builds a snapshot and purges the log up to it.
    pub async fn compact(&mut self) {
        let snapshot = self.machine.build_snapshot().await.unwrap();
        self.log.purge(snapshot.meta.last_log_id.unwrap()).await.unwrap();
    }

    pub fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        rows(&self.machine.reader())
    }

    /// Everything that must be equal after a rebuild.
    pub fn summary(&self) -> (BTreeMap<Vec<u8>, Vec<u8>>, String) {
        assert_eq!(self.rows(), *self.lines.told.lock().unwrap(), "memory has fallen behind");
        let state = self.machine.reader().state();
        assert_eq!(*self.machine.reader().applied().borrow(), state.applied_index());
        (self.rows(), format!("{state:?}"))
    }
}

pub fn command(index: u64, text: &str) -> Entry {
    let payload = EntryPayload::Normal(Command::new(text.as_bytes().to_vec()));
    Entry { log_id: LogId::new_term_index(1, index), payload }
}

/// A group whose members stand in these domains.
pub fn membership(domains: &[&str]) -> Membership {
    let member = |domain: &str| Member {
        name: "a-node".parse().unwrap(),
        domain: domain.parse().unwrap(),
        region: "a-region".parse().unwrap(),
    };
    let nodes: BTreeMap<u64, Member> = (1..).zip(domains.iter().map(|d| member(d))).collect();
    Membership::new(vec![[1].into()], nodes).unwrap()
}

/// Copies a directory as a killed process would leave it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
