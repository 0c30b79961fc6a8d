//! The catalogue in memory: facts by row, vectors, and the index over them.
//!
//! Derived from the group's rows alone, so it can always be built anew.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bailiwick_ann::{AnnError, LiveIndex, Space};
use bailiwick_core::ids::ItemId;
use bailiwick_core::learning::ItemLists;
use bailiwick_core::ranking::{ItemFacts, Row, Shelf};
use bailiwick_proto::store::{GenerationManifest, ItemRow};
use bailiwick_proto::v1;
use bytes::Bytes;
use prost::Message as _;

use super::inner::{Inner, Learned};
use super::rows::{self, GENERATION_KEY, SPACE_KEY};
use crate::learning::model::ServedModel;
use crate::raft::machine::Reader;

/// Rows read at a time when the catalogue is loaded.
const PAGE: usize = 1000;

/// The index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// The index refused.
    #[error("the item index failed: {0}")]
    Ann(#[from] AnnError),
}

/// The catalogue of one node. Reads share; writes come from the group's machine alone.
#[derive(Default)]
pub struct Catalogue {
    inner: RwLock<Inner>,
}

impl Catalogue {
    /// A consistent view for one request. Writers wait meanwhile, so it is never held over an await.
    pub fn view(&self) -> ShelfView<'_> {
        ShelfView(self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The log index up to which this is current.
    pub fn applied(&self) -> u64 {
        self.view().0.applied
    }

    /// The index, once there is a first vector.
    pub fn index(&self) -> Option<Arc<LiveIndex>> {
        self.view().0.index.clone()
    }

    /// The latest generation of the index that the group has named.
    pub fn generation(&self) -> Option<Arc<GenerationManifest>> {
        self.view().0.generation.clone()
    }

    /// The public form of an item, from the group's rows.
    #[must_use]
    pub fn item(reader: &Reader, item: &ItemId) -> Option<v1::Item> {
        let value = reader.get(&rows::item_key(item.as_str())).ok()??;
        ItemRow::decode(value).ok().map(rows::public)
    }

    /// The dimensions of the vector space, once it is fixed.
    #[must_use]
    pub fn dimensions(&self) -> Option<usize> {
        self.index().map(|index| index.space().dimensions)
    }

    /// Serves a model from the next view on, or none.
    pub fn serve(&self, model: Option<Arc<ServedModel>>) {
        // Made beforehand, as far as it goes: views wait while rows and numbers are matched.
        let learned = model.map(|model| Learned {
            rows: vec![None; model.ids().len()],
            numbers: Vec::new(),
            lists: None,
            model,
        });
        self.write().serve(learned);
    }

    /// Serves lists of this domain beside the model whose numbers they have, if it is the one that is served.
    pub fn serve_lists(&self, model: &Arc<ServedModel>, lists: Arc<ItemLists>) {
        if let Some(learned) = &mut self.write().learned
            && Arc::ptr_eq(&learned.model, model)
        {
            learned.lists = Some(lists);
        }
    }

    /// A catalogue of these items, their vectors in `space`, without a group behind it: what a bench ranks.
    #[must_use]
    pub fn alone(space: Option<&Space>, items: Vec<v1::Item>) -> Self {
        let mut inner = Inner { room: items.len(), ..Inner::default() };
        if let Some(space) = space {
            inner.open_space(rows::row_of_space(space));
        }
        items.into_iter().for_each(|item| inner.put(rows::row_of(item)));
        Self { inner: RwLock::new(inner) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, changed: &[(Bytes, Option<Bytes>)], applied: u64) {
        let mut inner = self.write();
        // The space stands before the vectors that lie in it.
        for (key, value) in changed.iter().filter(|(key, _)| key.as_ref() == SPACE_KEY) {
            inner.take(key, value.as_ref());
        }
        for (key, value) in changed.iter().filter(|(key, _)| key.as_ref() != SPACE_KEY) {
            inner.take(key, value.as_ref());
        }
        inner.applied = applied;
    }

    pub(super) fn reload(&self, reader: &Reader, applied: u64) {
        let room = usize::try_from(reader.state().rows).unwrap_or(usize::MAX);
        let mut fresh = Inner { room, ..Inner::default() };
        for key in [SPACE_KEY, GENERATION_KEY] {
            if let Ok(Some(value)) = reader.get(key) {
                fresh.take(key, Some(&value));
            }
        }
        let mut after: Option<Bytes> = None;
        while let Ok(page) = reader.scan_prefix(b"i", after.as_deref(), PAGE) {
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            page.iter().for_each(|row| fresh.take(&row.key, Some(&row.value)));
        }
        fresh.applied = applied;
        let mut inner = self.write();
        let learned = inner.learned.take();
        fresh.serve(learned);
        *inner = fresh;
    }
}

/// The catalogue at one moment.
pub struct ShelfView<'a>(RwLockReadGuard<'a, Inner>);

impl ShelfView<'_> {
    /// The row of an item that is there.
    #[must_use]
    pub fn row(&self, item: &ItemId) -> Option<Row> {
        self.0.rows.get(item).copied().filter(|&row| self.facts(row).is_some())
    }

