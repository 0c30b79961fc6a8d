//! What the catalogue holds in memory, and how rows change it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bailiwick_ann::{LiveIndex, Options};
use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::learning::ItemLists;
use bailiwick_core::ranking::{ItemFacts, Row};
use bailiwick_proto::store::{GenerationManifest, ItemRow, SpaceRow};
use bytes::Bytes;
use prost::Message as _;

use super::rows::{self, RowKind};
use crate::learning::model::ServedModel;

#[derive(Default)]
pub(super) struct Inner {
    pub(super) rows: HashMap<ItemId, Row>,
    pub(super) shelf: Vec<Option<Entry>>,
    pub(super) editorial: BTreeMap<(u32, ItemId), Row>,
    pub(super) newest: BTreeSet<(Reverse<UnixMillis>, Row)>,
    pub(super) categories: HashMap<String, BTreeSet<Row>>,
    /// By origin, how many rows come from there.
    pub(super) origins: BTreeMap<String, usize>,
    pub(super) index: Option<Arc<LiveIndex>>,
    /// The latest generation of the index that the group has named.
    pub(super) generation: Option<Arc<GenerationManifest>>,
    pub(super) learned: Option<Learned>,
    pub(super) applied: u64,
    pub(super) live: usize,
    /// Rows that are read at once, before an index can be merged.
    pub(super) room: usize,
}

/// The model that is served, and which of its numbers stands for which row.
pub(super) struct Learned {
    pub(super) model: Arc<ServedModel>,
    pub(super) rows: Vec<Option<Row>>,
    pub(super) numbers: Vec<Option<u32>>,
    /// What the people of this domain take together, by the model's numbers.
    pub(super) lists: Option<Arc<ItemLists>>,
}

pub(super) struct Entry {
    pub(super) facts: ItemFacts,
    pub(super) vector: Option<Box<[f32]>>,
}

impl Learned {
    /// Notes the row of an item, if the model knows the item.
    fn note(&mut self, item: &ItemId, row: Row) {
        let Some(number) = self.model.number(item) else { return };
        if let Some(place) = self.rows.get_mut(number as usize) {
            *place = Some(row);
        }
        let at = row as usize;
        if self.numbers.len() <= at {
            self.numbers.resize(at + 1, None);
        }
        if let Some(place) = self.numbers.get_mut(at) {
            *place = Some(number);
        }
    }
}

impl Inner {
    /// Matches the rows that are there with a model's numbers; later ones are noted as they come.
    pub(super) fn serve(&mut self, learned: Option<Learned>) {
        self.learned = learned.map(|mut learned| {
            learned.rows.fill(None);
            learned.numbers.clear();
            self.rows.iter().for_each(|(item, row)| learned.note(item, *row));
            learned
        });
    }

    /// How many rows come from a place, or a part of it.
    pub(super) fn count_at(&self, place: &str) -> usize {
        let within = self.origins.range(place.to_owned()..);
        let within = within.take_while(|(origin, _)| origin.starts_with(place));
        within.map(|(_, count)| count).sum()
    }

    pub(super) fn take(&mut self, key: &[u8], value: Option<&Bytes>) {
        match (RowKind::of(key), value) {
            (Some(RowKind::Space), Some(value)) => {
                SpaceRow::decode(value.clone()).into_iter().for_each(|row| self.open_space(row));
            }
            (Some(RowKind::Generation), Some(value)) => {
                self.generation = GenerationManifest::decode(value.clone()).ok().map(Arc::new);
            }
            (Some(RowKind::Item), Some(value)) => match ItemRow::decode(value.clone()) {
                Ok(row) => self.put(row),
                Err(error) => tracing::error!(%error, "an item row can't be read"),
            },
            (Some(RowKind::Item), None) => {
                if let Some(item) = rows::item_of(key) {
                    self.remove(&item);
                }
            }
            _ => {}
        }
    }

    pub(super) fn open_space(&mut self, row: SpaceRow) {
        let dimensions = usize::try_from(row.dimensions).unwrap_or_default();
        if self.index.as_ref().is_some_and(|index| index.space().dimensions == dimensions) {
            return;
        }
        let default = Options::default();
        let options = Options { pending_max: default.pending_max.max(self.room), ..default };
        let index = rows::space_of(row).and_then(|space| LiveIndex::new(space, options));
        match index {
            Ok(index) => self.index = Some(Arc::new(index)),
            Err(error) => tracing::error!(%error, "the catalogue's vector space can't be opened"),
        }
    }

