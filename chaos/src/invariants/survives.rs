//! What was acknowledged is there: events, interests, items.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bailiwick::client::Client;
use bailiwick_core::kind::Kind;
use bailiwick_proto::v1;
use bailiwick_tests::cluster::Cluster;
use bailiwick_tests::person::Person;
use bailiwick_tests::wait::eventually;
use serde_json::Value;
use tokio::time::sleep;

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
    let began = Instant::now();
    loop {
        let kept = eventually("an export", LONG, || person.export()).await.0.events;
        let kept: BTreeSet<String> = kept.into_iter().map(|event| event.id).collect();
        let lost = lost(name, writes, &kept);
        if lost.is_none() || began.elapsed() > ARRIVES {
            return lost;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// What was acknowledged and is not among what is kept.
#[must_use]
pub fn lost(name: &str, writes: &Writes, kept: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<_> =
        writes.acknowledged.iter().filter(|(id, _)| !kept.contains(*id)).collect();
    let count = missing.len();
    (count > 0).then(|| format!("{name}: {count} acknowledged events are lost: {missing:?}"))
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

/// A replica may lag: an item that is not there yet is asked for again.
async fn items(cluster: &Cluster, entries: &Entries) -> Vec<String> {
    let operator = cluster.operator("in");
    let began = Instant::now();
    let mut found = Vec::new();
    for (item, number) in &entries.items {
        while !is_kept(&operator, item, &number.to_string()).await {
            if began.elapsed() > ARRIVES {
                found.push(format!("item {item} was acknowledged and is lost or another"));
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    found
}

async fn is_kept(operator: &Client, item: &str, title: &str) -> bool {
    let path = format!("/v1/items/{item}");
    let (kept, _) = eventually("an item is asked for", LONG, || async {
        match operator.get::<v1::Item>(&path).await {
            Ok(item) => Ok(Some(item)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    kept.is_some_and(|kept| kept.title == title)
}
