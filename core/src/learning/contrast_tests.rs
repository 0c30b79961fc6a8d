//! The contrastive form: its gradient, what a person can move, and that domains add up to the whole.

use proptest::prelude::*;

use super::product::{Panels, Strips};
use super::*;
use crate::numbers::{exp, length};
use crate::wide::{Work, widest};

const ITEMS: usize = 40;
const DIMENSIONS: usize = 16;

fn form() -> Form {
    Form {
        person_examples_max: 8,
        negatives: 30,
        negative_weight: 20.0,
        temperature: 0.2,
        dropout: 0.3,
        contribution_max: 1000.0,
    }
}

fn bounds(people_min: u32) -> Bounds {
    Bounds {
        people_min,
        person_examples_max: 8,
        contributions_max: [std::f64::consts::SQRT_2, 4.0],
        weight_max: 1.0,
        deviation: 0.0,
    }
}

fn round(seed: u64) -> Round {
    let (task, held, fineness) = (Task::Contrast, None, Default::default());
    Round { seed, rate: 0.7, groups: 3, form: form(), task, held, fineness }
}

fn model(seed: u64) -> PooledModel {
    let block = |seed| Block::seeded(ITEMS, DIMENSIONS, seed);
    PooledModel::new(block(seed), block(!seed)).unwrap()
}

/// People with tags, dealt over `domains`.
fn dealt(people: &[Vec<u32>], domains: usize) -> Vec<Interactions> {
    let mut all = vec![Interactions::new(ITEMS); domains];
    for (tag, taken) in people.iter().enumerate() {
        all[tag * 7 % domains].push_as(tag as u64, taken, 1000).unwrap();
    }
    all
}

fn people() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..ITEMS as u32, 0..12), 1..40)
}

fn share_of(people: &Interactions, round: &Round, model: &PooledModel) -> Share {
    round.share(people, model, &round.groups(people)).unwrap()
}

fn assert_near(a: &Share, b: &Share) {
    for (a, b) in a.blocks().into_iter().zip(b.blocks()) {
        let (a, b) = (a.scaled(1.0), b.scaled(1.0));
        for (a, b) in a.values().iter().zip(b.values()) {
            assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} and {b}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However people are spread, the shares add up to what pooled data gives.
    #[test]
    fn domains_sum_to_the_whole(people in people(), seed: u64) {
        let (round, model) = (round(seed), model(seed));
        let central = summed(&dealt(&people, 1), &round, &model).unwrap();
        assert_near(&summed(&dealt(&people, 3), &round, &model).unwrap(), &central);
    }

    /// With the same batches, the order in which shares are computed and added changes no bit.
    #[test]
    fn order_changes_no_bit(people in people(), seed: u64) {
        let (round, model) = (round(seed), model(seed));
        let domains = dealt(&people, 3);
        let expected = summed(&domains, &round, &model).unwrap();
        let mut found = Share::zeros(ITEMS, DIMENSIONS);
        for people in domains.iter().rev() {
            for group in round.groups(people).iter().rev() {
                found.add(&round.share(people, &model, [group]).unwrap()).unwrap();
            }
        }
        prop_assert_eq!(found, expected);
    }

    /// One person moves a sum by no more than their examples may.
    #[test]
    fn a_person_is_bounded(taken in prop::collection::vec(0..ITEMS as u32, 2..40), seed: u64) {
        let bounded = Form { contribution_max: 0.5, person_examples_max: 3, ..form() };
        let round = Round { rate: 1.0, form: bounded, ..round(seed) };
        let share = share_of(&dealt(&[taken], 1)[0], &round, &model(seed));
        let counts = share.counts();
        prop_assert!(counts.examples <= 3.0 && counts.people <= 1.0);
        let [targets, history, _] = share.blocks().map(|block| length(block.scaled(1.0).values()));
        prop_assert!(targets <= 3.0 * 1.4143, "{}", targets);
        prop_assert!(history <= 3.0 * 0.5001, "{}", history);
        let contributions_max = [std::f64::consts::SQRT_2, 0.5];
        let bounds = Bounds { person_examples_max: 3, contributions_max, ..bounds(0) };
        prop_assert_eq!(share.check(&bounds), Ok(counts));
    }

    #[test]
    fn products_are_products(rows in 1..9_usize, columns in 1..40_usize, depth in 1..20_usize, seed: u64) {
        let left = Block::seeded(rows, depth, seed);
        let right = Block::seeded(columns, depth, !seed);
        let product = Panels::of_rows(left.values(), depth).times(&Strips::of_rows(right.values(), depth));
        for (strip, four) in product.each().zip(right.values().chunks(depth * 16)) {
            for (l, found) in left.rows().zip(strip) {
                for (r, found) in four.chunks(depth).zip(found) {
                    let expected: f32 = l.iter().zip(r).map(|(l, r)| l * r).sum();
                    prop_assert!((found - expected).abs() < 1e-4, "{} {}", found, expected);
                }
            }
        }
    }

    #[test]
    fn the_exponential_is_one(x in -80.0..80.0_f32) {
        let expected = f64::from(x).exp();
        prop_assert!((f64::from(exp(x)) - expected).abs() <= 3e-7 * expected, "{}: {}", x, exp(x));
    }

    #[test]
    fn fixed_point_keeps_what_it_is_given(values in prop::collection::vec(-100.0..100.0_f32, 16)) {
        let mut block = FixedBlock::zeros(1, 16);
        block.add_row(0, &values, 1.0);
        for (found, expected) in block.scaled(1.0).values().iter().zip(&values) {
            prop_assert!((found - expected).abs() <= 1e-5, "{} {}", found, expected);
        }
    }
}

/// A product as a piece of work.
struct Product<'a>(&'a Block, &'a Block);

impl Work for Product<'_> {
    type Out = Vec<[f32; 16]>;
    #[inline(always)]
    fn run(self) -> Self::Out {
        let depth = self.0.shape().1;
        let left = Panels::of_rows(self.0.values(), depth);
        let strips = left.times(&Strips::of_rows(self.1.values(), depth));
        strips.each().flatten().map(|row| row.map(|v| exp(v / 9.0))).collect()
    }
}

