//! A model in memory: vectors, the numbers of the items, and an index over their directions.

use bailiwick_ann::{AnnError, LiveIndex};
use bailiwick_core::ids::ItemId;
use bailiwick_core::learning::PooledModel;

use super::{ModelFile, index};
use crate::learning::ItemOrder;

/// A model as it is served.
pub struct ServedModel {
    sha256: Vec<u8>,
    order: ItemOrder,
    model: PooledModel,
    index: LiveIndex,
}

impl ServedModel {
    /// Takes the index out of the file, or builds it, for long, where it has none that is this model's.
    ///
    /// # Errors
    /// [`AnnError`].
    pub fn build(sha256: Vec<u8>, file: ModelFile) -> Result<Self, AnnError> {
        let ModelFile { order, model, index } = file;
        let index = match index::read(&index, &model) {
            Some(index) => index,
            None => index::build(&model)?,
        };
        Ok(Self { sha256, order, model, index })
    }

    /// The hash of its file.
    #[must_use]
    pub fn sha256(&self) -> &[u8] {
        &self.sha256
    }

    /// The items, by number.
    #[must_use]
    pub fn ids(&self) -> &[ItemId] {
        self.order.ids()
    }

    /// The order of the items.
    #[must_use]
    pub fn order(&self) -> &ItemOrder {
        &self.order
    }

    /// The number of an item of which the model knows something.
    #[must_use]
    pub fn number(&self, item: &ItemId) -> Option<u32> {
        self.order.number(item).filter(|number| self.model.knows(*number))
    }

    /// The vectors, by number.
    #[must_use]
    pub fn vectors(&self) -> &PooledModel {
        &self.model
    }

    /// The index over the directions; its rows are numbers.
    #[must_use]
    pub fn index(&self) -> &LiveIndex {
        &self.index
    }
}
