//! The weights of a blend are learned too: each domain judges a grid of them at home, by what was held back, and only
//! sums over its people leave it, under masks like all others.

use std::collections::BTreeSet;

use super::blend::{NEAR_MAX, nearest};
use super::likeness::NEAREST;
use super::{
    Along, Blend, Counts, Held, Interactions, ItemLists, LearningError, Likeness, ListOptions,
    PooledModel, Share, Takers,
};
use crate::wide::{Work, widest};

/// Weights of the spectral part that are tried, where the contrastive one counts 1.
const SPECTRAL: [f32; 5] = [0.0, 0.25, 0.5, 1.0, 2.0];
/// Weights of the lists that are tried, where the contrastive part counts 1.
const LISTS: [f32; 7] = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
/// Blends that are judged no worse than the best by more than this part are as good: which of them is best is chance.
const AS_GOOD: f32 = 0.01;
/// A spectral part of less weight is left out.
const SPECTRAL_MIN: f32 = 0.125;
/// Items of a slate that is judged.
const AT: usize = 20;

/// The blends that are tried.
#[derive(Debug, Clone, Copy)]
pub struct Grid;

impl Grid {
    /// How many there are: the columns of a share of judging.
    pub const POINTS: usize = SPECTRAL.len() * LISTS.len();

    /// All of them, in the order of a share's columns.
    pub fn blends() -> impl Iterator<Item = Blend> {
        let of = |spectral: f32| {
            let blend =
                move |lists| Blend { pooled: 1.0, spectral, lists: lists / whole(spectral) };
            LISTS.iter().map(blend)
        };
        SPECTRAL.iter().copied().flat_map(of)
    }

    /// The middle of the blends that are as good as the best, by the sum of NDCG@20 and Recall@20, with the means of the
    /// best of them; none where the sum is over fewer people than `people_min`.
    ///
    /// # Errors
    /// [`LearningError::Bound`] for sums that so many people can't have given.
    pub fn best(total: &Share, people_min: u32) -> Result<Option<Judged>, LearningError> {
        let Counts { people, examples, .. } = total.counts();
        if people < f64::from(people_min) {
            return Ok(None);
        }
        // Each is one example, of the weight that their domain has.
        let each = 1.0 / examples.max(f64::MIN_POSITIVE);
        let [ndcgs, recalls, _] = total.blocks().map(|block| block.scaled(each));
        let means = ndcgs.values().iter().zip(recalls.values());
        let judged =
            |(blend, (&ndcg, &recall))| Judged { blend, people: people as u64, ndcg, recall };
        let all: Vec<Judged> = Self::blends().zip(means).map(judged).collect();
        all.iter().try_for_each(Judged::check)?;
        let best = all.iter().copied().reduce(|a, b| if b.worth() > a.worth() { b } else { a });
        let as_good = |best: &Judged| {
            let least = best.worth() * (1.0 - AS_GOOD);
            all.iter().filter(move |judged| judged.worth() >= least).map(|judged| judged.blend)
        };
        Ok(best.map(|best| Judged { blend: middle(as_good(&best)), ..best }))
    }
}

/// The blend of the mean weights of the parts, each against a contrastive part of 1.
fn middle(blends: impl Iterator<Item = Blend>) -> Blend {
    let mut sums = (0.0, 0.0, 0.0_f32);
    for Blend { spectral, lists, .. } in blends {
        let lists = lists * whole(spectral);
        sums = (sums.0 + spectral, sums.1 + lists, sums.2 + 1.0);
    }
    let (spectral, lists) = (sums.0 / sums.2, sums.1 / sums.2);
    // A part that says next to nothing is not worth half as much memory again.
    let spectral = if spectral < SPECTRAL_MIN { 0.0 } else { spectral };
    Blend { pooled: 1.0, spectral, lists: lists / whole(spectral) }
}

/// What the parts of the vectors weigh together, against which a blend weighs lists.
fn whole(spectral: f32) -> f32 {
    1.0 + NEAREST + spectral
}

/// A blend, and how it did over all domains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The weights.
    pub blend: Blend,
    /// People by whom it was judged.
    pub people: u64,
    /// Their mean NDCG@20.
    pub ndcg: f32,
    /// Their mean Recall@20.
    pub recall: f32,
}

impl Judged {
    fn worth(&self) -> f32 {
        self.ndcg + self.recall
    }

