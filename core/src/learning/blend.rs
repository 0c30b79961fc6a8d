//! The sum of both parts: vectors learned from everybody's sums, and lists from the people at home.
//!
//! A cluster scores the candidates that an index and the lists bring, an evaluation every item; both by these
//! weights and by [`Likeness`] and [`Along`], so that what is judged is what is served.

use std::collections::BTreeSet;

use super::{Along, ItemLists, Likeness, PooledModel};

/// How much each part of a score weighs. Every part is 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    /// Of the learned vectors.
    pub pooled: f32,
    /// Of the item-to-item lists.
    pub lists: f32,
}

impl Blend {
    /// One setting for every catalogue.
    pub const DEFAULT: Self = Self { pooled: 1.0, lists: 0.1 };
}

impl Default for Blend {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What scores are made of; a part that is missing counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts<'a> {
    /// The learned vectors.
    pub pooled: Option<&'a PooledModel>,
    /// Item-to-item lists of the person's home.
    pub lists: Option<&'a ItemLists>,
}

impl Blend {
    /// The score of every item of a catalogue of `items` for someone who took `taken`; negative infinity
    /// for what they have seen, which is not to be shown.
    #[must_use]
    pub fn scores(&self, parts: &Parts<'_>, items: usize, taken: &[u32], seen: &[u32]) -> Vec<f32> {
        let hidden: BTreeSet<u32> = seen.iter().copied().collect();
        let weighted = || taken.iter().map(|&item| (item, 1.0));
        let mut scores = vec![0.0; items];
        if let Some(likeness) = parts.pooled.and_then(|model| Likeness::of(model, weighted())) {
            let places = (0..).zip(&mut scores);
            places.for_each(|(item, score)| *score += self.pooled * likeness.score(item));
        }
        if let Some(lists) = parts.lists {
            let along = Along::of(lists, weighted(), |item| !hidden.contains(&item));
            for (item, said) in along.scores() {
                if let Some(score) = scores.get_mut(item as usize) {
                    *score += self.lists * said;
                }
            }
        }
        for item in hidden {
            if let Some(score) = scores.get_mut(item as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        scores
    }
}
