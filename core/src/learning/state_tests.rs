//! A training that is taken apart and put together goes on as if nothing had been.

use proptest::prelude::*;

use super::*;

const ITEMS: usize = 40;

fn people(count: u32) -> Interactions {
    let mut people = Interactions::new(ITEMS);
    for person in 0..count {
        let taken: Vec<u32> = (0..6).map(|at| (person * 7 + at * at * 3) % 40).collect();
        people.push_as(person.into(), &taken, 100).unwrap();
    }
    people
}

fn options(seed: u64, private: bool) -> TrainingOptions {
    let rounds = 9;
    let options = TrainingOptions { dimensions: 8, rounds, seed, ..TrainingOptions::default() };
    let budget = Budget::new(50.0, 1e-6).unwrap();
    if private { options.under(budget) } else { options }
}

fn advance(training: &mut Training, rounds: u32) {
    let people = [people(60)];
    for _ in 0..rounds {
        let round = training.round().unwrap();
        let total = summed(&people, &round, &training.asked().unwrap()).unwrap();
        training.advance(&total).unwrap();
    }
}

fn kept(training: &Training) -> TrainingState<Vec<f32>> {
    let TrainingState { census, done, fineness, short, values } = training.state();
    let values = values.into_iter().map(Into::into).collect();
    TrainingState { census, done, fineness, short, values }
}

fn bits(training: &Training) -> Vec<u32> {
    let values = training.state().values;
    values.iter().flat_map(|part| part.iter()).map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_training_goes_on_to_the_bit(seed: u64, at in 0..9_u32, private: bool) {
        let options = options(seed, private);
        let mut whole = Training::start(options, ITEMS, Census::of(&people(60))).unwrap();
        advance(&mut whole, at);
        let mut resumed = Training::resume(options, ITEMS, kept(&whole)).unwrap();
        prop_assert_eq!(bits(&resumed), bits(&whole));
        prop_assert_eq!(resumed.round(), whole.round());
        advance(&mut whole, 9 - at);
        advance(&mut resumed, 9 - at);
        prop_assert_eq!(bits(&resumed), bits(&whole));
        prop_assert_eq!(kept(&resumed), kept(&whole));
        prop_assert_eq!(resumed.finish(), whole.finish());
    }
}

#[test]
fn what_no_training_was_is_refused() {
    let options = options(1, true);
    let mut training = Training::start(options, ITEMS, Census::of(&people(60))).unwrap();
    advance(&mut training, 2);
    let refused = |change: &dyn Fn(&mut TrainingState<Vec<f32>>)| {
        let mut state = kept(&training);
        change(&mut state);
        Training::resume(options, ITEMS, state).unwrap_err().to_string()
    };
    let starts = |found: String, expected: &str| assert!(found.contains(expected), "{found}");
    starts(refused(&|s| s.values[0][3] = f32::NAN), "not finite");
    starts(refused(&|s| s.values[2][3] = -1.0), "no length");
    starts(refused(&|s| s.values[4][3] = -1.0), "below 0");
    starts(refused(&|s| s.values[7][3] = f32::INFINITY), "not finite");
    starts(refused(&|s| s.values[5].truncate(3)), "not as many");
    starts(refused(&|s| drop(s.values.pop())), "not as many");
    starts(refused(&|s| s.done = 10), "more rounds");
    starts(refused(&|s| s.short[1] = f64::NAN), "number of rounds");
    starts(refused(&|s| s.fineness[1] = 40), "steps are none");
    starts(refused(&|s| s.census.people = 3), "at least 20");
}

#[test]
fn options_that_differ_have_other_bits() {
    let base = options(1, true);
    let others = [
        TrainingOptions { seed: 2, ..base },
        TrainingOptions { learning_rate: 0.041, ..base },
        TrainingOptions { balance: Balance::new(0.5).unwrap(), ..base },
        TrainingOptions { form: Form { dropout: 0.3, ..base.form }, ..base },
        TrainingOptions { budget: None, ..base },
        base.under(Budget::new(50.0, 1e-7).unwrap()),
    ];
    assert_eq!(base.bits(), options(1, true).bits());
    assert!(others.iter().all(|other| other.bits() != base.bits()));
}
