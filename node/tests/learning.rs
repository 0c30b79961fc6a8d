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

use std::ops::Range;
use std::time::{Duration, Instant};

use bailiwick_node::learning::Schedule;
use bailiwick_proto::store::LearningPhase;
use bailiwick_proto::v1;
use world::{HOMES, World, asked, unevenness, until};

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
    put_items(&world, 0..ITEMS).await;
    put_people(&world).await;
    world
}

async fn put_items(world: &World, numbers: Range<usize>) {
    let new = |number| v1::Item { item: item(number), title: item(number), ..v1::Item::default() };
    world.put_items(numbers.map(new).collect()).await;
}

async fn put_people(world: &World) {
    for at in HOMES {
        for person in 0..PEOPLE {
            world.put_person(&format!("{}-{person}", at.0), at, &taken(person)).await;
        }
    }
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
    // A share is two blocks of words, each a part by itself, and the numbers beside them. Of 40 rounds six are the
    // spectral part's, half as wide, and one judges.
    let parts_of = |bytes: usize| tapped.iter().filter(move |part| part.len() == bytes);
    let (contrastive, spectral) = (|| parts_of(40 * 16 * 4), || parts_of(40 * 8 * 4));
    assert_eq!((contrastive().count(), spectral().count()), (2 * 2 * 33, 2 * 2 * 6));
    for part in contrastive().chain(spectral()) {
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

/// The round of the first checkpoint that `control` names of a run under way.
async fn checkpointed(world: &World) -> u32 {
    let any = world.alive().next().unwrap();
    let named = || {
        let run = world.run(any).unwrap();
        assert_eq!(run.phase(), LearningPhase::Running, "it ended before: {run:?}");
        run.checkpoint.map(|checkpoint| checkpoint.done)
    };
    until("a checkpoint is named", || named().is_some()).await;
    named().unwrap()
}

/// The fewest rounds that a run says it has done until it ends, once a node that is left knows of its checkpoint.
async fn fewest_done(world: &World) -> u32 {
    let any = world.alive().next().unwrap();
    let knows = || {
        let run = world.run(any).unwrap();
        run.checkpoint.is_some() || run.phase() != LearningPhase::Running
    };
    until("the checkpoint is known", knows).await;
    let mut fewest = u32::MAX;
    let ended = || {
        let run = world.run(any).unwrap();
        fewest = fewest.min(run.done);
        run.phase() != LearningPhase::Running
    };
    until("the run ends", ended).await;
    fewest
}

/// The node that coordinates dies in the middle; another takes the run over where its checkpoint is, and ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlives_its_coordinator() {
    let mut world = loaded().await;
    world.start_learning(1000).await;
    let named = checkpointed(&world).await;
    assert!(named >= 100, "{named}");
    until("somebody coordinates", || world.coordinator().is_some()).await;
    let coordinator = world.coordinator().unwrap();
    world.kill(coordinator).await;
    let fewest = fewest_done(&world).await;
    assert!(fewest >= named, "it went back to {fewest}, though {named} were written down");
    let ended = world.until_served("a model all the same", |s| s.active.is_some()).await;
    let run = ended.run.unwrap();
    assert_eq!((run.phase.as_str(), run.done), ("done", 1000));
    assert!(run.attempts > 1, "{run:?}");
    assert!(ended.active.unwrap().people >= 40);
    world.revive(coordinator).await;
    world.until_served("the model, where it was missed", |s| s.active.is_some()).await;
    world.stop().await;
}

/// Another node coordinates from the middle on, while the parties stay the same: nothing can be told from the model.
/// Under noise what was told twice is in the ledger, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_taken_over_is_the_same_to_the_bit() {
    let world = loaded().await;
    let is_done = |status: &v1::LearningStatus| status.run.as_ref().unwrap().phase == "done";
    world.start_learning(600).await;
    let whole = world.until_served("the run in one piece", is_done).await.active.unwrap();
    let vectors = || {
        let served = world.state("us-east-1").learning.models.served().unwrap();
        served.vectors().clone()
    };
    let in_one_piece = vectors();

    world.start_learning(600).await;
    let named = checkpointed(&world).await;
    let first = world.coordinator().unwrap();
    world.depose(first).await;
    until("another coordinates", || world.coordinator().is_some_and(|next| next != first)).await;
    let fewest = fewest_done(&world).await;
    assert!(fewest >= named, "it went back to {fewest}, though {named} were written down");
    let ended = world.until_served("the run in two pieces", is_done).await;
    let (run, active) = (ended.run.unwrap(), ended.active.unwrap());
    assert!(run.attempts > 1, "nobody took it over: {run:?}");
    assert_eq!((active.people, active.domains), (60, whole.domains));
    assert!(vectors() == in_one_piece, "the vectors differ");
    for node in world.alive() {
        let folder = world.trainings(node);
        let none = || std::fs::read_dir(&folder).unwrap().next().is_none();
        until("no checkpoint is kept of a run that ended", none).await;
    }

    world.start_learning_under(600, Some(1000.0)).await;
    checkpointed(&world).await;
    let first = world.coordinator().unwrap();
    world.depose(first).await;
    let ended = world.until_served("a run with noise in two pieces", is_done).await;
    let spent = ended.privacy.unwrap().spent;
    let told: Vec<f64> = spent.iter().filter_map(|spent| spent.epsilon).collect();
    assert!(told.len() > 1, "what was asked for twice is paid for twice: {told:?}");
    // A stretch of 60 sums of 601 is a tenth of the cost, and epsilon goes about with its root.
    assert!((told[0] - 1000.0).abs() < 1e-6 && told[1] < 400.0, "{told:?}");
    world.stop().await;
}

