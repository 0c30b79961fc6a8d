//! A whole run: both parts of the vectors, and the blend that is judged at home.

use std::collections::BTreeSet;

use super::*;

const ITEMS: usize = 60;

/// People of three tastes of 20 items each, who take 12 of theirs.
fn people(count: u32) -> Vec<Vec<u32>> {
    let of = |person: u32| {
        let draws = Draws::new(person.into());
        let taken = (0..16).map(|at| (person % 3) * 20 + draws.below(at, 20) as u32);
        taken.collect::<BTreeSet<u32>>().into_iter().collect()
    };
    (0..count).map(of).collect()
}

fn dealt(people: &[Vec<u32>], domains: usize) -> Vec<Interactions> {
    let mut parts = vec![Interactions::new(ITEMS); domains];
    for (tag, taken) in people.iter().enumerate() {
        parts[tag % domains].push_as(tag as u64, taken, 1000).unwrap();
    }
    parts
}

fn options() -> TrainingOptions {
    TrainingOptions { dimensions: 16, rounds: TASKS_FROM, ..TrainingOptions::default() }
}

/// Until a round of a task, or the end.
fn advance(training: &mut Training, domains: &[Interactions], until: Option<Task>) {
    while let Some(round) = training.round().filter(|round| Some(round.task) != until) {
        let total = summed(domains, &round, &training.asked().unwrap()).unwrap();
        training.advance(&total).unwrap();
    }
}

/// Until the judging; of the same model each round's sums over people dealt otherwise are the same: by history vectors
/// to the bit, by targets to 1e-6 of the greatest.
fn advance_beside(training: &mut Training, domains: &[Interactions], others: &[Vec<Interactions>]) {
    while let Some(round) = training.round().filter(|round| round.task != Task::Judging) {
        let model = training.asked().unwrap();
        let total = summed(domains, &round, &model).unwrap();
        for other in others {
            let other = summed(other, &round, &model).unwrap();
            if round.task == Task::Contrast {
                assert!(total.blocks()[1] == other.blocks()[1]);
            }
            for (one, other) in total.blocks().into_iter().zip(other.blocks()) {
                let (one, other) = (one.scaled(1.0), other.scaled(1.0));
                let most = one.values().iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6 * most;
                assert!(!one.values().iter().zip(other.values()).any(far), "{:?}", round.task);
            }
        }
        training.advance(&total).unwrap();
    }
}

fn started(domains: &[Interactions], options: TrainingOptions) -> Training {
    let none = Census { people: 0, pairs: 0 };
    let census = domains.iter().map(Census::of).fold(none, Census::plus);
    Training::start(options, ITEMS, census).unwrap()
}

fn kept(training: &Training) -> TrainingState<Vec<f32>> {
    let TrainingState { census, done, fineness, short, values } = training.state();
    let values = values.into_iter().map(Into::into).collect();
    TrainingState { census, done, fineness, short, values }
}

/// Both parts are what pooled data gives, up to the judging, where each home has lists of its own; and a domain of
/// nobody changes nothing. Where a value is rounded to 16 bits on its way to the domains it may fall to either side, so
/// that a few are off by such a step, and none by more.
#[test]
fn a_run_in_domains_is_a_run_on_pooled_data() {
    let people = people(90);
    let (mut central, mut apart) =
        (started(&dealt(&people, 1), options()), started(&dealt(&people, 3), options()));
    let with_nobody = [dealt(&people, 3), vec![Interactions::new(ITEMS)]].concat();
    let mut beside_nobody = started(&with_nobody, options());
    advance_beside(
        &mut central.clone(),
        &dealt(&people, 1),
        &[dealt(&people, 3), with_nobody.clone()],
    );
    advance(&mut central, &dealt(&people, 1), Some(Task::Judging));
    advance(&mut apart, &dealt(&people, 3), Some(Task::Judging));
    advance(&mut beside_nobody, &with_nobody, Some(Task::Judging));
    assert_eq!(central.round().unwrap().task, Task::Judging);
    for other in [&apart, &beside_nobody] {
        let (one, other) = (central.asked().unwrap(), other.asked().unwrap());
        assert_eq!(one.split(), 16);
        for (a, b) in [(one.targets(), other.targets()), (one.history(), other.history())] {
            let off = a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs());
            let off: Vec<f32> = off.collect();
            let (step, few) = (1.0 / 128.0, off.len() / 20);
            let most = a.values().iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(off.iter().all(|off| *off <= most * step), "{off:?}");
            assert!(off.iter().filter(|off| **off > 1e-6).count() <= few, "{off:?}");
        }
    }
}

