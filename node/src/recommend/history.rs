//! What is known of a person, in the form that ranking reads.

use std::collections::BTreeSet;

use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::ranking::Row;

use crate::catalog::ShelfView;

/// Interests fade: after this long they count half.
const HALF_LIFE_MS: f64 = 180.0 * 24.0 * 3600.0 * 1000.0;
/// Interactions that are pooled, the newest first: as many as a model is learned from of one person.
const POOLED_MAX: usize = 1000;

/// One interaction with an item.
#[derive(Clone, PartialEq)]
pub struct Touch {
    /// The item.
    pub item: ItemId,
    /// -1 (disliked) to 1.
    pub weight: f32,
    /// When.
    pub at: UnixMillis,
}

/// Declared interests.
#[derive(Clone, Default, PartialEq)]
pub struct Declared {
    /// Categories.
    pub categories: Vec<String>,
    /// Creators.
    pub creators: Vec<String>,
    /// Languages.
    pub languages: Vec<String>,
}

impl Declared {
    /// Whether nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.creators.is_empty() && self.languages.is_empty()
    }
}

/// A person's history; empty for somebody of whom nothing may be read. No `Debug`: it is personal.
#[derive(Clone, Default, PartialEq)]
pub struct History {
    /// Explicit opinions, newest last.
    pub explicit: Vec<Touch>,
    /// Observed behaviour, newest last.
    pub behaviour: Vec<Touch>,
    /// Dealt with so long ago that nothing else is kept of it.
    pub older: Vec<ItemId>,
    /// Never to be shown.
    pub blocked: Vec<ItemId>,
    /// Explicit choices of categories and the like.
    pub interests: Declared,
}

impl History {
    /// Rows that the person has dealt with.
    #[must_use]
    pub fn seen(&self, shelf: &ShelfView<'_>) -> BTreeSet<Row> {
        let touches = self.explicit.iter().chain(&self.behaviour);
        let items = touches.map(|touch| &touch.item).chain(&self.older);
        items.filter_map(|item| shelf.row(item)).collect()
    }
}

/// The newest touches as rows with weights that fade with age; at most [`POOLED_MAX`].
pub(super) fn faded<'a>(
    touches: impl Iterator<Item = &'a Touch>,
    shelf: &ShelfView<'_>,
    now: UnixMillis,
) -> Vec<(Row, f32)> {
    let mut newest: Vec<&Touch> = touches.collect();
    newest.sort_by_key(|touch| std::cmp::Reverse(touch.at));
    let rows = newest.into_iter().filter_map(|touch| {
        let row = shelf.row(&touch.item)?;
        Some((row, touch.weight * fading(now, touch.at)))
    });
    rows.take(POOLED_MAX).collect()
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an age in ms fits f64
fn fading(now: UnixMillis, at: UnixMillis) -> f32 {
    let age = now.0.saturating_sub(at.0).max(0) as f64;
    (-age / HALF_LIFE_MS).exp2().max(0.05) as f32
}