/// A cluster of unlike processors must learn one model.
#[test]
fn the_width_of_registers_changes_no_bit() {
    let (left, right) = (Block::seeded(13, 70, 1), Block::seeded(50, 70, 2));
    assert_eq!(widest(Product(&left, &right)), Product(&left, &right).run());
}

/// The gradient is that of the loss: a vector moved a little changes it as foretold.
#[test]
fn the_gradient_foretells_the_loss() {
    let people = dealt(
        &(0..30).map(|p| (0..6).map(|i| (p * p + i * 5) % 40).collect()).collect::<Vec<_>>(),
        1,
    );
    let (round, at) = (round(5), model(9));
    let loss = |model: &PooledModel| summed(&people, &round, model).unwrap().counts().loss;
    let share = summed(&people, &round, &at).unwrap();
    let [targets, history, _] = share.blocks().map(|block| block.scaled(1.0 / 0.2));
    let moved = |block: &Block, place: usize, by: f32| {
        let mut values = block.values().to_vec();
        values[place] += by;
        Block::new(ITEMS, DIMENSIONS, values).unwrap()
    };
    let step = 2e-3;
    for place in (0..ITEMS * DIMENSIONS).step_by(37) {
        let by_history =
            |by| PooledModel::new(at.targets().clone(), moved(at.history(), place, by)).unwrap();
        let slope = (loss(&by_history(step)) - loss(&by_history(-step))) / f64::from(2.0 * step);
        let expected = f64::from(history.values()[place]);
        assert!(
            (slope - expected).abs() < 0.02 * (1.0 + expected.abs()),
            "{place}: {slope} {expected}"
        );

        let by_target =
            |by| PooledModel::new(moved(at.targets(), place, by), at.history().clone()).unwrap();
        let slope = (loss(&by_target(step)) - loss(&by_target(-step))) / f64::from(2.0 * step);
        let row = place / DIMENSIONS;
        let (gradient, unit) = (targets.row(row).unwrap(), at.targets().row(row).unwrap());
        let along: f32 = gradient.iter().zip(unit).map(|(g, u)| g * u).sum();
        let expected = f64::from(targets.values()[place] - along * at.targets().values()[place]);
        assert!(
            (slope - expected).abs() < 0.02 * (1.0 + expected.abs()),
            "{place}: {slope} {expected}"
        );
    }
}

fn options() -> TrainingOptions {
    let defaults = TrainingOptions::default();
    TrainingOptions {
        dimensions: DIMENSIONS,
        rounds: 30,
        learning_rate: 0.05,
        people_min: 2,
        ..defaults
    }
}

fn trained(
    domains: &[Interactions],
    options: TrainingOptions,
) -> Result<PooledModel, LearningError> {
    train(domains, options, |round, model| summed(domains, round, model), |_, _, _| ())
}