/// What is held back moves no bit before the judging, and is learned from after it.
#[test]
fn what_judges_was_not_learned_from() {
    let whole = people(60);
    let domains = dealt(&whole, 1);
    let mut training = started(&domains, options());
    let held = training.round().unwrap().held.unwrap();
    let mut rest = Interactions::new(ITEMS);
    for (tag, taken) in domains[0].tagged() {
        rest.push_as(tag, &held.split(tag, taken).0, 1000).unwrap();
    }
    // The census is public; the rest is as if they had never taken it.
    let mut without = training.clone();
    advance(&mut training, &domains, Some(Task::Judging));
    advance(&mut without, &[rest], Some(Task::Judging));
    assert_eq!(kept(&training), kept(&without));
    let round = training.round().unwrap();
    assert!(round.held.is_some());
    let total = summed(&domains, &round, &training.asked().unwrap()).unwrap();
    training.advance(&total).unwrap();
    while let Some(round) = training.round() {
        assert_eq!(round.held, None);
        let total = summed(&domains, &round, &training.asked().unwrap()).unwrap();
        training.advance(&total).unwrap();
    }
}

/// Whoever takes up a run at any round goes on to the same bits, and to the same blend.
#[test]
fn a_run_goes_on_to_the_bit_through_all_tasks() {
    let domains = dealt(&people(60), 2);
    let mut whole = started(&domains, options());
    let mut tasks = BTreeSet::new();
    while let Some(round) = whole.round() {
        tasks.insert(round.task as u8);
        let resumed = Training::resume(options(), ITEMS, kept(&whole)).unwrap();
        assert_eq!(kept(&resumed), kept(&whole));
        assert_eq!((resumed.round(), resumed.judged()), (whole.round(), whole.judged()));
        let total = summed(&domains, &round, &resumed.asked().unwrap()).unwrap();
        whole.advance(&total).unwrap();
    }
    assert_eq!(tasks.len(), 3);
    let mut state = kept(&whole);
    let judged = state.values.len() - 1;
    state.values[judged][1] = f32::NAN;
    assert!(Training::resume(options(), ITEMS, state).is_err());
}

/// Of people of clear tastes nearly all that is held back is found, and the blend that found it is served.
#[test]
fn the_blend_that_is_served_was_judged() {
    let domains = dealt(&people(90), 3);
    let mut training = started(&domains, options());
    advance(&mut training, &domains, Some(Task::Judging));
    let round = training.round().unwrap();
    let total = summed(&domains, &round, &training.asked().unwrap()).unwrap();
    let best = Grid::best(&total, options().people_min).unwrap();
    advance(&mut training, &domains, None);
    assert_eq!(training.judged(), best);
    let judged = best.unwrap();
    assert!(judged.people > 20 && judged.recall > 0.6, "{judged:?}");
    let model = training.finish();
    assert_eq!(model.blend(), judged.blend);
    let split = if judged.blend.spectral > 0.0 { 24 } else { 16 };
    assert_eq!((model.split(), model.dimensions()), (16, split));
}

/// Too few to judge: the defaults hold, and the run goes on.
#[test]
fn too_few_judges_choose_nothing() {
    // Half of them would judge.
    let domains = dealt(&people(30), 2);
    let mut training = started(&domains, TrainingOptions { people_min: 25, ..options() });
    advance(&mut training, &domains, None);
    assert_eq!(training.judged(), None);
    assert_eq!(training.finish().blend(), Blend::DEFAULT);
}

