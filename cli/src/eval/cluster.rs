//! A cluster of real parts behind its public API: items, people and what they did go in as an app would send
//! them, learning is the cluster's own, and slates are asked for one by one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use bailiwick_core::ids::{Jurisdiction, Subject};
use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::runtime::Runtime;

use super::learned::{Cost, FULL};
use super::load::{self, patiently};
use super::times::{Stopwatch, Times};
use super::{EvalArgs, EvalError, Slates};
use crate::client::Client;
use crate::data::Split;
use crate::dev::Temporary;
use crate::learn;

/// People who are asked for at one time.
const PEOPLE_AT_ONCE: usize = 16;
/// Of one request; the machine is busy with all nodes at once.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// Items of a history that stand for a session.
const SESSION: usize = 3;

/// The cluster, loaded and taught.
pub(super) struct Taught<'a> {
    runtime: Runtime,
    cluster: Temporary,
    clients: Vec<Edge>,
    split: &'a Split,
    pub(super) times: Times,
    pub(super) cost: Cost,
}

/// A domain's router, and the home of those who are dealt to it.
pub(super) struct Edge {
    pub(super) home: Jurisdiction,
    pub(super) client: Client,
}

/// How a slate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// With the person's own token.
    Person,
    /// Without one, telling the last items.
    Session,
    /// Without one, telling the last item alone, as what is looked at.
    InView,
    /// With the token of a child whom nobody consented for.
    Child,
}

/// One way of asking.
pub(super) struct Asked<'a> {
    name: &'static str,
    asking: Asking,
    taught: &'a Taught<'a>,
    /// By variant, slates that were of it.
    answered: Mutex<BTreeMap<String, usize>>,
}

pub(super) fn id(item: usize) -> String {
    format!("{item:08}")
}

pub(super) fn subject(person: usize) -> Result<Subject, EvalError> {
    subject_of(&format!("person-{person}"))
}

fn subject_of(name: &str) -> Result<Subject, EvalError> {
    Subject::new(name).map_err(|error| EvalError::Cluster(error.to_string()))
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
        let loading = Stopwatch::start();
        runtime.block_on(load::load(&cluster, &clients, split, say))?;
        let load = loading.took();
        say(&format!("loaded in {load}"));
        let learning = Stopwatch::start();
        let request = v1::StartLearningRequest {
            rounds: args.rounds,
            dimensions: args.dimensions,
            ..v1::StartLearningRequest::default()
        };
        let operator = operator(&cluster, &clients)?;
        runtime.block_on(learn::run(&operator, &request, &mut *say))?;
        let learn = learning.took();
        say(&format!("learned in {learn}"));
        let times = Times { load: Some(load), learn, ask: None };
        let cost = Cost::of(split.items(), &args.training());
        Ok(Self { runtime, cluster, clients, split, times, cost })
    }

    /// Every way of asking that is judged.
    pub(super) fn variants(&self) -> Vec<Box<dyn Slates + '_>> {
        let of = |name, asking| {
            let answered = Mutex::default();
            Box::new(Asked { name, asking, taught: self, answered }) as Box<dyn Slates>
        };
        vec![
            of(FULL, Asking::Person),
            of("session_only", Asking::Session),
            of("contextual", Asking::InView),
            of("popular_k", Asking::Child),
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
    ) -> Result<(String, Vec<u32>), EvalError> {
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
            Asking::Child => {
                let subject = subject_of(&format!("child-{person}"))?;
                let token = self.cluster.tokens().person(&subject, &edge.home, AgeBand::UpTo11)?;
                edge.client.with_token(&token)?
            }
            Asking::Session | Asking::InView => edge.client.clone(),
        };
        if asking != Asking::Person {
            request.exclude = newest(bailiwick_core::limits::EXCLUDE_ITEMS_MAX);
        }
        match asking {
            Asking::Session => request.session = newest(SESSION),
            Asking::InView => {
                let context = v1::RequestContext { item: newest(1).pop(), ..Default::default() };
                request.context = Some(context);
            }
            Asking::Person | Asking::Child => {}
        }
        let answer: v1::RecommendResponse =
            patiently(|| client.post("/v1/recommendations", &request)).await?;
        let items = answer.items.iter().filter_map(|item| item.item.parse().ok()).collect();
        Ok((answer.decision.unwrap_or_default().variant, items))
    }
}

impl Slates for Asked<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn slates(&self, people: &[usize], limit: usize) -> Result<Vec<Vec<u32>>, EvalError> {
        let slates = people.iter().map(|&person| self.taught.slate(self.asking, person, limit));
        let slates = stream::iter(slates).buffered(PEOPLE_AT_ONCE).try_collect();
        let slates: Vec<(String, Vec<u32>)> = self.taught.runtime.block_on(slates)?;
        if let Ok(mut answered) = self.answered.lock() {
            slates.iter().for_each(|(of, _)| *answered.entry(of.clone()).or_default() += 1);
        }
        Ok(slates.into_iter().map(|(_, items)| items).collect())
    }

    fn answered(&self) -> BTreeMap<String, usize> {
        self.answered.lock().map(|answered| answered.clone()).unwrap_or_default()
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
pub(super) fn edge_of(edges: &[Edge], domain: usize) -> Result<&Edge, EvalError> {
    edges.get(domain).ok_or_else(|| EvalError::Cluster("the cluster has no router".into()))
}

pub(super) fn operator(cluster: &Temporary, edges: &[Edge]) -> Result<Client, EvalError> {
    let edge = edge_of(edges, 0)?;
    Ok(edge.client.with_token(&cluster.tokens().operator(&edge.home)?)?)
}
