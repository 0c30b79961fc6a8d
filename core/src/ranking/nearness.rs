//! How near the items of a shortlist are to those that are chosen of it.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::{Row, Shelf};
use crate::numbers::dot;
use crate::wide::{Work, widest};

/// Dot products that are kept: those of a shortlist of a thousand items.
const KEPT_MAX: usize = 1 << 20;

/// The directions of a shortlist, and what was found of them. A slate is chosen several times over, mostly of the same
/// items: what one is like is found once.
pub(super) struct Nearness<'a> {
    directions: Vec<&'a [f32]>,
    found: Vec<OnceCell<Vec<f32>>>,
}

impl<'a> Nearness<'a> {
    pub(super) fn of(shelf: &'a dyn Shelf, ranked: &[(Row, f32)]) -> Self {
        let direction = |(row, _): &(Row, f32)| shelf.direction(*row).unwrap_or_default();
        let directions: Vec<&[f32]> = ranked.iter().map(direction).collect();
        let kept = directions.len().pow(2) <= KEPT_MAX;
        let found = if kept { vec![OnceCell::new(); directions.len()] } else { Vec::new() };
        Self { directions, found }
    }

    /// The dot product of the item at each place with the one at `place`; 0 with one that has no direction.
    pub(super) fn with(&self, place: usize) -> Cow<'_, [f32]> {
        let find = || {
            let other = self.directions.get(place).copied().unwrap_or_default();
            widest(Dots { directions: &self.directions, other })
        };
        match self.found.get(place) {
            Some(found) => Cow::Borrowed(found.get_or_init(find)),
            None => Cow::Owned(find()),
        }
    }
}

/// The dot products of directions with another one.
struct Dots<'a> {
    directions: &'a [&'a [f32]],
    other: &'a [f32],
}

impl Work for Dots<'_> {
    type Out = Vec<f32>;

    #[inline(always)]
    fn run(self) -> Self::Out {
        self.directions.iter().map(|direction| dot(direction, self.other)).collect()
    }
}
