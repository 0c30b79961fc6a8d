//! The split's items and people, put into a cluster as an app would send them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::EvalError;
use super::cluster::{DEADLINE, Edge, edge_of, id, operator, subject};
use crate::client::Client;
use crate::data::Split;
use crate::dev::Temporary;

/// People who are loaded at one time: what comes to a group together is made durable together.
const PEOPLE_AT_ONCE: usize = 128;
/// Items of one upload, and events of one request.
const ITEMS_AT_ONCE: usize = 1000;
const EVENTS_AT_ONCE: usize = 500;
/// What a crowded machine had to buffer is with its group by then.
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// A request that can't be taken now is sent again so often, four times a second: where other work crowds a machine, a
/// lease or a quorum may be wanting for longer than a few seconds.
const TRIES: u32 = 240;

/// Loads the train side of whom may be learned from.
pub(super) async fn load(
    cluster: &Temporary,
    edges: &[Edge],
    split: &Split,
    say: &mut impl FnMut(&str),
) -> Result<(), EvalError> {
    put_items(cluster, edges, split).await?;
    put_people(cluster, edges, split, say).await
}

/// Sends a request again while the cluster says that it can't take it now. Ids make that safe.
pub(super) async fn patiently<T, F>(mut send: impl FnMut() -> F) -> Result<T, EvalError>
where
    F: Future<Output = Result<T, crate::client::ClientError>>,
{
    use bailiwick_core::kind::Kind;
    let mut tries = 0;
    loop {
        match send().await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                tries += 1;
                let passing =
                    matches!(error.kind(), Kind::Unavailable | Kind::Overloaded | Kind::Uncertain);
                if !passing || tries >= TRIES {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
}

async fn put_items(cluster: &Temporary, edges: &[Edge], split: &Split) -> Result<(), EvalError> {
    let client = operator(cluster, edges)?;
    let item = |number| v1::Item { item: id(number), title: id(number), ..v1::Item::default() };
    let items: Vec<v1::Item> = (0..split.items()).map(item).collect();
    for part in items.chunks(ITEMS_AT_ONCE) {
        let answer = patiently(|| client.put_items(part)).await?;
        if let Some(refused) = answer.errors.first() {
            return Err(EvalError::Cluster(format!("an item was refused: {}", refused.error)));
        }
    }
    Ok(())
}

async fn put_people(
    cluster: &Temporary,
    edges: &[Edge],
    split: &Split,
    say: &mut impl FnMut(&str),
) -> Result<(), EvalError> {
    let done = AtomicUsize::new(0);
    let lawful = || split.people().filter(|&person| split.is_lawful(person));
    let count = lawful().count();
    let put = |person: usize| {
        let done = &done;
        async move {
            put_person(cluster, edges, split, person).await?;
            Ok::<usize, EvalError>(done.fetch_add(1, Ordering::Relaxed) + 1)
        }
    };
    let mut putting = stream::iter(lawful().map(put)).buffer_unordered(PEOPLE_AT_ONCE);
    while let Some(done) = putting.try_next().await? {
        if done.is_multiple_of(2000) {
            say(&format!("{done} of {count} people are loaded"));
        }
    }
    delivered(cluster).await
}

/// Waits until no node holds events back for a group.
async fn delivered(cluster: &Temporary) -> Result<(), EvalError> {
    let began = Instant::now();
    for node in cluster.plan().nodes() {
        let client = Client::new(&format!("http://{}", node.admin))?.with_deadline(DEADLINE);
        loop {
            let raw = client.send(http::Method::GET, "/metrics", bytes::Bytes::new()).await?;
            let told = String::from_utf8_lossy(&raw.body);
            if told.lines().any(|line| line == "bailiwick_buffered_batches 0") {
                break;
            }
            if began.elapsed() > DELIVERED_WITHIN {
                return Err(EvalError::Cluster(format!("{} still holds events back", node.name)));
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }
    Ok(())
}

async fn put_person(
    cluster: &Temporary,
    edges: &[Edge],
    split: &Split,
    person: usize,
) -> Result<(), EvalError> {
    let train = split.train(person);
    if train.is_empty() {
        return Ok(());
    }
    let edge = edge_of(edges, split.home(person))?;
    let token = cluster.tokens().person(&subject(person)?, &edge.home, AgeBand::Adult)?;
    let client = edge.client.with_token(&token)?;
    let consent = v1::PutConsentRequest {
        consent: Some("granted".into()),
        ..v1::PutConsentRequest::default()
    };
    let consent: v1::Consent = patiently(|| client.put("/v1/me/consent", &consent)).await?;
    let events: Vec<v1::Event> =
        train.iter().enumerate().map(|(at, item)| like(at, *item)).collect();
    // With the receipt whichever replica takes the events knows of the consent.
    for part in events.chunks(EVENTS_AT_ONCE) {
        let request =
            v1::RecordEventsRequest { events: part.to_vec(), receipt: consent.receipt.clone() };
        let answer: v1::RecordEventsResponse =
            patiently(|| client.post("/v1/events", &request)).await?;
        let kept = ["linked@", "buffer@"].iter().any(|way| answer.stored.starts_with(way));
        if !kept {
            let words = format!("events of {} are stored as {}", edge.home, answer.stored);
            return Err(EvalError::Cluster(words));
        }
    }
    Ok(())
}

/// The `at`th thing that a person took, a second after the one before.
fn like(at: usize, item: u32) -> v1::Event {
    let seconds = i64::try_from(at).unwrap_or_default();
    let begin = jiff::Timestamp::now().as_second() - 86_400;
    let moment = jiff::Timestamp::from_second(begin.saturating_add(seconds));
    v1::Event {
        id: format!("train-{at}"),
        item: id(item as usize),
        kind: "like".into(),
        at: moment.ok().map(|moment| moment.to_string()),
        ..v1::Event::default()
    }
}
