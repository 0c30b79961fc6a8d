//! What the packs ask of every slate, and how near a slate comes to it.

use std::collections::BTreeMap;

use crate::policy::Shares;

use super::{ItemFacts, Row, Shelf};
use crate::numbers::dot;

/// The floors that a finished slate must keep.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Floors {
    /// Intra-list diversity, 0 to 1.
    pub diversity: f32,
    /// Shares of items by the jurisdiction of their origin.
    pub local: Shares,
}

/// A floor that a slate could not keep: it is told with the decision, not hidden.
#[derive(Debug, Clone, PartialEq)]
pub enum Floor {
    /// Intra-list diversity.
    Diversity {
        /// What the pack asks for, 0 to 1.
        wanted: f32,
        /// What was reached.
        reached: f32,
    },
    /// The share of items from a place.
    Local {
        /// The place.
        place: Box<str>,
        /// What the pack asks for, 0 to 1.
        wanted: f32,
        /// What was reached.
        reached: f32,
    },
}

/// Intra-list diversity, `2/(n(n-1)) * sum_{i<j} d(i,j)` with `d = (1 - cos)/2`; 1 below two items.
///
/// With unit vectors the sum over pairs is `(|sum v|^2 - sum |v|^2) / 2`, so this costs O(n d). An item
/// without a vector is at distance 1/2 from all others.
#[must_use]
pub fn diversity(shelf: &dyn Shelf, rows: &[Row]) -> f32 {
    let n = rows.len();
    if n < 2 {
        return 1.0;
    }
    let mut sum = Direction::default();
    let mut norms = 0.0;
    for vector in rows.iter().filter_map(|&row| shelf.direction(row)) {
        sum.add(vector);
        norms += dot(vector, vector);
    }
    let pairs = count(n) * count(n - 1);
    (1.0 - (sum.along(&sum.0) - norms) / pairs) / 2.0
}

impl Floors {
    /// The floors that `rows` do not keep.
    #[must_use]
    pub fn unmet(&self, shelf: &dyn Shelf, rows: &[Row]) -> Vec<Floor> {
        let reached = diversity(shelf, rows);
        let flat = Floor::Diversity { wanted: self.diversity, reached };
        let flat = (reached < self.diversity).then_some(flat);
        let quota = Quota::of(&self.local, rows.len());
        let found = |place: &str| rows.iter().filter(|row| comes_from(shelf, **row, place)).count();
        let short = quota.wanted.iter().filter(|(place, wanted)| found(place) < **wanted);
        let local = short.map(|(place, _)| Floor::Local {
            place: (*place).into(),
            wanted: self.local.0.get(*place).map_or(0.0, |share| share.get()),
            reached: count(found(place)) / count(rows.len().max(1)),
        });
        flat.into_iter().chain(local).collect()
    }
}

/// Whether an item is from a place, or a part of it.
pub(super) fn comes_from(shelf: &dyn Shelf, row: Row, place: &str) -> bool {
    shelf.facts(row).is_some_and(|item| is_from(item, place))
}

fn is_from(item: &ItemFacts, place: &str) -> bool {
    let rest = item.origin.as_deref().and_then(|origin| origin.strip_prefix(place));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// How many items of each place are still wanted while a slate is filled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quota<'a> {
    wanted: BTreeMap<&'a str, usize>,
}

impl<'a> Quota<'a> {
    /// Of a slate of `items`.
    pub(super) fn of(shares: &'a Shares, items: usize) -> Self {
        let wanted = shares.0.iter().map(|(place, share)| (&**place, share.of(items)));
        Self { wanted: wanted.collect() }
    }

    /// The fewest items that fill all of it: one counts for its place and all that hold that place, so what
    /// is wanted of parts is not wanted of the whole again.
    pub(super) fn items(&self) -> usize {
        let roots = self.wanted.keys().filter(|place| self.enclosing(place).is_none());
        roots.map(|place| self.within(place)).sum()
    }

    fn within(&self, place: &str) -> usize {
        let inner = self.wanted.keys().filter(|inner| self.enclosing(inner) == Some(place));
        let inside: usize = inner.map(|inner| self.within(inner)).sum();
        self.wanted.get(place).copied().unwrap_or_default().max(inside)
    }

    /// The nearest place wanted that holds another one.
    fn enclosing(&self, place: &str) -> Option<&'a str> {
        let holds =
            |outer: &&&str| place.strip_prefix(**outer).is_some_and(|rest| rest.starts_with('-'));
        self.wanted.keys().filter(holds).max_by_key(|outer| outer.len()).copied()
    }

    /// What is wanted once `row` is taken.
    pub(super) fn after(&self, shelf: &dyn Shelf, row: Row) -> Self {
        let left = |(place, wanted): (&&'a str, &usize)| {
            (*place, wanted.saturating_sub(usize::from(comes_from(shelf, row, place))))
        };
        Self { wanted: self.wanted.iter().map(left).collect() }
    }

    /// Whether `row` is from a place that is named.
    pub(super) fn names(&self, shelf: &dyn Shelf, row: Row) -> bool {
        self.wanted.keys().any(|place| comes_from(shelf, row, place))
    }

    /// How much taking `row` helps: 2 where fewer items are wanted then, 1 where only a whole is filled whose
    /// parts are wanted still.
    pub(super) fn help(&self, shelf: &dyn Shelf, row: Row) -> u8 {
        let after = self.after(shelf, row);
        match after.items() < self.items() {
            true => 2,
            false => u8::from(after != *self),
        }
    }
}

/// A sum of vectors; as long as the longest that was added.
#[derive(Debug, Clone, Default)]
pub(super) struct Direction(Vec<f32>);

impl Direction {
    pub(super) fn add(&mut self, vector: &[f32]) {
        if self.0.len() < vector.len() {
            self.0.resize(vector.len(), 0.0);
        }
        self.0.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
    }

    pub(super) fn along(&self, vector: &[f32]) -> f32 {
        dot(vector, &self.0)
    }
}

#[allow(clippy::cast_precision_loss)] // slates have at most a few thousand items
pub(super) fn count(n: usize) -> f32 {
    n as f32
}