    /// Means are parts.
    fn check(&self) -> Result<(), LearningError> {
        let within = |mean: f32| (-1e-3..=1.0 + 1e-3).contains(&mean);
        match within(self.ndcg) && within(self.recall) {
            true => Ok(()),
            false => Err(LearningError::Bound {
                what: "what was judged",
                found: self.ndcg.max(self.recall).into(),
                most: 1.0,
            }),
        }
    }
}

/// What a domain gives: over the people among `persons` of whom something is held back, for every blend the sum of
/// NDCG@20 and that of Recall@20 (1 x [`Grid::POINTS`] each). `people` are whole.
pub(super) fn share(
    people: &Interactions,
    held: &Held,
    model: &PooledModel,
    persons: &[usize],
) -> Share {
    let mut share = Share::zeros(1, Grid::POINTS);
    if persons.is_empty() {
        return share;
    }
    let rest = held.without(people);
    let lists = Takers::of(&rest).lists(0..people.items(), &ListOptions::default()).turned();
    for (place, (tag, taken)) in people.tagged().enumerate() {
        let (kept, held) = held.split(tag, taken);
        if held.is_empty() || persons.binary_search(&place).is_err() {
            continue;
        }
        let worth = worth(model, &lists, &kept, &held);
        let (ndcgs, recalls): (Vec<f32>, Vec<f32>) = worth.into_iter().unzip();
        share.add_target(0, &ndcgs, 1.0);
        share.add_history(0, &recalls, 1.0);
        share.count(1, 1, 0.0);
    }
    share
}

/// What the parts of a score say of an item, as [`Likeness`] and [`Along`] have it: the contrastive part and the
/// spectral one before they are added, the nearest, the lists.
#[derive(Clone, Copy)]
struct Said {
    apart: (f32, f32),
    nearest: f32,
    along: f32,
}

/// What [`Likeness::together`] would be with this weight of the spectral part.
fn together((first, second): (f32, f32), spectral: f32) -> f32 {
    (first + spectral * second).clamp(0.0, 1.0 + spectral)
}

impl Said {
    fn score(&self, blend: Blend) -> f32 {
        let Blend { pooled, spectral, lists } = blend;
        let alike = together(self.apart, spectral) + NEAREST * self.nearest;
        pooled * alike / whole(spectral) + lists * self.along
    }
}

/// Both dot products of every item.
struct Apart<'a>(&'a Likeness<'a>, usize);

impl Work for Apart<'_> {
    type Out = Vec<(f32, f32)>;

    #[inline(always)]
    fn run(self) -> Self::Out {
        (0..).take(self.1).map(|item| self.0.apart(item)).collect()
    }
}

/// NDCG@20 and Recall@20 of every blend's slate for one person, both sides ascending.
fn worth(model: &PooledModel, lists: &ItemLists, kept: &[u32], held: &[u32]) -> Vec<(f32, f32)> {
    let taken = || kept.iter().rev().map(|&item| (item, 1.0));
    let shown = |item: u32| kept.binary_search(&item).is_err();
    let along = Along::of(lists, taken(), shown);
    let likeness = Likeness::weighing(model, taken(), 1.0);
    let items = model.targets().shape().0;
    let apart = likeness.as_ref().map(|likeness| widest(Apart(likeness, items)));
    let mut candidates: BTreeSet<u32> =
        along.best(NEAR_MAX).into_iter().map(|(item, _)| item).collect();
    for (apart, spectral) in apart.iter().flat_map(|apart| SPECTRAL.map(|weight| (apart, weight))) {
        let scores: Vec<f32> = apart.iter().map(|&apart| together(apart, spectral)).collect();
        candidates.extend(nearest(&scores, shown));
    }
    let said = |item: u32| Said {
        apart: apart.as_ref().and_then(|all| all.get(item as usize)).copied().unwrap_or_default(),
        nearest: likeness.as_ref().map_or(0.0, |likeness| likeness.nearest(item)),
        along: along.score(item),
    };
    let said: Vec<(u32, Said)> = candidates.into_iter().map(|item| (item, said(item))).collect();
    let judged = |blend: Blend| {
        let scored = said.iter().map(|(item, said)| (said.score(blend), *item));
        of_slate(&slate(scored.collect()), held)
    };
    Grid::blends().map(judged).collect()
}

