//! Asking nodes: one after the other within the deadline, never two at once, and a write only where the
//! one before is proved to have done nothing.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_core::policy::HomeReach;
use bailiwick_core::routing::{Route, Stop};
use bailiwick_proto::edge;
use bailiwick_proto::edge::node_client::NodeClient;
use bailiwick_proto::failure::Failure;
use futures::future::BoxFuture;
use rand::Rng as _;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::edge::{DOWN_RETRY, Edge, unreachable};
use crate::metrics::{CallLabels, Outcome};
use crate::view::{Node, View};
use crate::visit::Visit;

/// Nodes of one domain that one request asks.
const NODES_A_STOP: usize = 2;

/// What a repeated request would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it may be asked again whatever became of it.
    Read,
    /// It changes something: an unknown outcome is told to the caller.
    Write,
}

/// One node to ask, and until when.
struct Attempt {
    node: Arc<Node>,
    home: HomeReach,
    place: Place,
}

/// Where a node stands in the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the first domain, and there are others: it has until half the deadline.
    FirstOfSome,
    /// Anywhere else.
    Other,
}

/// What became of one attempt.
enum Ended<T> {
    /// An answer, or a failure that another node would repeat.
    Settled(Result<T, Failure>),
    /// Another node may do better; nothing was done here, or nothing that matters.
    Next(Failure),
}

/// A call of one method of a node.
pub(crate) type Calling<T> = BoxFuture<'static, Result<Response<T>, Status>>;

impl Edge {
    /// Asks the nodes of the visit's route in turn.
    pub(crate) async fn ask<T>(
        &self,
        visit: &Visit,
        effect: Effect,
        call: impl Fn(NodeClient<Channel>, edge::Caller, Duration) -> Calling<T>,
    ) -> Result<T, Failure> {
        let deadline = visit.began + visit.patience;
        self.ask_until(visit, effect, deadline, call).await
    }

