//! A cluster of real parts behind its public API: items, people and what they did go in as an app would send
//! them, learning is the cluster's own, and slates are asked for one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_core::ids::{Jurisdiction, Subject};
use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::runtime::Runtime;

use super::learned::{Cost, FULL, memory_peak_bytes};
use super::{EvalArgs, EvalError, Slates};
use crate::client::Client;
use crate::data::Split;
use crate::dev::Temporary;
use crate::learn;

/// Items of one upload, and events of one request.
const ITEMS_AT_ONCE: usize = 1000;
const EVENTS_AT_ONCE: usize = 500;
/// People who are loaded, or asked for, at one time.
const PEOPLE_AT_ONCE: usize = 16;
/// What a crowded machine had to buffer is with its group by then.
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// Of one request; the machine is busy with all nodes at once.
const DEADLINE: Duration = Duration::from_secs(60);
/// A request that can't be taken now is sent again so often.
const TRIES: u32 = 20;
/// Items of a history that stand for a session.
const SESSION: usize = 3;

/// The cluster, loaded and taught.
pub(super) struct Taught<'a> {
    runtime: Runtime,
    cluster: Temporary,
    clients: Vec<Edge>,
    split: &'a Split,
    pub(super) learn_seconds: f64,
    pub(super) cost: Cost,
}

/// A domain's router, and the home of those who are dealt to it.
struct Edge {
    home: Jurisdiction,
    client: Client,
}

/// How a slate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// With the person's own token.
    Person,
    /// Without one, telling the last items.
    Session,
    /// Without one, telling nothing but what not to show.
    Stranger,
}

/// One way of asking.
pub(super) struct Asked<'a> {
    name: &'static str,
    asking: Asking,
    taught: &'a Taught<'a>,
}

fn id(item: usize) -> String {
    format!("{item:08}")
}

fn subject(person: usize) -> Result<Subject, EvalError> {
    Subject::new(format!("person-{person}")).map_err(|error| EvalError::Cluster(error.to_string()))
}

impl<'a> Taught<'a> {
    /// Starts a cluster, loads the split's train side, and learns.
    pub(super) fn from(
        split: &'a Split,
        args: &EvalArgs,
        say: &mut impl FnMut(&str),
    ) -> Result<Self, EvalError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let cluster = runtime.block_on(Temporary::start())?;
        let clients = edges(&cluster)?;
        say("the cluster is ready");
        let began = Instant::now();
        runtime.block_on(put_items(&cluster, &clients, split))?;
        runtime.block_on(put_people(&cluster, &clients, split, say))?;
        say(&format!("loaded in {:.0} s", began.elapsed().as_secs_f64()));
        let began = Instant::now();
        let request = v1::StartLearningRequest {
            rounds: args.rounds,
            dimensions: args.dimensions,
            ..v1::StartLearningRequest::default()
        };
        let operator = operator(&cluster, &clients)?;
        let status = runtime.block_on(learn::run(&operator, &request, &mut *say))?;
        let learn_seconds = began.elapsed().as_secs_f64();
        let cost = cost(split, &status);
        Ok(Self { runtime, cluster, clients, split, learn_seconds, cost })
    }

    /// Every way of asking that is judged.
    pub(super) fn variants(&self) -> Vec<Box<dyn Slates + '_>> {
        let of = |name, asking| Box::new(Asked { name, asking, taught: self }) as Box<dyn Slates>;
        vec![
            of(FULL, Asking::Person),
            of("anonymous_session", Asking::Session),
            of("anonymous", Asking::Stranger),
        ]
    }

    /// Stops the cluster.
    pub(super) fn stop(self) {
        self.runtime.block_on(self.cluster.stop());
        self.runtime.shutdown_background();
    }

    async fn slate(
        &self,
        asking: Asking,
        person: usize,
        limit: usize,
    ) -> Result<Vec<u32>, EvalError> {
        let edge = edge_of(&self.clients, self.split.home(person))?;
        let train = self.split.train(person);
        let newest = |most: usize| {
            let items = train.get(train.len().saturating_sub(most)..).unwrap_or_default();
            items.iter().map(|item| id(*item as usize)).collect::<Vec<String>>()
        };
        let mut request = v1::RecommendRequest {
            limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
            ..v1::RecommendRequest::default()
        };
        let client = match asking {
            Asking::Person => {
                let token = self.cluster.tokens();
                let token = token.person(&subject(person)?, &edge.home, AgeBand::Adult)?;
                edge.client.with_token(&token)?
            }
            Asking::Session | Asking::Stranger => {
                request.exclude = newest(bailiwick_core::limits::EXCLUDE_ITEMS_MAX);
                edge.client.clone()
            }
        };
        if asking == Asking::Session {
            request.session = newest(SESSION);
        }
        let answer: v1::RecommendResponse =
            patiently(|| client.post("/v1/recommendations", &request)).await?;
        Ok(answer.items.iter().filter_map(|item| item.item.parse().ok()).collect())
    }
}

impl Slates for Asked<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn slates(&self, people: &[usize], limit: usize) -> Result<Vec<Vec<u32>>, EvalError> {
        let slates = people.iter().map(|&person| self.taught.slate(self.asking, person, limit));
        let slates = stream::iter(slates).buffered(PEOPLE_AT_ONCE).try_collect();
        self.taught.runtime.block_on(slates)
    }
}

fn edges(cluster: &Temporary) -> Result<Vec<Edge>, EvalError> {
    let edge = |router: &crate::dev::RouterPlan| {
        let home = router.location.parse();
        let home = home.map_err(|_| EvalError::Cluster("a router has no location".into()))?;
        Ok(Edge { home, client: Client::new(&router.url())?.with_deadline(DEADLINE) })
    };
    cluster.plan().routers().map(edge).collect()
}

/// The edge of a domain.
fn edge_of(edges: &[Edge], domain: usize) -> Result<&Edge, EvalError> {
    edges.get(domain).ok_or_else(|| EvalError::Cluster("the cluster has no router".into()))
}

fn operator(cluster: &Temporary, edges: &[Edge]) -> Result<Client, EvalError> {
    let edge = edge_of(edges, 0)?;
    Ok(edge.client.with_token(&cluster.tokens().operator(&edge.home)?)?)
}

/// Sends a request again while the cluster says that it can't take it now. Ids make that safe.
async fn patiently<T, F>(mut send: impl FnMut() -> F) -> Result<T, EvalError>
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

/// What went between the domains: a share up and a model down a round.
fn cost(split: &Split, status: &v1::LearningStatus) -> Cost {
    let model = status.active.clone().unwrap_or_default();
    let values = (split.items() as u64)
        .saturating_mul(u64::from(model.dimensions))
        .saturating_mul(2)
        .saturating_mul(u64::from(model.rounds));
    Cost {
        rounds: model.rounds,
        sent_bytes: values.saturating_mul(8),
        received_bytes: values.saturating_mul(4),
        memory_peak_bytes: memory_peak_bytes(),
    }
}