    /// Rows of the editorial list, first place first.
    pub fn editorial(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.editorial.values().copied()
    }

    /// All rows, the latest publication first.
    pub fn newest(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.newest.iter().map(|(_, row)| *row)
    }

    /// The rows of a category.
    pub fn in_category(&self, category: &str) -> impl Iterator<Item = Row> + '_ {
        self.0.categories.get(category).into_iter().flatten().copied()
    }

    /// The rows of any of these categories, if they are not more than so many by the count of each category.
    #[must_use]
    pub fn in_categories<'a>(
        &self,
        categories: impl Iterator<Item = &'a str> + Clone,
        most: usize,
    ) -> Option<BTreeSet<Row>> {
        let of = |category: &str| self.0.categories.get(category);
        let count: usize = categories.clone().filter_map(of).map(BTreeSet::len).sum();
        (count <= most).then(|| categories.filter_map(of).flatten().copied().collect())
    }

    /// All rows that are there.
    pub fn rows(&self) -> impl Iterator<Item = (Row, &ItemFacts)> + '_ {
        (0..).zip(&self.0.shelf).filter_map(|(row, entry)| Some((row, &entry.as_ref()?.facts)))
    }

    /// Items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.live
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.live == 0
    }

    /// The index, once there is a first vector.
    #[must_use]
    pub fn index(&self) -> Option<&LiveIndex> {
        self.0.index.as_deref()
    }

    /// The model that is served.
    #[must_use]
    pub fn model(&self) -> Option<&ServedModel> {
        self.0.learned.as_ref().map(|learned| &*learned.model)
    }

    /// What the people of this domain take together, by the model's numbers.
    #[must_use]
    pub fn lists(&self) -> Option<&ItemLists> {
        self.0.learned.as_ref()?.lists.as_deref()
    }

    /// The number by which the model knows a row; none where it knows nothing of it.
    #[must_use]
    pub fn number(&self, row: Row) -> Option<u32> {
        self.0.learned.as_ref()?.numbers.get(row as usize).copied().flatten()
    }

    /// The row that the model has under a number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<Row> {
        self.0.learned.as_ref()?.rows.get(number as usize).copied().flatten()
    }

    /// The log index up to which this is current.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.0.applied
    }
}

impl Shelf for ShelfView<'_> {
    fn facts(&self, row: Row) -> Option<&ItemFacts> {
        self.0.shelf.get(row as usize)?.as_ref().map(|entry| &entry.facts)
    }

    fn place_rows_max(&self, place: &str) -> usize {
        self.0.count_at(place)
    }

    fn vector(&self, row: Row) -> Option<&[f32]> {
        self.0.shelf.get(row as usize)?.as_ref()?.vector.as_deref()
    }

    /// By the model, where one is served: two spaces can't be compared, so what it does not know is like nothing.
    fn direction(&self, row: Row) -> Option<&[f32]> {
        match self.model() {
            Some(model) => model.vectors().direction(self.number(row)?),
            None => self.vector(row),
        }
    }
}
