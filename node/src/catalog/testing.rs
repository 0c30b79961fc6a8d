//! A replica of the catalogue on a real store, without Raft around it.

use std::sync::Arc;

use bailiwick_core::ids::ItemId;
use bailiwick_core::ranking::{Row, Shelf as _};
use bailiwick_proto::store::catalog_command::Change as Command;
use bailiwick_proto::store::{CatalogCommand, CatalogOutcome, DeleteItem, PutItems};
use bailiwick_proto::v1;
use prost::Message as _;

use super::{CatalogMachine, Catalogue, FORMAT, row_of};
use crate::raft::machine::{AppliedAt, Change, Machine as _};
use crate::raft::types::LogId;
use crate::store::group::{Advance, GroupStore};
use crate::store::{DataDir, Store, StoreOptions};

pub(crate) struct Replica {
    pub(crate) catalogue: Arc<Catalogue>,
    machine: CatalogMachine,
    group: GroupStore,
    index: u64,
    _dir: tempfile::TempDir,
}

/// An item with a vector.
pub(crate) fn item(id: &str, vector: &[f32]) -> v1::Item {
    v1::Item { item: id.into(), title: id.into(), vector: vector.to_vec(), ..v1::Item::default() }
}

impl Replica {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, node) = ("test".parse().unwrap(), "eu-west-1".parse().unwrap());
        let data = DataDir::open(dir.path(), &cluster, &node).unwrap();
        let store = Store::open(&data, StoreOptions::default()).unwrap();
        let group = store.group(&"catalog-0".parse().unwrap()).unwrap();
        let catalogue = Arc::new(Catalogue::default());
        let machine = CatalogMachine::new(Arc::clone(&catalogue));
        Self { catalogue, machine, group, index: 0, _dir: dir }
    }

    /// Applies a change as the next entry of the log.
    pub(crate) fn apply(&mut self, change: Command) -> CatalogOutcome {
        self.index += 1;
        let command = CatalogCommand { format: FORMAT, at_ms: 0, change: Some(change) };
        let at = AppliedAt { index: self.index, term: 1 };
        let mut outcome = Vec::new();
        let changes = self
            .group
            .apply(|view| {
                outcome = self.machine.apply(at, &command.encode_to_vec(), view);
                let last_applied = Some(LogId::new_term_index(1, at.index));
                Advance { last_applied, membership: None }
            })
            .unwrap();
        self.machine.refreshed(Change::Batch(&changes), at.index);
        CatalogOutcome::decode(outcome.as_slice()).unwrap()
    }

    pub(crate) fn put(&mut self, items: impl IntoIterator<Item = v1::Item>) {
        let items: Vec<_> = items.into_iter().map(row_of).collect();
        let changed = u32::try_from(items.len()).unwrap();
        let outcome = self.apply(Command::PutItems(PutItems { items }));
        assert_eq!((outcome.changed, outcome.refused.as_str()), (changed, ""));
    }

    pub(crate) fn delete(&mut self, item: &str) {
        let delete = DeleteItem { item: item.to_owned() };
        assert_eq!(self.apply(Command::DeleteItem(delete)).changed, 1);
    }

    /// As after a start: everything is read from the rows.
    pub(crate) fn reload(&self) {
        self.machine.refreshed(Change::Everything(&self.group.reader()), self.index);
    }

    /// The items nearest to a vector, with their scores.
    pub(crate) fn near(&self, vector: &[f32], k: usize) -> Vec<(ItemId, f32)> {
        let view = self.catalogue.view();
        let found = view.index().unwrap().search(vector, k, 2000, None).unwrap();
        let id = |row: Row| view.facts(row).unwrap().id.clone();
        found.into_iter().map(|hit| (id(hit.row), hit.score)).collect()
    }
}
