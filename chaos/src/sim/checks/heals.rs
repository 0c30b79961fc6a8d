//! When all faults are mended the cluster is whole again within a bound: each group has a leader that all
//! members know, its replicas have applied as much and hold equal rows, each node is fresh, each router ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::sim::world::World;

/// Whole again within this time.
pub const BOUND: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A replica that has not confirmed itself for so long is not fresh.
const FRESH: Duration = Duration::from_secs(2);

/// How long it took, or what was still missing at the bound.
///
/// # Errors
/// What was missing.
pub async fn check(world: &World) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        let missing = missing(world);
        if missing.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > BOUND {
            return Err(format!("after {} s: {}", BOUND.as_secs(), missing.join("; ")));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Of one group: who its members think leads, and where they are.
#[derive(Default)]
struct Seen {
    leaders: BTreeSet<String>,
    places: BTreeSet<(u64, Vec<u8>)>,
    stale: Vec<String>,
}

/// What is not whole yet.
#[must_use]
pub fn missing(world: &World) -> Vec<String> {
    let mut groups: BTreeMap<String, Seen> = BTreeMap::new();
    let mut missing = Vec::new();
    for node in world.nodes.values() {
        let Some(body) = node.body() else {
            missing.push(format!("{} is down", node.name()));
            continue;
        };
        for group in body.groups().iter() {
            let seen = groups.entry(group.id().to_string()).or_default();
            let leader =
                group.leader().map_or_else(|| "nobody".to_owned(), |(_, name)| name.to_string());
            seen.leaders.insert(leader);
            let state = group.reader().state();
            seen.places.insert((state.applied_index(), state.hash.to_bytes()));
            if group.age().is_none_or(|age| age > FRESH) {
                seen.stale.push(node.name().to_string());
            }
        }
    }
    missing.extend(groups.into_iter().filter_map(|(group, seen)| seen.uneven(&group)));
    for (domain, desk) in &world.desks {
        let pending = desk.pending();
        if !pending.is_empty() {
            missing.push(format!("the router of {domain}: {}", pending.join(", ")));
        }
    }
    missing
}

impl Seen {
    fn uneven(&self, group: &str) -> Option<String> {
        let led = self.leaders.len() == 1 && !self.leaders.contains("nobody");
        if led && self.places.len() == 1 && self.stale.is_empty() {
            return None;
        }
        let places: Vec<u64> = self.places.iter().map(|(index, _)| *index).collect();
        Some(format!("{group}: led by {:?}, at {places:?}, stale {:?}", self.leaders, self.stale))
    }
}
