//! No event is kept twice, and none that nobody sent.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::Person;
use bailiwick_tests::wait::eventually;

use crate::ledger::{Entries, Writes};

const LONG: Duration = Duration::from_secs(60);

/// What was kept twice, or out of nothing.
pub async fn check(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let mut found = Vec::new();
    for (name, writes) in &entries.people {
        let person = Person::new(cluster, name, "EU-DE");
        let (export, _) = eventually("an export", LONG, || person.export()).await;
        let ids = export.events.into_iter().map(|event| event.id);
        found.extend(wrong(name, writes, ids));
    }
    found
}

/// What is kept twice, or was never sent.
#[must_use]
pub fn wrong(name: &str, writes: &Writes, ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for id in ids {
        *kept.entry(id).or_default() += 1;
    }
    let mut found = Vec::new();
    for (id, times) in kept {
        if times > 1 {
            found.push(format!("{name}: event {id} is kept {times} times"));
        }
        if !writes.acknowledged.contains_key(&id) && !writes.unsure.contains(&id) {
            found.push(format!("{name}: event {id} was never sent"));
        }
    }
    found
}
