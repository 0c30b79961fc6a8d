//! Learning over links: real nodes of three domains on a network in memory, from what people did to what they
//! are shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod world;

use std::time::{Duration, Instant};

use bailiwick_proto::v1;
use world::{HOMES, World, unevenness, until};

const ITEMS: usize = 40;
const PEOPLE: usize = 20;

fn item(number: usize) -> String {
    format!("item-{number:02}")
}

/// What a person takes: six of the twenty items of one of two tastes.
fn taken(person: usize) -> Vec<String> {
    (0..6).map(|at| item(person % 2 * 20 + (person * 3 + at * at) % 20)).collect()
}

async fn loaded() -> World {
    let world = World::start().await;
    let new = |number| v1::Item { item: item(number), title: item(number), ..v1::Item::default() };
    world.put_items((0..ITEMS).map(new).collect()).await;
    for at in HOMES {
        for person in 0..PEOPLE {
            world.put_person(&format!("{}-{person}", at.0), at, &taken(person)).await;
        }
    }
    world
}

/// A whole run, what a tap sees of it, what comes of it, and a model after it that is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_learned_together_is_served_everywhere() {
    let mut world = loaded().await;
    let before = world.recommend("eu-0", HOMES[0]).await;
    assert!(before.items.iter().all(|item| item.why.iter().all(|why| why.signal != "beh")));

    world.start_learning(40).await;
    let first = world.until_served("the first model", |status| status.active.is_some()).await;
    let (run, model) = (first.run.unwrap(), first.active.unwrap());
    assert_eq!((run.phase.as_str(), run.done, run.items), ("done", 40, 40));
    assert_eq!(run.domains, ["eu", "in", "us"]);
    assert_eq!(model.people, 60, "everybody, and nobody twice");

    // Of 3 domains one coordinates, so that two send a census and 40 shares abroad.
    let tapped = std::mem::take(&mut *world.tapped.lock().unwrap());
    assert!(tapped.len() >= 2 * 41, "{}", tapped.len());
    // A share is two blocks, each a part by itself, and the counts.
    let block_bytes = 40 * 16 * 8;
    let shares: Vec<_> = tapped.iter().filter(|part| part.len() == block_bytes).collect();
    assert_eq!(shares.len(), 2 * 2 * 40);
    for part in shares {
        // 8 deviations of an even spread. Unmasked it is above 10,000: most values are zero.
        assert!(unevenness(part) < 440.0, "a share is to be read: {}", unevenness(part));
    }

    for at in HOMES {
        for person in [0, 1] {
            let answer = world.recommend(&format!("{}-{person}", at.0), at).await;
            let taste = |item: &v1::RankedItem| {
                usize::from(item.item.as_str() >= item_of_second().as_str()) == person
            };
            let fitting = answer.items.iter().filter(|item| taste(item)).count();
            assert!(fitting >= 4, "{at:?} {person}: {:?}", answer.items);
            let why = &answer.items[0].why[0];
            assert_eq!(why.signal, "beh");
            let from = why.from.as_deref().unwrap();
            assert!(taken(person).iter().any(|taken| taken == from), "{from}");
        }
    }

    // A node that lost its models fetches them from a peer.
    world.kill("eu-west-2").await;
    world.forget_models("eu-west-2");
    world.revive("eu-west-2").await;
    world.until_served("the model, fetched", |status| status.active.is_some()).await;

    world.start_learning_under(41, Some(1000.0)).await;
    let second = world
        .until_served("the second model", |s| s.active.as_ref().is_some_and(|m| m.rounds == 41))
        .await;
    // What was told of people is kept, run by run; the census under noise is near what it was.
    let told = second.privacy.as_ref().unwrap();
    let epsilons: Vec<Option<f64>> = told.spent.iter().map(|spent| spent.epsilon).collect();
    assert!(matches!(epsilons[..], [None, Some(e)] if (e - 1000.0).abs() < 1e-6), "{told:?}");
    assert!((told.epsilon - 1000.0).abs() < 1e-6 && told.delta == 1e-6, "{told:?}");
    assert_eq!(second.run.as_ref().unwrap().epsilon, Some(1000.0));
    assert!(second.active.as_ref().unwrap().people.abs_diff(60) < 20, "{second:?}");
    assert_eq!(second.before.as_ref(), Some(&model));
    let began = Instant::now();
    world.roll_back().await;
    let back = world.until_served("the first again", |s| s.active.as_ref() == Some(&model)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(back.before, None);
    world.stop().await;
}

fn item_of_second() -> String {
    item(20)
}

/// The node that coordinates dies in the middle; another takes the run over and ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlives_its_coordinator() {
    let mut world = loaded().await;
    world.start_learning(1000).await;
    let any = world.alive().next().unwrap();
    let state = || world.learning(any);
    loop {
        let run = state().await.run.unwrap();
        assert_eq!(run.phase, "running", "it ended before it could be interrupted: {run:?}");
        if run.done > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until("somebody coordinates", || world.coordinator().is_some()).await;
    let coordinator = world.coordinator().unwrap();
    world.kill(coordinator).await;
    let ended = world.until_served("a model all the same", |s| s.active.is_some()).await;
    let run = ended.run.unwrap();
    assert_eq!((run.phase.as_str(), run.done), ("done", 1000));
    assert!(run.attempts > 1, "{run:?}");
    assert!(ended.active.unwrap().people >= 40);
    world.revive(coordinator).await;
    world.until_served("the model, where it was missed", |s| s.active.is_some()).await;
    world.stop().await;
}
