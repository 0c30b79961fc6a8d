//! How a run numbers the items: one order for all domains.

use std::collections::HashMap;

use bailiwick_core::ids::ItemId;

/// Items by number, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemOrder {
    ids: Vec<ItemId>,
    numbers: HashMap<ItemId, u32>,
}

impl ItemOrder {
    /// Puts items in order; each counts once.
    #[must_use]
    pub fn new(mut ids: Vec<ItemId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let numbers = ids.iter().cloned().zip(0..).collect();
        Self { ids, numbers }
    }

    /// The number of an item that the run knows.
    #[must_use]
    pub fn number(&self, item: &ItemId) -> Option<u32> {
        self.numbers.get(item).copied()
    }

    /// The items, by number.
    #[must_use]
    pub fn ids(&self) -> &[ItemId] {
        &self.ids
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}