    /// The same, until a moment of its own.
    pub(crate) async fn ask_until<T>(
        &self,
        visit: &Visit,
        effect: Effect,
        deadline: Instant,
        call: impl Fn(NodeClient<Channel>, edge::Caller, Duration) -> Calling<T>,
    ) -> Result<T, Failure> {
        let attempts = attempts(&self.views.current(), &visit.route);
        let mut last = unreachable();
        for (at, attempt) in attempts.iter().enumerate() {
            let began = Instant::now();
            let left = share(visit, effect, &attempts, at, (began, deadline));
            if left.is_zero() {
                continue;
            }
            if at > 0 {
                self.metrics.fallbacks.inc();
            }
            let caller = visit.caller(attempt.home);
            let future = call(attempt.node.client.clone(), caller, left);
            match self.attempt(&attempt.node, effect, left, future).await {
                Ended::Settled(result) => {
                    if result.is_ok() {
                        self.learn(visit.operation.class(), began.elapsed());
                    }
                    return result;
                }
                Ended::Next(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn attempt<T>(
        &self,
        node: &Node,
        effect: Effect,
        left: Duration,
        future: Calling<T>,
    ) -> Ended<T> {
        let began = Instant::now();
        let waiting = node.health.begin();
        let answer = tokio::time::timeout(left, future).await;
        drop(waiting);
        let after = began.elapsed();
        let (outcome, ended) = match answer {
            Ok(Ok(response)) => (Outcome::Answered, Ended::Settled(Ok(response.into_inner()))),
            Ok(Err(status)) => judge(status, effect),
            Err(_) => (Outcome::TimedOut, timed_out(effect)),
        };
        self.observe(node, outcome, after);
        ended
    }

    fn observe(&self, node: &Node, outcome: Outcome, after: Duration) {
        let labels = CallLabels { domain: node.domain().to_string(), outcome };
        self.metrics.node_calls.get_or_create(&labels).inc();
        self.metrics.node_call_seconds.observe(after.as_secs_f64());
        let site = &node.at.site;
        match outcome {
            Outcome::Answered | Outcome::Refused => {
                if node.health.answered(after) {
                    tracing::info!(node = %site.name, "a node is back");
                }
            }
            Outcome::TimedOut | Outcome::Lost => {
                if node.health.failed() {
                    tracing::warn!(node = %site.name, domain = %site.domain, "a node is down");
                }
            }
        }
    }

    /// Looks whether a node answers; brings one back that was down.
    pub(crate) async fn probe(&self, node: &Node, timeout: Duration) {
        let mut client = node.client.clone();
        let mut request = Request::new(bailiwick_proto::v1::EchoRequest::default());
        request.set_timeout(timeout);
        let began = Instant::now();
        let outcome = match tokio::time::timeout(timeout, client.echo(request)).await {
            Ok(Ok(_)) => Outcome::Answered,
            Ok(Err(status)) => judge::<()>(status, Effect::Read).0,
            Err(_) => Outcome::TimedOut,
        };
        self.observe(node, outcome, began.elapsed());
    }
}

/// How long an attempt may last. Reads of the first domain have until half the deadline, if another domain
/// is left to ask; later ones never spend all that is left while there is another choice.
fn share(
    visit: &Visit,
    effect: Effect,
    attempts: &[Attempt],
    at: usize,
    (now, deadline): (Instant, Instant),
) -> Duration {
    let left = deadline.saturating_duration_since(now);
    let (this, others) = attempts.get(at..).and_then(<[_]>::split_first).unzip();
    match (effect, this.map(|attempt| attempt.place)) {
        // INVARIANT: no second write begins while the first may still be under way.
        (Effect::Write, _) => left,
        (Effect::Read, Some(Place::FirstOfSome)) => {
            (visit.began + visit.patience / 2).saturating_duration_since(now)
        }
        (Effect::Read, _) if others.is_none_or(<[_]>::is_empty) => left,
        (Effect::Read, _) => left / 2,
    }
}

/// Up to two nodes of each domain, drawn by the power of two choices; those of the first domain first.
fn attempts(view: &View, route: &Route) -> Vec<Attempt> {
    let Route::Ask(stops) = route else { return Vec::new() };
    let mut attempts = Vec::new();
    for (at, stop) in stops.iter().enumerate() {
        let place = if at == 0 && stops.len() > 1 { Place::FirstOfSome } else { Place::Other };
        let nodes = pick(view, stop, NODES_A_STOP).into_iter();
        attempts.extend(nodes.map(|node| Attempt { node, home: stop.home, place }));
    }
    attempts
}

fn pick(view: &View, stop: &Stop, wanted: usize) -> Vec<Arc<Node>> {
    let mut living: Vec<&Arc<Node>> = view
        .nodes
        .iter()
        .filter(|node| *node.domain() == stop.domain && node.health.is_up())
        .collect();
    let mut picked = Vec::with_capacity(wanted);
    while picked.len() < wanted && !living.is_empty() {
        let mut rng = rand::rng();
        let (one, other) = (rng.random_range(0..living.len()), rng.random_range(0..living.len()));
        let cost = |at: usize| living.get(at).map_or(f64::INFINITY, |node| node.health.cost());
        let best = if cost(one) <= cost(other) { one } else { other };
        picked.push(Arc::clone(living.swap_remove(best)));
    }
    picked
}

/// A read that no one answered did nothing.
fn timed_out<T>(effect: Effect) -> Ended<T> {
    match effect {
        Effect::Read => {
            let words = "no node answered within the deadline";
            Ended::Next(Failure::new(Kind::Unavailable, words).retry_after(DOWN_RETRY))
        }
        Effect::Write => Ended::Settled(Err(uncertain())),
    }
}

fn uncertain() -> Failure {
    let words = "the outcome is not known; send the same request with the same ids again";
    Failure::new(Kind::Uncertain, words).retry_after(DOWN_RETRY)
}

/// A status that names a kind was made by a node; any other is the transport's.
fn judge<T>(status: Status, effect: Effect) -> (Outcome, Ended<T>) {
    let by_node = status.metadata().contains_key("bailiwick-kind");
    let never_sent = status.code() == tonic::Code::Unavailable;
    let late = status.code() == tonic::Code::DeadlineExceeded;
    let failure = Failure::from(status);
    match (by_node, effect) {
        (true, _) => match failure.kind {
            // Proved free of side effects: another node of the domain may have what this one lacks.
            Kind::Unavailable | Kind::Overloaded => (Outcome::Refused, Ended::Next(failure)),
            Kind::Broken | Kind::Uncertain if effect == Effect::Read => {
                (Outcome::Refused, Ended::Next(failure))
            }
            _ => (Outcome::Refused, Ended::Settled(Err(failure))),
        },
        (false, Effect::Write) if !never_sent => {
            let outcome = if late { Outcome::TimedOut } else { Outcome::Lost };
            (outcome, Ended::Settled(Err(uncertain())))
        }
        // The transport's own words may name addresses.
        (false, _) => (Outcome::Lost, Ended::Next(unreachable())),
    }
}
