//! The sum of both parts: vectors learned from everybody's sums, and lists from the people at home.
//!
//! A cluster scores the candidates that an index and the lists bring, an evaluation every item; both by these
//! weights and by [`Likeness`] and [`Along`], so that what is judged is what is served.

use std::collections::BTreeSet;

use super::{Along, ItemLists, Likeness, PooledModel};

/// How much each part of a score weighs. Every part is 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    /// Of the learned vectors, both parts together.
    pub pooled: f32,
    /// Of the vectors' spectral part, where the contrastive one counts 1.
    pub spectral: f32,
    /// Of the item-to-item lists.
    pub lists: f32,
}

impl Blend {
    /// Where no weights were learned ([`super::Grid`]).
    pub const DEFAULT: Self = Self { pooled: 1.0, spectral: 0.5, lists: 0.08 };

    /// Whether it is one: no weight below 0, none beyond bounds.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let Self { pooled, spectral, lists } = *self;
        [pooled, spectral, lists].iter().all(|weight| (0.0..=WEIGHT_MAX).contains(weight))
    }
}

/// A weight at most.
const WEIGHT_MAX: f32 = 100.0;

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
    /// The score of every item of a catalogue of `items` for someone who took `taken`, the newest last; negative
    /// infinity for what they have seen, which is not to be shown. The nearest item taken is looked for where that can
    /// change who is among the best.
    #[must_use]
    pub fn scores(&self, parts: &Parts<'_>, items: usize, taken: &[u32], seen: &[u32]) -> Vec<f32> {
        let hidden: BTreeSet<u32> = seen.iter().copied().collect();
        let newest_first = || taken.iter().rev().map(|&item| (item, 1.0));
        let mut scores = vec![0.0; items];
        let shown = |item: u32| !hidden.contains(&item);
        let along = parts.lists.map(|lists| Along::of(lists, newest_first(), shown));
        let along: Vec<(u32, f32)> = along.iter().flat_map(Along::scores).collect();
        let likeness = |model| Likeness::weighing(model, newest_first(), self.spectral);
        if let Some(likeness) = parts.pooled.and_then(likeness) {
            (0..).zip(&mut scores).for_each(|(item, score)| *score = likeness.together(item));
            let near = nearest(&scores, shown);
            scores.iter_mut().for_each(|score| *score *= self.pooled * likeness.part());
            for item in near.into_iter().chain(along.iter().map(|(item, _)| *item)) {
                if let Some(score) = scores.get_mut(item as usize) {
                    *score = self.pooled * likeness.score(item);
                }
            }
        }
        for (item, said) in along {
            if let Some(score) = scores.get_mut(item as usize) {
                *score += self.lists * said;
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

/// Items whose nearest neighbour among those taken is looked for: as many as a source brings a node for a slate, and
/// more.
pub(super) const NEAR_MAX: usize = 200;

/// The items of the best cosines.
pub(super) fn nearest(cosines: &[f32], shown: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut near: Vec<(f32, u32)> =
        cosines.iter().copied().zip(0..).filter(|(_, item)| shown(*item)).collect();
    if near.len() > NEAR_MAX {
        near.select_nth_unstable_by(NEAR_MAX, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(NEAR_MAX);
    }
    near.into_iter().map(|(_, item)| item).collect()
}
