//! One simulated run: a cluster begins, people act while things go wrong, it heals, and everything is checked.

use std::time::Duration;

use cpu_time::ProcessTime;
use futures::future::join;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::checks::{erased, events, heals, linearizable, pinned};
use super::faults::{Faults, fair};
use super::observe::{Finding, Observer};
use super::people::{FICKLE, ITEMS, People, REFUSED, REGISTERS, STEADY};
use super::scenario::Scenario;
use super::world::{ROUTERS, World};
use super::{SimError, entropy};

/// A cluster is whole for the first time within this time.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);
/// A run that takes longer, by its own clock, hangs.
const RUN_MAX: Duration = Duration::from_secs(600);
/// People act this long after the last fault, and in a run without faults.
const AFTER: Duration = Duration::from_millis(1500);
/// What is read of a person may be a second old: after this it is not.
const SETTLES: Duration = Duration::from_millis(1500);

/// What a run came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario.
    pub scenario: String,
    /// Of everything.
    pub seed: u64,
    /// Faults injected.
    pub faults: u64,
    /// Acknowledgements, answers and operations that were checked.
    pub operations: u64,
    /// Promises that did not hold: which, and how.
    pub violations: Vec<(String, String)>,
    /// From the end of the last fault until the cluster was whole, in seconds.
    pub heal_s: f64,
    /// How long the run was by its own clock, in seconds.
    pub virtual_s: f64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Digest of the trace.
    pub trace: String,
    /// Processor time that it took, in seconds; of the whole process, which simulates this run alone.
    pub cpu_s: f64,
}

/// Runs one seed on a thread of its own, whose entropy is the seed's. Returns the trace as well.
///
/// # Errors
/// [`SimError`] when the run could not be made.
pub fn run(scenario: Scenario, seed: u64) -> Result<(Outcome, String), SimError> {
    let thread = std::thread::Builder::new().name("simulation".to_owned()).spawn(move || {
        entropy::seed_thread(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        runtime.block_on(simulate(scenario, seed))
    })?;
    thread.join().map_err(|_| SimError::Part("the simulation panicked".to_owned()))?
}

async fn simulate(scenario: Scenario, seed: u64) -> Result<(Outcome, String), SimError> {
    let began = Instant::now();
    let mut world = World::new(seed)?;
    let observer = Observer::new(world.trace.clone());
    let mut faults = Faults::new(scenario, seed, observer.clone());
    let checked = timeout(RUN_MAX, story(&mut world, &observer, &mut faults)).await;
    let late = || Err(SimError::Part(format!("it hangs after {} s", RUN_MAX.as_secs())));
    let checked = checked.unwrap_or_else(|_| late());
    let Checked { mut found, operations, heal } = checked.unwrap_or_else(|error| {
        let words = format!("{error}\n{}", world.trace.end());
        Checked { found: vec![("comes to its end", words)], operations: 0, heal: Duration::ZERO }
    });
    found.extend(observer.findings());
    let (frames, bytes, digest) = world.tap.traffic();
    world.trace.line(format_args!("{frames} frames, {bytes} bytes, digest {digest}"));
    found
        .iter()
        .for_each(|(name, words)| world.trace.line(format_args!("VIOLATION {name}: {words}")));
    let outcome = Outcome {
        scenario: scenario.name().to_owned(),
        seed,
        faults: faults.count,
        operations,
        violations: found.into_iter().map(|(name, words)| (name.to_owned(), words)).collect(),
        heal_s: heal.as_secs_f64(),
        virtual_s: began.elapsed().as_secs_f64(),
        bytes,
        trace: world.trace.digest(),
        cpu_s: ProcessTime::now().as_duration().as_secs_f64(),
    };
    Ok((outcome, world.trace.text()))
}

struct Checked {
    found: Vec<Finding>,
    operations: u64,
    heal: Duration,
}

async fn story(
    world: &mut World,
    observer: &Observer,
    faults: &mut Faults,
) -> Result<Checked, SimError> {
    world.wires.set_weather(fair());
    let names: Vec<_> = world.nodes.keys().cloned().collect();
    for name in &names {
        world.start(name, observer).await?;
    }
    let everybody: Vec<&str> = STEADY.iter().chain([&FICKLE]).chain(&REGISTERS).copied().collect();
    pinned::watch(world, &everybody, "eu")?;
    begins(world).await?;
    world.trace.line("BEGAN");
    let people = People::new(world)?;
    people.settle().await;
    world.trace.line("SETTLED");
    let acting = people.clone();
    let wrong = async {
        let injected = faults.run(world).await;
        sleep(AFTER).await;
        people.stop();
        injected
    };
    let (injected, ()) = join(wrong, acting.act()).await;
    injected?;
    faults.revive(world).await?;
    world.trace.line("HEALING");
    Ok(look(world, &people).await)
}

async fn begins(world: &World) -> Result<(), SimError> {
    let began = Instant::now();
    loop {
        let missing = heals::missing(world);
        if missing.is_empty() {
            return Ok(());
        }
        if began.elapsed() > BEGINS_WITHIN {
            return Err(SimError::Part(format!("it does not begin: {}", missing.join("; "))));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// All that is looked at when the faults are over.
async fn look(world: &World, people: &People) -> Checked {
    let (mut found, heal) = match heals::check(world).await {
        Ok(took) => (Vec::new(), took),
        Err(missing) => (vec![("heals", missing)], heals::BOUND),
    };
    world.trace.line("HEALED");
    sleep(SETTLES).await;
    let entries = people.ledger.entries().clone();
    found.extend(events::check(people, &entries).await);
    found.extend(erased::check(people).await);
    found.extend(last_reads(people).await);
    let histories = people.histories.take();
    let wrong = linearizable::check(&histories);
    found.extend(wrong.into_iter().map(|words| ("histories are linearizable", words)));
    found.extend(entries.unlawful.iter().map(|words| named(words)));
    found.extend(pinned::check(world, &entries));
    let operations = entries.operations() + histories.values().map(|h| h.len() as u64).sum::<u64>();
    Checked { found, operations, heal }
}

/// The promise that a finding of the people's names in its first words.
fn named(words: &str) -> Finding {
    let names = ["lawful", "consent is fresh", "filters hold", "floors hold", REFUSED];
    let name = names.into_iter().find(|name| words.starts_with(name)).unwrap_or("lawful");
    (name, words.to_owned())
}

/// What every register holds at last, at every router.
async fn last_reads(people: &People) -> Vec<Finding> {
    let mut found = Vec::new();
    for person in REGISTERS {
        if !people.read_interest(person).await {
            found.push(("heals", format!("{person}: interests can't be read")));
        }
    }
    for item in ITEMS {
        for (_, at, _) in ROUTERS {
            if !people.read_item(item, at).await {
                found.push(("heals", format!("{item} can't be read at {at}")));
            }
        }
    }
    found
}
