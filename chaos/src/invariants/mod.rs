//! The promises, one file each. A check returns what it found against the promise, in words.

pub mod consent_is_fresh;
pub mod counted_once;
pub mod erased_stays;
pub mod lawful;
pub mod placement;
pub mod replicas_agree;
pub mod survives;

use bailiwick_tests::cluster::Cluster;

use crate::ledger::Entries;

/// All promises that are looked at after a fault, on a cluster that has healed.
pub async fn check(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let mut found = entries.unlawful.clone();
    found.extend(survives::check(cluster, entries).await);
    found.extend(counted_once::check(cluster, entries).await);
    found.extend(replicas_agree::check(cluster).await);
    found.extend(placement::check(cluster).await);
    found
}
