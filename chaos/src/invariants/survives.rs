//! What was acknowledged is there: events, interests, items.

use std::collections::BTreeSet;
use std::time::Duration;

use bailiwick_proto::v1;
use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::Person;
use bailiwick_tests::wait::eventually;
use serde_json::Value;

use crate::ledger::{Entries, Writes};

/// Buffered events may still be on their way.
const ARRIVES: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(60);

/// What is missing.
pub async fn check(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let mut found = Vec::new();
    for (name, writes) in &entries.people {
        let person = Person::new(cluster, name, "EU-DE");
        found.extend(events(&person, name, writes).await);
        found.extend(interest(&person, name, writes).await);
    }
    found.extend(items(cluster, entries).await);
    found
}

async fn events(person: &Person<'_>, name: &str, writes: &Writes) -> Option<String> {
    let began = std::time::Instant::now();
    loop {
        let kept = eventually("an export", LONG, || person.export()).await.0.events;
        let kept: BTreeSet<String> = kept.into_iter().map(|event| event.id).collect();
        let missing: Vec<_> =
            writes.acknowledged.iter().filter(|(id, _)| !kept.contains(*id)).collect();
        if missing.is_empty() {
            return None;
        }
        if began.elapsed() > ARRIVES {
            let count = missing.len();
            return Some(format!("{name}: {count} acknowledged events are lost: {missing:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The interest is the last that was acknowledged, or one that was sent after it.
async fn interest(person: &Person<'_>, name: &str, writes: &Writes) -> Option<String> {
    let due = writes.interest?;
    let client = person.at("eu");
    let (held, _) = eventually("the interests", LONG, || async {
        client.get::<Value>("/v1/me/interests").await.map_err(|error| error.to_string())
    })
    .await;
    let held = held
        .pointer("/categories/0")
        .and_then(Value::as_str)
        .and_then(|text| text.strip_prefix("c-"));
    let held: Option<u64> = held.and_then(|number| number.parse().ok());
    let lawful = held.is_some_and(|held| held >= due && Some(held) <= writes.interest_sent);
    (!lawful).then(|| format!("{name}: interest {due} was acknowledged, {held:?} is kept"))
}

async fn items(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let operator = cluster.operator("in");
    let mut found = Vec::new();
    for (item, number) in &entries.items {
        let path = format!("/v1/items/{item}");
        let (kept, _) = eventually("an item is asked for", LONG, || async {
            match operator.get::<v1::Item>(&path).await {
                Ok(item) => Ok(Some(item)),
                Err(error) if error.kind() == bailiwick_core::kind::Kind::NotFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        if kept.is_none_or(|kept| kept.title != number.to_string()) {
            found.push(format!("item {item} was acknowledged and is lost or another"));
        }
    }
    found
}
