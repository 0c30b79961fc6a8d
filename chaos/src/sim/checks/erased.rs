//! Erased stays erased, also after everything has healed and what waited was delivered.

use std::time::Duration;

use tokio::time::Instant;

use crate::invariants::erased_stays;
use crate::sim::observe::Finding;
use crate::sim::people::{ERASED, People};

/// The name of the promise.
pub const PROMISE: &str = "erased stays erased";

const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
pub async fn check(people: &People) -> Vec<Finding> {
    let Some(export) = people.export(ERASED, Instant::now() + PATIENCE).await else {
        return vec![("heals", format!("{ERASED}: no export"))];
    };
    let kept = export.events.into_iter().map(|event| event.id);
    let back = erased_stays::check(ERASED, &people.gone(), kept);
    back.map(|words| (PROMISE, words)).into_iter().collect()
}
