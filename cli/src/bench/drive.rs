//! The open loop.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::BenchError;
use super::plan::{Due, Plan, What};
use super::prepare::{Cast, recommend};
use super::wire::Failed;

/// A request without an answer after this long has failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Requests under way at once. What is due beyond waits, and its latency counts the wait.
const UNDER_WAY_MAX: usize = 1024;
/// Largest latency that is told apart, in microseconds.
const MICROS_MAX: u64 = 120_000_000;

/// What came of one side of the run.
pub(super) struct Tally {
    pub(super) micros: Histogram<u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn new() -> Result<Self, BenchError> {
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, 3)?;
        Ok(Self { micros, errors: BTreeMap::new() })
    }

    fn add(&mut self, latency: Duration, result: Result<usize, Failed>) {
        match result {
            Ok(_) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(MICROS_MAX);
                self.micros.saturating_record(micros.max(1));
            }
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
    }
}

/// Both sides, and how long the run took.
pub(super) struct Measured {
    pub(super) load: Tally,
    pub(super) floor: Tally,
    pub(super) took: Duration,
}

struct Done {
    due: Due,
    latency: Duration,
    result: Result<usize, Failed>,
}

/// Sends everything when it is due and waits, within the deadline, for what is still under way then.
pub(super) async fn drive(plan: &Plan, cast: &Cast) -> Result<Measured, BenchError> {
    let (load, floor) = (Tally::new()?, Tally::new()?);
    let mut measured = Measured { load, floor, took: Duration::ZERO };
    let start = Instant::now();
    let mut under_way = FuturesUnordered::new();
    for due in plan.all() {
        let at = start + due.at;
        // Answers are taken in while the next request is not due, or has no room.
        while under_way.len() >= UNDER_WAY_MAX || Instant::now() < at {
            let full = under_way.len() >= UNDER_WAY_MAX;
            tokio::select! {
                biased;
                Some(done) = under_way.next(), if !under_way.is_empty() => measured.add(done),
                () = sleep_until(at), if !full => break,
            }
        }
        under_way.push(ask(cast, due, at));
    }
    let last = Instant::now() + DEADLINE;
    while let Ok(Some(done)) = timeout_at(last, under_way.next()).await {
        measured.add(done);
    }
    measured.took = start.elapsed();
    Ok(measured)
}

impl Measured {
    fn add(&mut self, done: Done) {
        let side = if done.due.what.is_floor() { &mut self.floor } else { &mut self.load };
        side.add(done.latency, done.result);
    }
}

/// One request. Its latency counts from when it was due, not from when it could be sent.
async fn ask(cast: &Cast, due: Due, at: Instant) -> Done {
    let (wire, token) = (&cast.wire, cast.token(due.number));
    let result = match due.what {
        What::Recommend => wire.recommend(token, &recommend()).await,
        // 0 was the rehearsal's.
        What::Event => wire.record(token, &cast.event(due.number.saturating_add(1))).await,
        What::FloorRecommend => wire.echo(&cast.admin, &cast.echo_recommend).await,
        What::FloorEvent => wire.echo(&cast.admin, &cast.echo_event).await,
    };
    Done { due, latency: at.elapsed(), result }
}
