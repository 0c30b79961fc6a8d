//! What a cluster scores its candidates by, and an evaluation every item, is one thing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bailiwick_core::learning::{
    Along, Blend, Block, Interactions, ItemLists, Likeness, ListOptions, Parts, PooledModel, Takers,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

const ITEMS: usize = 30;

fn model(seed: u64) -> PooledModel {
    let block = |seed| Block::seeded(ITEMS, 4, seed);
    PooledModel::new(block(seed), block(seed + 1)).unwrap()
}

fn lists(people: &[Vec<u32>]) -> ItemLists {
    let mut taken = Interactions::new(ITEMS);
    people.iter().for_each(|person| taken.push(person, 100).unwrap());
    Takers::of(&taken).lists(0..ITEMS, &ListOptions { shrink: 1.0, ..ListOptions::default() })
}

fn people() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let person = btree_set(0..ITEMS as u32, 1..8).prop_map(|items| items.into_iter().collect());
    vec(person, 1..30)
}

fn taken() -> impl Strategy<Value = Vec<(u32, f32)>> {
    vec((0..ITEMS as u32, -1.0_f32..1.0), 0..10)
}

proptest! {
    #[test]
    fn what_is_taken_along_is_the_sum_over_the_lists(
        people in people(), taken in taken(), hidden in btree_set(0..ITEMS as u32, 0..10),
    ) {
        let lists = lists(&people);
        let along = Along::of(&lists, taken.iter().copied(), |item| !hidden.contains(&item));
        let share = |item: u32, (by, weight): (u32, f32)| {
            let found = lists.of(by).iter().find(|(other, _)| *other == item);
            found.map_or(0.0, |(_, along)| weight * along)
        };
        let sum = |item: u32| taken.iter().map(|by| share(item, *by)).sum::<f32>();
        let shown = |item: &u32| !hidden.contains(item) && sum(*item) > 0.0;
        let greatest = (0..ITEMS as u32).filter(shown).map(sum).fold(0.0, f32::max);
        for item in 0..ITEMS as u32 {
            let expected = if shown(&item) { sum(item) / greatest } else { 0.0 };
            prop_assert!((along.score(item) - expected).abs() < 1e-4);
            prop_assert_eq!(along.carried_by(item).is_some(), along.score(item) > 0.0);
            if let Some(by) = along.carried_by(item) {
                // An item that was taken twice speaks twice: its greater share is the one that carries.
                let of = |by: u32| taken.iter().filter(move |t| t.0 == by).map(|t| share(item, *t));
                let most = of(by).fold(f32::MIN, f32::max);
                prop_assert!(taken.iter().all(|t| share(item, *t) <= most + 1e-6));
            }
        }
        let best = along.best(5);
        prop_assert!(best.is_sorted_by(|a, b| a.1 >= b.1) && best.len() <= 5);
        let all = along.best(ITEMS);
        prop_assert_eq!(&all[..best.len()], &best[..]);
        prop_assert_eq!(all.len(), along.scores().count());
    }

    #[test]
    fn a_score_is_the_weighted_sum_of_its_parts(
        people in people(), taken in btree_set(0..ITEMS as u32, 0..8), seed in 0_u64..50,
    ) {
        let (model, lists) = (model(seed), lists(&people));
        let taken: Vec<u32> = taken.into_iter().collect();
        let blend = Blend { pooled: 0.7, lists: 0.4, ..Blend::DEFAULT };
        let parts = Parts { pooled: Some(&model), lists: Some(&lists) };
        let scores = blend.scores(&parts, ITEMS, &taken, &taken);
        let weighted = || taken.iter().map(|&item| (item, 1.0));
        let likeness = Likeness::of(&model, weighted());
        let along = Along::of(&lists, weighted(), |item| !taken.contains(&item));
        for (item, score) in (0..).zip(scores) {
            let near = likeness.as_ref().map_or(0.0, |likeness| likeness.score(item));
            prop_assert!((0.0..=1.0).contains(&near));
            let expected = match taken.contains(&item) {
                true => f32::NEG_INFINITY,
                false => 0.7 * near + 0.4 * along.score(item),
            };
            prop_assert!(score == expected || (score - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn what_carries_a_likeness_speaks_most_for_the_item(taken in taken(), seed in 0_u64..50) {
        let model = model(seed);
        let Some(likeness) = Likeness::of(&model, taken.iter().copied()) else { return Ok(()) };
        let history = |by: u32| model.history().row(by as usize).unwrap();
        let length = |vector: &[f32]| vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        let mut sum = [0.0_f32; 4];
        for (by, weight) in &taken {
            sum.iter_mut().zip(history(*by)).for_each(|(sum, v)| *sum += weight * v);
        }
        for item in 0..ITEMS as u32 {
            let target = model.targets().row(item as usize).unwrap();
            let along = |by: u32| history(by).iter().zip(target).map(|(a, b)| a * b).sum::<f32>();
            let cosine = |by: u32| along(by) / length(history(by));
            let liked = taken.iter().filter(|(_, weight)| *weight > 0.0).map(|(by, _)| cosine(*by));
            let nearest = liked.fold(0.0, f32::max);
            // A share in what all say together and, of the nearest, what it says alone.
            let share = |&(by, weight): &(u32, f32)| {
                let liked = taken.iter().any(|t| t.0 == by && t.1 > 0.0);
                let alone = liked && nearest > 0.0 && cosine(by) > nearest - 1e-6;
                weight * along(by) / length(&sum) + if alone { 0.3 * nearest } else { 0.0 }
            };
            let most = taken.iter().map(share).fold(f32::MIN, f32::max);
            match likeness.carried_by(item, taken.iter().copied()) {
                Some(by) => {
                    let of = taken.iter().filter(|t| t.0 == by).map(share);
                    prop_assert!((of.fold(f32::MIN, f32::max) - most).abs() < 1e-4 * most.max(1.0));
                }
                None => prop_assert!(most <= 1e-6),
            }
        }
    }
}

/// Nothing is known of an empty history, of items that the model does not know, or of what cancels.
#[test]
fn nothing_is_said_where_nothing_is_known() {
    let (model, lists) = (model(3), lists(&[vec![0, 1], vec![0, 1, 2]]));
    for taken in [vec![], vec![(99, 1.0)], vec![(4, 1.0), (4, -1.0)]] {
        assert!(Likeness::of(&model, taken.iter().copied()).is_none(), "{taken:?}");
        let along = Along::of(&lists, taken.iter().copied(), |_| true);
        assert_eq!((along.best(9), along.score(0)), (vec![], 0.0), "{taken:?}");
    }
    let parts = Parts { pooled: Some(&model), lists: Some(&lists) };
    assert!(Blend::default().scores(&parts, ITEMS, &[], &[]).iter().all(|score| *score == 0.0));
    let one = Likeness::of(&model, [(7, 1.0)]).unwrap();
    assert_eq!(one.carried_by(99, [(7, 1.0)]), None, "an item outside");
    assert_eq!(one.score(99), 0.0);
}