/// The vectors of the spectral part are the leading eigenvectors of what all people took.
#[test]
fn the_spectral_part_is_made_of_eigenvectors() {
    let domains = dealt(&people(90), 3);
    let mut training = started(&domains, options());
    advance(&mut training, &domains, None);
    let spectrum = training.spectrum.as_ref().unwrap();
    let leading = &spectrum.basis.halves(8)[0];
    // By column and item.
    let mut answer = vec![vec![0.0_f64; ITEMS]; 8];
    for taken in domains.iter().flat_map(Interactions::rows) {
        let weight = f64::from((taken.len() as f32).powf(-0.5));
        let scale = |item: u32| f64::from(spectrum.scale[item as usize]);
        for (at, column) in answer.iter_mut().enumerate() {
            let of = |&item: &u32| scale(item) * f64::from(leading.row(item as usize).unwrap()[at]);
            let pooled: f64 = taken.iter().map(of).sum();
            taken.iter().for_each(|&item| column[item as usize] += weight * scale(item) * pooled);
        }
    }
    // Three tastes: three eigenvalues far from the rest, found well by so few rounds.
    for (at, (column, &value)) in answer.iter().zip(&spectrum.values).take(3).enumerate() {
        for (row, found) in leading.rows().zip(column) {
            let expected = f64::from(row[at]) * f64::from(value);
            assert!((found - expected).abs() < 0.02 * f64::from(value), "{found} {expected}");
        }
    }
}

/// A budget pays for every sum: none goes to anything but the vectors.
#[test]
fn under_a_budget_every_round_is_contrastive() {
    let domains = dealt(&people(60), 2);
    let options = options().under(Budget::new(50.0, 1e-6).unwrap());
    let training = started(&domains, options);
    let round = training.round().unwrap();
    assert_eq!((round.task, round.held), (Task::Contrast, None));
    let plan = training.plan();
    assert!(!plan.has_spectrum(TASKS_FROM) && !plan.has_judged(TASKS_FROM));
}

/// A block that no honest sum can be is refused, and nothing of it is kept.
#[test]
fn a_sum_of_a_task_that_cannot_be_is_refused() {
    let domains = dealt(&people(60), 2);
    let mut training = started(&domains, options());
    advance(&mut training, &domains, Some(Task::Spectrum));
    let round = training.round().unwrap();
    let before = kept(&training);
    let sound = summed(&domains, &round, &training.asked().unwrap()).unwrap();
    let mut greater = sound.clone();
    (0..ITEMS as u32).for_each(|item| greater.add_target(item, &[9000.0; 8], 1.0));
    assert!(matches!(training.advance(&greater), Err(LearningError::Bound { .. })));
    assert!(matches!(training.advance(&Share::zeros(ITEMS, 16)), Err(LearningError::Shape { .. })));
    assert_eq!(kept(&training), before);
    training.advance(&sound).unwrap();
}

/// What is judged is what is served: the same scores as [`Blend::scores`] gives, for every blend that is tried.
#[test]
fn a_blend_is_judged_by_the_scores_that_it_serves() {
    let domains = dealt(&people(90), 1);
    let mut training = started(&domains, options());
    advance(&mut training, &domains, Some(Task::Judging));
    let (round, model) = (training.round().unwrap(), training.asked().unwrap());
    let total = summed(&domains, &round, &model).unwrap();
    let held = round.held.unwrap();
    let rest = held.without(&domains[0]);
    let lists = Takers::of(&rest).lists(0..ITEMS, &ListOptions::default()).turned();
    let [_, recalls, _] = total.blocks().map(|block| block.scaled(1.0));
    for (blend, found) in Grid::blends().zip(recalls.values()) {
        let mut expected = 0.0;
        for (tag, taken) in domains[0].tagged() {
            let (kept, held) = held.split(tag, taken);
            let parts = Parts { pooled: Some(&model), lists: Some(&lists) };
            let scores = blend.scores(&parts, ITEMS, &kept, &kept);
            let mut best: Vec<(f32, u32)> = scores.into_iter().zip(0..).collect();
            best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let hits = best[..20].iter().filter(|(_, item)| held.contains(item)).count();
            expected += if held.is_empty() { 0.0 } else { hits as f32 / held.len() as f32 };
        }
        assert!((found - expected).abs() < 1e-2, "{blend:?}: {found} {expected}");
    }
}
