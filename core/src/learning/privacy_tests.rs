//! Learning under noise: what a person moves, and what is left to be learned.

use proptest::prelude::*;

use super::*;
use crate::numbers::{dot, length};

const ITEMS: usize = 60;

/// Draws from the standard normal distribution (Box and Muller 1958).
fn normal(seed: u64) -> impl FnMut() -> f64 {
    let (draws, mut place) = (Draws::new(seed), 0);
    let uniform = move || {
        place += 1;
        (draws.below(place, 1 << 53) as f64 + 0.5) / 9_007_199_254_740_992.0
    };
    let mut uniform = uniform;
    move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

/// What a person of one of two tastes takes: of the items below 25 or of the next 25; nobody takes the last ten.
fn taken(person: u32) -> Vec<u32> {
    (0..8).map(|at| (person % 2) * 25 + (person * 7 + at * at) % 25).collect()
}

fn people(count: u32) -> Interactions {
    let mut people = Interactions::new(ITEMS);
    (0..count).for_each(|person| people.push_as(person.into(), &taken(person), 100).unwrap());
    people
}

fn learned(epsilon: f64) -> PooledModel {
    let budget = Budget::new(epsilon, 1e-6).unwrap();
    let options =
        TrainingOptions { dimensions: 16, rounds: 40, ..TrainingOptions::default() }.under(budget);
    let people = [people(1200)];
    let mut normal = normal(7);
    let deviation = options.deviation(|whole| whole);
    let sum = |round: &Round, model: &PooledModel| {
        let mut total = summed(&people, round, model)?;
        total.blur(deviation, &mut normal);
        assert_eq!(total.counts().loss.to_bits(), 0.0_f64.to_bits(), "the loss is not told");
        Ok(total)
    };
    train(&people, options, sum, |_, _, _| {}).unwrap()
}

/// How much better what is of the person's taste scores than what is not.
fn taste(model: &PooledModel) -> f32 {
    let Some(pooled) = model.pool(taken(0).into_iter().map(|item| (item, 1.0))) else { return 0.0 };
    let mean = |items: std::ops::Range<usize>| {
        let rows = model.targets().rows().skip(items.start).take(items.len());
        rows.map(|row| dot(row, &pooled)).sum::<f32>() / 25.0
    };
    mean(0..25) - mean(25..50)
}

#[test]
fn the_more_may_be_told_the_more_is_learned() {
    let [much, little] = [1000.0, 0.01].map(learned);
    assert!(taste(&much) > 0.5, "{}", taste(&much));
    assert!(taste(&little) < 0.1, "{}", taste(&little));
    // What is only noise is not taken for an item that people took.
    let known = |model: &PooledModel| (0..ITEMS as u32).filter(|item| model.knows(*item)).count();
    assert_eq!(known(&much), 50);
    assert!(known(&little) < 5, "{}", known(&little));
}

#[test]
fn a_blurred_census_is_near_and_never_below_nothing() {
    let noise = Budget::new(10.0, 1e-6).unwrap().noise(41);
    let blurred = |census: Census, seed| {
        Census::of_share(&census.blurred(noise, 100, &mut normal(seed)).unwrap())
    };
    let found = blurred(Census { people: 10_000, pairs: 80_000 }, 3);
    assert!(
        found.people.abs_diff(10_000) < 200 && found.pairs.abs_diff(80_000) < 20_000,
        "{found:?}"
    );
    assert_ne!(found.people, 10_000);
    for seed in 0..20 {
        let none = blurred(Census { people: 0, pairs: 0 }, seed);
        assert!(none.people < 100 && none.pairs < 10_000, "{none:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What the noise is reckoned by: nobody moves a share further, weighed or not.
    #[test]
    fn a_person_moves_a_share_within_the_sensitivity(
        taken in prop::collection::vec(0..ITEMS as u32, 2..40),
        seed: u64,
        weight in 0.25..4.0_f64,
    ) {
        let form = TrainingOptions::default().form.frugal();
        let (task, held, fineness) = (Task::Contrast, None, Default::default());
        let round = Round { seed, rate: 1.0, groups: 3, form, task, held, fineness };
        let model = PooledModel::new(Block::seeded(ITEMS, 16, seed), Block::seeded(ITEMS, 16, !seed)).unwrap();
        let mut people = Interactions::new(ITEMS);
        people.push_as(seed, &taken, 1000).unwrap();
        let mut share = round.share(&people, &model, &round.groups(&people)).unwrap();
        let moved = |share: &Share| {
            let [targets, history, _] = share.blocks().map(|b| f64::from(length(b.scaled(1.0).values())));
            let Counts { examples, people, .. } = share.counts();
            (targets.powi(2) + history.powi(2) + examples.powi(2) + people.powi(2)).sqrt()
        };
        prop_assert!(moved(&share) <= form.sensitivity() * 1.0001, "{}", moved(&share));
        share.weigh(weight);
        prop_assert!(moved(&share) <= form.sensitivity() * weight.max(1.0) * 1.0001, "{}", moved(&share));
    }

    /// A domain that counts twice gives what two such domains give.
    #[test]
    fn a_weight_is_a_number_of_times(seed: u64) {
        let form = TrainingOptions::default().form;
        let (task, held, fineness) = (Task::Contrast, None, Default::default());
        let round = Round { seed, rate: 0.5, groups: 3, form, task, held, fineness };
        let model = PooledModel::new(Block::seeded(ITEMS, 16, seed), Block::seeded(ITEMS, 16, !seed)).unwrap();
        let once = summed(&[people(40)], &round, &model).unwrap();
        let (mut twice, mut weighed) = (once.clone(), once.clone());
        twice.add(&once).unwrap();
        weighed.weigh(2.0);
        let near = |a: &FixedBlock, b: &FixedBlock| {
            a.steps().iter().zip(b.steps()).all(|(a, b)| a.abs_diff(*b) <= 2)
        };
        prop_assert!(near(twice.blocks()[0], weighed.blocks()[0]));
        prop_assert!(near(twice.blocks()[1], weighed.blocks()[1]));
        prop_assert_eq!(weighed.counts().people.to_bits(), once.counts().people.to_bits());
    }
}
