//! A checkpoint is what it was, or it is none.

use std::path::Path;
use std::time::Duration;

use bailiwick_core::ids::ItemId;
use bailiwick_core::learning::{Budget, Census, Interactions, Training, TrainingOptions, summed};
use bailiwick_proto::store::{LearningPhase, LearningRun, TrainingCheckpoint};

use super::file;
use super::shelf::Checkpoints;
use crate::learning::ItemOrder;

const ITEMS: usize = 12;
const RUN: [u8; 16] = [7; 16];

fn options(private: bool) -> TrainingOptions {
    let rounds = 9;
    let options = TrainingOptions { dimensions: 8, rounds, ..TrainingOptions::default() };
    let budget = Budget::new(50.0, 1e-6).unwrap();
    if private { options.under(budget) } else { options }
}

fn order() -> ItemOrder {
    let item = |number| format!("item-{number:02}").parse::<ItemId>().unwrap();
    ItemOrder::new((0..ITEMS).map(item).collect())
}

fn training(options: TrainingOptions, rounds: u32) -> Training {
    let mut people = Interactions::new(ITEMS);
    for person in 0..30_u32 {
        let taken: Vec<u32> = (0..4).map(|at| (person * 7 + at * at * 3) % 12).collect();
        people.push_as(person.into(), &taken, 100).unwrap();
    }
    let mut training = Training::start(options, ITEMS, Census::of(&people)).unwrap();
    let people = [people];
    for _ in 0..rounds {
        let round = training.round().unwrap();
        let total = summed(&people, &round, training.model()).unwrap();
        training.advance(&total).unwrap();
    }
    training
}

fn bits(training: &Training) -> Vec<u32> {
    let values = training.state().values;
    values.iter().flat_map(|part| part.iter()).map(|value| value.to_bits()).collect()
}

/// A folder with one checkpoint, and its name.
fn written(path: &Path, options: TrainingOptions) -> (Checkpoints, TrainingCheckpoint) {
    let checkpoints = Checkpoints::open(path).unwrap();
    checkpoints.write(&RUN, &options, &order(), &training(options, 4)).unwrap();
    let named = checkpoints.to_send().unwrap().checkpoint;
    (checkpoints, named)
}

#[test]
fn a_training_survives_its_file_bit_by_bit() {
    for private in [false, true] {
        let (dir, options) = (tempfile::tempdir().unwrap(), options(private));
        let (checkpoints, named) = written(dir.path(), options);
        let found = checkpoints.read(&named, &RUN, options).unwrap().unwrap();
        let kept = training(options, 4);
        assert_eq!((named.done, found.order), (4, order()));
        assert_eq!(bits(&found.training), bits(&kept));
        assert_eq!(found.training.census(), kept.census());
        assert_eq!(found.training.round(), kept.round());
    }
}

#[test]
fn a_file_cut_or_flipped_anywhere_is_refused() {
    let (dir, options) = (tempfile::tempdir().unwrap(), options(true));
    let (checkpoints, named) = written(dir.path(), options);
    let path = checkpoints.folder().file(&named.sha256);
    let bytes = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let read = checkpoints.read(&named, &RUN, options).unwrap();
        assert!(read.is_none() && !path.exists(), "{what}");
    };
    for at in 0..bytes.len() {
        refused(&bytes[..at], &format!("cut at {at}"));
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        refused(&flipped, &format!("flipped at {at}"));
        // Also where the hash is that of the torn bytes themselves.
        assert!(file::read(&mut &bytes[..at], &RUN, options).is_err(), "cut at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    refused(&longer, "longer");
    assert!(file::read(&mut longer.as_slice(), &RUN, options).is_err());
    std::fs::write(&path, &bytes).unwrap();
    assert!(checkpoints.read(&named, &RUN, options).unwrap().is_some(), "the file itself is taken");
}

#[test]
fn another_run_or_other_options_are_not_gone_on_with() {
    let (dir, options) = (tempfile::tempdir().unwrap(), options(false));
    let (checkpoints, named) = written(dir.path(), options);
    let other = TrainingOptions { seed: 2, ..options };
    for (run, options) in [([8; 16], options), (RUN, other)] {
        let refused = checkpoints.read(&named, &run, options).unwrap_err();
        assert_eq!(refused.to_string(), "the checkpoint is of another run or other options");
    }
}

/// One is kept while its run goes on, two while the next is not named yet, none when the run has ended.
#[test]
fn old_checkpoints_go() {
    let (dir, options) = (tempfile::tempdir().unwrap(), options(false));
    let (checkpoints, first) = written(dir.path(), options);
    let run = |phase: LearningPhase, named: &TrainingCheckpoint| LearningRun {
        run: RUN.to_vec(),
        phase: phase.into(),
        checkpoint: Some(named.clone()),
        ..LearningRun::default()
    };
    checkpoints.write(&RUN, &options, &order(), &training(options, 5)).unwrap();
    let second = checkpoints.to_send().unwrap().checkpoint;
    let there = || [&first, &second].map(|named| checkpoints.folder().file(&named.sha256).exists());
    checkpoints.keep(Some(&run(LearningPhase::Running, &first))).unwrap();
    assert_eq!(there(), [true, true]);
    checkpoints.keep(Some(&run(LearningPhase::Running, &second))).unwrap();
    assert_eq!(there(), [false, true]);
    checkpoints.keep(Some(&run(LearningPhase::Done, &second))).unwrap();
    assert_eq!(there(), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_little_of_its_time_for_checkpoints() {
    let (dir, options) = (tempfile::tempdir().unwrap(), options(false));
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    assert!(checkpoints.is_due(&RUN), "the first");
    checkpoints.write(&RUN, &options, &order(), &training(options, 4)).unwrap();
    assert!(!checkpoints.is_due(&RUN), "the first has not gone out");
    checkpoints.sent(&checkpoints.to_send().unwrap(), Duration::from_secs(3));
    assert!(checkpoints.to_send().is_none() && !checkpoints.is_due(&RUN));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(!checkpoints.is_due(&RUN));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(checkpoints.is_due(&RUN));
}