fn slate(mut scored: Vec<(f32, u32)>) -> Vec<u32> {
    let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if scored.len() > AT {
        scored.select_nth_unstable_by(AT, better);
        scored.truncate(AT);
    }
    scored.sort_by(better);
    scored.into_iter().map(|(_, item)| item).collect()
}

/// NDCG and recall of a slate: binary gain, over the ideal for min(20, items held back).
fn of_slate(slate: &[u32], held: &[u32]) -> (f32, f32) {
    let gain = |place: usize| 1.0 / (place as f32 + 2.0).log2();
    let hits = slate.iter().enumerate().filter(|(_, item)| held.binary_search(item).is_ok());
    let (gained, count) =
        hits.fold((0.0, 0.0), |(gained, count), (place, _)| (gained + gain(place), count + 1.0));
    let ideal: f32 = (0..held.len().min(AT)).map(gain).sum();
    (gained / ideal.max(f32::MIN_POSITIVE), count / held.len().max(1) as f32)
}

/// An empty share of judging.
pub(super) const SHAPE: (usize, usize) = (1, Grid::POINTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slate_is_worth_what_its_places_say() {
        assert_eq!(of_slate(&[4, 7], &[4, 7]), (1.0, 1.0));
        let (ndcg, recall) = of_slate(&[1, 4], &[4, 9]);
        assert!((ndcg - 0.630_93 / 1.630_93).abs() < 1e-4, "{ndcg}");
        assert!((recall - 0.5).abs() < 1e-6);
        assert_eq!(of_slate(&[], &[4]), (0.0, 0.0));
    }

    fn total(people: usize, greatest: &[(usize, f32)]) -> Share {
        let mut share = Share::zeros(1, Grid::POINTS);
        let mut worth = vec![0.1; Grid::POINTS];
        greatest.iter().for_each(|(at, value)| worth[*at] = *value);
        for _ in 0..people {
            share.add_target(0, &worth, 1.0);
            share.add_history(0, &worth, 1.0);
            share.count(1, 1, 0.0);
        }
        share
    }

    #[test]
    fn the_best_blend_is_chosen_by_enough_people_alone() {
        let third = Grid::blends().nth(17).unwrap();
        let best = Grid::best(&total(30, &[(17, 0.2)]), 20).unwrap().unwrap();
        assert_eq!((best.blend.spectral, best.people), (third.spectral, 30));
        assert!((best.blend.lists - third.lists).abs() < 1e-6);
        assert!((best.ndcg - 0.2).abs() < 1e-5);
        assert_eq!(Grid::best(&total(19, &[(17, 0.2)]), 20), Ok(None));
        let mut lies = total(30, &[]);
        lies.add_target(0, &[60.0; Grid::POINTS], 1.0);
        assert!(matches!(Grid::best(&lies, 20), Err(LearningError::Bound { .. })));
    }

    /// What is best among equals is chance, so that the middle of them is taken.
    #[test]
    fn of_blends_as_good_as_the_best_the_middle_is_served() {
        let at = |spectral: usize, lists: usize| spectral * LISTS.len() + lists;
        let found = |greatest: &[(usize, f32)]| {
            Grid::best(&total(30, greatest), 20).unwrap().unwrap().blend
        };
        let blend = found(&[(at(1, 0), 0.2), (at(3, 2), 0.1995), (at(4, 6), 0.19)]);
        assert!((blend.spectral - 0.625).abs() < 1e-6, "{blend:?}");
        assert!((blend.lists * whole(0.625) - 0.05).abs() < 1e-6, "{blend:?}");
        let all: Vec<(usize, f32)> = (0..LISTS.len()).map(|lists| (at(0, lists), 0.2)).collect();
        let rare = found(&[all.as_slice(), &[(at(1, 0), 0.2)]].concat());
        assert_eq!(rare.spectral, 0.0, "next to nothing is left out");
    }

    /// A domain that counts more than its people are counts more in the means too, which stay means.
    #[test]
    fn means_are_of_weighted_people() {
        let mut weighed = total(30, &[(17, 0.9)]);
        weighed.weigh(3.0);
        let best = Grid::best(&weighed, 20).unwrap().unwrap();
        assert!((best.ndcg - 0.9).abs() < 1e-4 && best.people == 30, "{best:?}");
    }
}