/// Two circles of taste that share nothing: whoever took from one is recommended the rest of it.
#[test]
fn tastes_are_told_apart_across_domains() {
    let people: Vec<Vec<u32>> = (0..60_u32)
        .map(|person| {
            let draws = Draws::new(person.into());
            (0..5).map(|i| (person % 2) * 10 + draws.below(i, 10) as u32).collect()
        })
        .collect();
    let model = trained(&dealt(&people, 3), options()).unwrap();
    let scores = model.scores(&model.pool([(0, 1.0), (1, 0.5)]).unwrap());
    let worst_of_mine = scores[..10].iter().copied().fold(f32::INFINITY, f32::min);
    let best_of_theirs = scores[10..].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!(worst_of_mine > best_of_theirs + 0.1, "{scores:?}");
    assert!(model.knows(0) && !model.knows(30) && !model.knows(99));
    assert_eq!(model.pool([(30, 1.0), (99, 1.0)]), None);
    assert_eq!(model, trained(&dealt(&people, 3), options()).unwrap());
}

/// Whoever is left out leaves nothing behind: not a bit differs from a run that never saw them.
#[test]
fn who_gives_nothing_leaves_no_trace() {
    let all: Vec<Vec<u32>> =
        (0..20_u32).map(|p| (0..6).map(|i| (p * 3 + i * 7) % 40).collect()).collect();
    let with = dealt(&all, 1);
    let mut without = Interactions::new(ITEMS);
    for (tag, taken) in all.iter().enumerate().filter(|(tag, _)| *tag != 4) {
        without.push_as(tag as u64, taken, 1000).unwrap();
    }
    let round = round(3);
    let (with, without) =
        (share_of(&with[0], &round, &model(1)), share_of(&without, &round, &model(1)));
    assert_ne!(with, without);
    let mut alone = Interactions::new(ITEMS);
    alone.push_as(4, &all[4], 1000).unwrap();
    let mut sum = without;
    sum.add(&share_of(&alone, &round, &model(1))).unwrap();
    assert_near(&sum, &with);
}

#[test]
fn sums_that_cannot_be_are_refused() {
    let bounds = bounds(2);
    let people = dealt(&[vec![1, 2, 3], vec![2, 3, 4]], 1);
    let sound = share_of(&people[0], &Round { rate: 1.0, ..round(1) }, &model(1));
    assert!(sound.check(&bounds).is_ok());
    let refused = |change: fn(&mut Share), bounds: Bounds| {
        let mut share = sound.clone();
        change(&mut share);
        share.check(&bounds).unwrap_err().to_string()
    };
    let cases = [
        (refused(|_| (), Bounds { people_min: 3, ..bounds }), "2 people contributed"),
        (refused(|s| s.add_target(0, &[900.0; 16], 1.0), bounds), "the sum over targets is"),
        (refused(|s| s.add_history(0, &[900.0; 16], 1.0), bounds), "the sum over history is"),
        (refused(|s| s.count(90, 0, 0.0), bounds), "examples is 96"),
        (refused(|s| s.count(0, 50, 0.0), bounds), "the people who gave them is 52"),
        (refused(|s| s.count(0, 0, -900.0), bounds), "loss is"),
    ];
    for (found, expected) in cases {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let people = dealt(&[vec![1, 2, 3], vec![2, 3]], 1);
    let census = Census::of(&people[0]);
    assert_eq!(census, Census { people: 2, pairs: 5 });
    let start = |change: fn(&mut TrainingOptions)| {
        let mut options = options();
        change(&mut options);
        Training::start(options, ITEMS, census).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(start(|_| ()), Ok(()));
    assert_eq!(start(|o| o.rounds = 0).unwrap_err(), "rounds is 0, it must be at least 1");
    assert!(
        start(|o| o.form.temperature = f32::NAN).unwrap_err().starts_with("temperature is NaN")
    );
    assert!(start(|o| o.people_min = 3).unwrap_err().starts_with("2 people contributed"));

    let mut training = Training::start(options(), ITEMS, census).unwrap();
    let before = training.model().clone();
    assert!(training.advance(&Share::zeros(ITEMS, 3)).is_err());
    assert!(training.advance(&Share::zeros(ITEMS, DIMENSIONS)).is_err());
    assert_eq!((training.model(), training.progress()), (&before, (0, 30)));
    assert!(round(1).share(&Interactions::new(3), &before, &[]).is_err());
    assert!(PooledModel::new(Block::zeros(2, 3), Block::zeros(3, 2)).is_err());
    assert!(
        Share::new(FixedBlock::zeros(2, 2), FixedBlock::zeros(2, 2), FixedBlock::zeros(1, 2))
            .is_err()
    );
    assert!(FixedBlock::new(2, 2, vec![0; 3]).is_err());
    assert!(trained(&[], options()).is_err());
}

/// Nobody, one item, the same item twice: no example, and a share of the usual shape.
#[test]
fn short_histories_give_no_example() {
    let people = dealt(&[vec![], vec![1], vec![2, 2]], 1);
    let share = share_of(&people[0], &Round { rate: 1.0, ..round(1) }, &model(1));
    assert_eq!(share, Share::zeros(ITEMS, DIMENSIONS));
}