/// Nobody asks for a run: one begins when there are items, and the next when they have moved and an hour has passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_begin_by_themselves_when_items_move() {
    let schedule = Schedule { every: None, moved: Some(0.25) };
    let world = World::scheduled(schedule).await;
    let any = world.alive().next().unwrap();
    let phase = || world.run(any).map(|run| run.phase());
    let ended = || phase().is_some_and(|phase| phase != LearningPhase::Running);
    put_items(&world, 0..ITEMS).await;
    until("the first run ends", ended).await;
    assert_eq!(phase(), Some(LearningPhase::Failed), "there is nobody to learn from");
    put_people(&world).await;
    let first = world.run(any).unwrap().run;

    world.pass(Duration::from_secs(3601));
    until("another run begins", || world.run(any).unwrap().run != first).await;
    let served =
        world.until_served("the second run's model", |s| s.active.is_some() && ended()).await;
    assert_eq!(served.active.unwrap().items, 40);
    let second = world.run(any).unwrap();

    put_items(&world, ITEMS..ITEMS + 10).await;
    world.pass(Duration::from_secs(3601));
    until("a third run begins", || world.run(any).unwrap().run != second.run).await;
    let more = |s: &v1::LearningStatus| s.active.as_ref().is_some_and(|model| model.items == 50);
    world.until_served("the third run's model", more).await;
    assert_eq!(world.run(any).unwrap().options, second.options, "a run like the latest");
    world.stop().await;
}

/// The people of a small domain go another way than those of two large ones. Levelled, its way counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_gives_a_small_domain_more() {
    let world = World::start().await;
    put_items(&world, 0..30).await;
    // All take of the first ten items; most go on to the second ten, the few to the third.
    let takes = |person: usize, also: usize| -> Vec<String> {
        let of = |from: usize, at: usize| item(from + (person * 3 + at * at) % 10);
        (0..4).flat_map(|at| [of(0, at), of(also, at)]).collect()
    };
    for (at, people, also) in [(HOMES[0], 30, 10), (HOMES[2], 30, 10), (HOMES[1], 6, 20)] {
        for person in 0..people {
            let who = format!("{}-{person}", at.0);
            world.put_person(&who, at, &takes(person, also)).await;
        }
    }
    let mut leaning = Vec::new();
    for balance in [0.0, 1.0] {
        let request = v1::StartLearningRequest { balance: Some(balance), ..asked(60) };
        world.start_run(request).await;
        let is_of = |status: &v1::LearningStatus| {
            let run = status.run.as_ref().unwrap();
            run.phase == "done" && run.balance.to_bits() == balance.to_bits()
        };
        world.until_served("a model", is_of).await;
        leaning.push(few_over_most(&world));
    }
    assert!(leaning[1] > leaning[0] + 0.02, "levelled or not, the same: {leaning:?}");
    world.stop().await;
}

/// By how much what the few take is nearer than what most take, to whoever took of what all take, as the small domain
/// is served.
fn few_over_most(world: &World) -> f32 {
    let model = world.state("in-south-1").learning.models.served().unwrap();
    let number = |at: usize| model.number(&item(at).parse().unwrap()).unwrap();
    let pooled = model.vectors().pool((0..10).map(|at| (number(at), 1.0))).unwrap();
    let scores = model.vectors().scores(&pooled);
    let mean = |from: usize| (from..from + 10).map(|at| scores[number(at) as usize]).sum::<f32>();
    (mean(20) - mean(10)) / 10.0
}
