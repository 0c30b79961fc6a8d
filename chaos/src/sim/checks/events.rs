//! Acknowledged events survive, each once, and none that nobody sent.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::invariants::{counted_once, survives};
use crate::ledger::Entries;
use crate::sim::observe::Finding;
use crate::sim::people::People;

/// Buffered events may still be on their way.
const ARRIVES: Duration = Duration::from_secs(20);

const LAST: Duration = Duration::from_secs(10);

/// What is lost, kept twice, or out of nothing.
pub async fn check(people: &People, entries: &Entries) -> Vec<Finding> {
    let mut found = Vec::new();
    for (person, writes) in &entries.people {
        let until = Instant::now() + ARRIVES;
        loop {
            // One last answer may come after the time in which buffered events must have arrived.
            let Some(export) = people.export(person, until + LAST).await else {
                found.push(("heals", format!("{person}: no export")));
                break;
            };
            let ids: Vec<String> = export.events.into_iter().map(|event| event.id).collect();
            let lost =
                survives::lost(person, writes, &ids.iter().cloned().collect::<BTreeSet<_>>());
            if lost.is_some() && Instant::now() < until {
                sleep(Duration::from_millis(200)).await;
                continue;
            }
            found.extend(lost.map(|lost| ("acknowledged survives", lost)));
            let wrong = counted_once::wrong(person, writes, ids.into_iter());
            found.extend(wrong.into_iter().map(|wrong| ("counted once", wrong)));
            break;
        }
    }
    found
}