    pub(super) fn put(&mut self, row: ItemRow) {
        let Some(facts) = rows::facts_of(&row) else { return };
        let at = self.row_of(&facts.id);
        self.forget_order(at);
        self.order(at, &facts);
        let vector = self.put_vector(at, &row.vector);
        if let Some(place) = self.shelf.get_mut(at as usize) {
            self.live += usize::from(place.is_none());
            *place = Some(Entry { facts, vector });
        }
    }

    fn put_vector(&mut self, at: Row, vector: &[f32]) -> Option<Box<[f32]>> {
        let index = self.index.as_ref()?;
        if vector.is_empty() {
            index.remove(at);
            return None;
        }
        match index.upsert(at, vector) {
            Ok(()) => index.vector(at).map(Vec::into_boxed_slice),
            Err(error) => {
                // Committed, so it can't be refused any more; the item is served without its vector.
                tracing::warn!(%error, "an item's vector is not indexed");
                index.remove(at);
                None
            }
        }
    }

    /// The row of an item, a new one if it has none. Rows are never reused.
    fn row_of(&mut self, item: &ItemId) -> Row {
        if let Some(&row) = self.rows.get(item) {
            return row;
        }
        let row = Row::try_from(self.shelf.len()).unwrap_or(Row::MAX);
        self.shelf.push(None);
        self.rows.insert(item.clone(), row);
        if let Some(learned) = &mut self.learned {
            learned.note(item, row);
        }
        row
    }

    fn order(&mut self, at: Row, facts: &ItemFacts) {
        if let Some(rank) = facts.editorial_rank {
            self.editorial.insert((rank, facts.id.clone()), at);
        }
        self.newest.insert((Reverse(facts.published.unwrap_or_default()), at));
        if let Some(origin) = &facts.origin {
            *self.origins.entry(origin.clone()).or_default() += 1;
        }
        for category in &facts.category {
            self.categories.entry(category.clone()).or_default().insert(at);
        }
    }

    fn forget_order(&mut self, at: Row) {
        let Some(Some(old)) = self.shelf.get(at as usize) else { return };
        if let Some(rank) = old.facts.editorial_rank {
            self.editorial.remove(&(rank, old.facts.id.clone()));
        }
        self.newest.remove(&(Reverse(old.facts.published.unwrap_or_default()), at));
        if let Some(origin) = &old.facts.origin
            && let Some(count) = self.origins.get_mut(origin)
        {
            *count = count.saturating_sub(1);
        }
        for category in &old.facts.category {
            if let Some(rows) = self.categories.get_mut(category) {
                rows.remove(&at);
            }
        }
    }

    fn remove(&mut self, item: &ItemId) {
        let Some(at) = self.rows.get(item).copied() else { return };
        self.forget_order(at);
        if let Some(place) = self.shelf.get_mut(at as usize) {
            self.live -= usize::from(place.is_some());
            *place = None;
        }
        if let Some(index) = &self.index {
            index.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::rows::{SPACE_KEY, row_of_space};
    use bailiwick_ann::{Metric, Space};

    /// Parts of a place count as that place, and what moved or went no longer; never are fewer told than there are.
    #[test]
    fn places_know_how_many_items_are_from_there() {
        let mut inner = Inner::default();
        let item = |id: &str, origin: &str| ItemRow {
            item: id.into(),
            title: id.into(),
            origin: origin.into(),
            ..ItemRow::default()
        };
        for (id, origin) in [("a", "EU-DE"), ("b", "EU"), ("c", "US"), ("d", "EU-DE-BY")] {
            inner.put(item(id, origin));
        }
        let told = |inner: &Inner| ["EU", "EU-DE", "US", "IN"].map(|place| inner.count_at(place));
        assert_eq!(told(&inner), [3, 2, 1, 0]);
        inner.put(item("a", "US"));
        inner.remove(&"b".parse().unwrap());
        assert_eq!(told(&inner), [1, 1, 2, 0]);
    }

    /// Rows that are read at a start are all indexed, however many they are.
    #[test]
    fn a_large_catalogue_has_room_when_it_is_read() {
        let most = Options::default().pending_max;
        let mut inner = Inner { room: most + 10, ..Inner::default() };
        let space = Space::new("default", 2, Metric::Cosine).unwrap();
        inner.take(SPACE_KEY, Some(&row_of_space(&space).encode_to_vec().into()));
        let index = inner.index.unwrap();
        let last = Row::try_from(most + 5).unwrap();
        (0..last).for_each(|row| index.upsert(row, &[1.0, 0.5]).unwrap());
        assert_eq!(index.len(), most + 5);
    }
}
