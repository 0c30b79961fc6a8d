//! A replica of a users group on a real store, without Raft around it.

use std::sync::Arc;

use bailiwick_core::ids::{GroupId, UnixMillis};
use bailiwick_core::pinned::{Pinned, Standpoint};
use bytes::Bytes;
use ring::rand::SystemRandom;

use super::{
    Applied, Builder, Counting, NewEvent, Person, Popularity, Refused, UsersMachine, Vault, read,
};
use crate::raft::machine::{AppliedAt, Change, Machine as _, Row};
use crate::raft::types::LogId;
use crate::seal::{DomainSecret, EpochRing, PersonKey, Secret, TENANT};
use crate::store::group::{Advance, GroupStore};
use crate::store::reader::Reader;
use crate::store::{DataDir, Store, StoreOptions};

/// A moment of the stories: the start of day 20,000.
pub(crate) const NOW: UnixMillis = UnixMillis(20_000 * 86_400_000);

/// A vault of `group` under the epochs named by number and byte.
pub(crate) fn vault_with(group: &str, epochs: &[(u32, u8)]) -> Arc<Vault> {
    let keys = epochs.iter().map(|(epoch, byte)| (*epoch, Secret::new([*byte; 32]))).collect();
    let ring = EpochRing::new(&keys, Box::new(SystemRandom::new())).unwrap();
    Arc::new(Vault::new(group.parse::<GroupId>().unwrap(), Arc::new(ring)).unwrap())
}

/// A vault of `group` under the epoch that all stories share.
pub(crate) fn vault(group: &str) -> Arc<Vault> {
    vault_with(group, &[(1, 1)])
}

/// A person's key in the domain of the stories.
pub(crate) fn person(subject: &str) -> PersonKey {
    let secret = DomainSecret::new(&Secret::new([2; 32]));
    secret.person_key(TENANT, &"https://id".parse().unwrap(), &subject.parse().unwrap())
}

/// An event at [`NOW`].
pub(crate) fn event(id: &str, item: &str, kind: &str) -> NewEvent {
    NewEvent {
        id: id.parse().unwrap(),
        item: item.parse().unwrap(),
        kind: kind.parse().unwrap(),
        value: (kind == "rate").then_some(5.0),
        at: NOW,
        log_id: None,
        position: None,
    }
}

/// The bytes of a command, as its home reads them.
pub(crate) fn bytes_of(command: Pinned<Bytes>) -> Bytes {
    let home = Standpoint::attested(command.home().clone());
    command.unpin(&home).unwrap()
}

pub(crate) struct Replica {
    pub(crate) vault: Arc<Vault>,
    pub(crate) builder: Builder,
    pub(crate) popularity: Arc<Popularity>,
    machine: UsersMachine,
    group: GroupStore,
    index: u64,
    _dir: tempfile::TempDir,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self::with(vault("users-eu-0"))
    }

    pub(crate) fn with(vault: Arc<Vault>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, node) = ("test".parse().unwrap(), "eu-west-1".parse().unwrap());
        let data = DataDir::open(dir.path(), &cluster, &node).unwrap();
        let store = Store::open(&data, StoreOptions::default()).unwrap();
        let popularity = Arc::new(Popularity::default());
        Self {
            builder: Builder::new(vault.clone()),
            machine: UsersMachine::new(vault.clone(), popularity.clone()),
            group: store.group(vault.group()).unwrap(),
            vault,
            popularity,
            index: 0,
            _dir: dir,
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.group.reader()
    }

    /// Applies the command as the next entry of the log, and gives the encoded outcome.
    pub(crate) fn apply_raw(&mut self, command: &[u8]) -> Vec<u8> {
        self.index += 1;
        let at = AppliedAt { index: self.index, term: 1 };
        let mut outcome = Vec::new();
        let changes = self
            .group
            .apply(|view| {
                outcome = self.machine.apply(at, command, view);
                let last_applied = Some(LogId::new_term_index(1, at.index));
                Advance { last_applied, membership: None }
            })
            .unwrap();
        self.machine.refreshed(Change::Batch(&changes), at.index);
        outcome
    }

    pub(crate) fn apply(&mut self, command: Pinned<Bytes>) -> Result<Applied, Refused> {
        Applied::decode(&self.apply_raw(&bytes_of(command)))
    }

    /// Records events of a person as of [`NOW`].
    pub(crate) fn record(&mut self, subject: &str, events: &[NewEvent]) -> Applied {
        let reader = self.reader();
        let command = self
            .builder
            .linked_events(&reader, &person(subject), events, None, Counting::Counted, NOW)
            .unwrap();
        self.apply(command).unwrap()
    }

    pub(crate) fn person(&self, subject: &str) -> Option<Person> {
        let found = read::person(&self.reader(), &self.vault, &person(subject)).unwrap()?;
        Some(found.unpin(&Standpoint::attested(self.vault.home().clone())).unwrap())
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.reader().scan_prefix(&[], None, usize::MAX).unwrap()
    }
}
