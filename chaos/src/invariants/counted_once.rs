//! No event is kept twice, and none that nobody sent.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::Person;
use bailiwick_tests::wait::eventually;

use crate::ledger::Entries;

const LONG: Duration = Duration::from_secs(60);

/// What was kept twice, or out of nothing.
pub async fn check(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let mut found = Vec::new();
    for (name, writes) in &entries.people {
        let person = Person::new(cluster, name, "EU-DE");
        let (export, _) = eventually("an export", LONG, || person.export()).await;
        let mut kept: BTreeMap<String, usize> = BTreeMap::new();
        for event in export.events {
            *kept.entry(event.id).or_default() += 1;
        }
        for (id, times) in kept {
            if times > 1 {
                found.push(format!("{name}: event {id} is kept {times} times"));
            }
            if !writes.acknowledged.contains_key(&id) && !writes.unsure.contains(&id) {
                found.push(format!("{name}: event {id} was never sent"));
            }
        }
    }
    found
}
