//! The background work of the edge: the lease on packs and topology, and probes of nodes.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_net::supervisor::Supervisor;
use bailiwick_proto::edge::GetTopologyCall;
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Request;

use crate::edge::Edge;
use crate::view::{Node, View};

const LEASE_EVERY: Duration = Duration::from_secs(1);
const LEASE_TIMEOUT: Duration = Duration::from_millis(500);
const PROBE_EVERY: Duration = Duration::from_millis(300);
const PROBE_TIMEOUT: Duration = Duration::from_millis(300);
/// Nodes of another domain that are probed at one time; of its own domain all are.
const FOREIGN_PROBES: usize = 3;

/// Starts the background work.
pub(crate) fn start(edge: &Arc<Edge>, tasks: &Supervisor) {
    let leasing = Arc::clone(edge);
    tasks.spawn_droppable("lease", async move { lease(&leasing).await });
    let probing = Arc::clone(edge);
    tasks.spawn_droppable("probes", async move { probes(&probing).await });
}

async fn lease(edge: &Edge) {
    let mut ticks = tokio::time::interval(LEASE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        renew(edge).await;
    }
}

/// Asks nodes in turn, this domain's first, until one answers.
async fn renew(edge: &Edge) {
    let view = edge.views.current();
    for node in order(edge, &view) {
        let asked = Instant::now();
        let mut request = Request::new(GetTopologyCall { known_version: view.version });
        request.set_timeout(LEASE_TIMEOUT);
        let mut client = node.client.clone();
        let answer = tokio::time::timeout(LEASE_TIMEOUT, client.get_topology(request)).await;
        match answer {
            Ok(Ok(topology)) => return edge.views.apply(topology.into_inner(), asked),
            Ok(Err(status)) => {
                tracing::debug!(node = %node.at.site.name, code = ?status.code(), "no topology");
            }
            Err(_) => tracing::debug!(node = %node.at.site.name, "no topology in time"),
        }
    }
    let left = view.lease_left(Instant::now()).map_or(0, |left| left.as_millis());
    tracing::warn!(left_ms = left, "no node renews the lease");
}

fn order(edge: &Edge, view: &View) -> Vec<Arc<Node>> {
    let mut nodes = view.nodes.clone();
    nodes.sort_by(|a, b| {
        rank(edge, a).partial_cmp(&rank(edge, b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    nodes
}

/// Living before lost, near before far.
fn rank(edge: &Edge, node: &Node) -> (bool, bool, f64) {
    (!node.health.is_up(), *node.domain() != edge.here, node.health.latency_s())
}

async fn probes(edge: &Edge) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0.. {
        ticks.tick().await;
        let view = edge.views.current();
        let nodes = probed(&view, edge, round);
        join_all(nodes.iter().map(|node| edge.probe(node, PROBE_TIMEOUT))).await;
    }
}

/// All nodes of this domain, and of each other domain a few, in turn.
fn probed(view: &View, edge: &Edge, round: usize) -> Vec<Arc<Node>> {
    let mut chosen = Vec::new();
    for domain in view.nearest() {
        let nodes: Vec<_> = view.nodes.iter().filter(|node| *node.domain() == domain).collect();
        let most = if domain == edge.here { nodes.len() } else { FOREIGN_PROBES.min(nodes.len()) };
        let from = round.wrapping_mul(most);
        chosen.extend((0..most).filter_map(|at| {
            nodes.get(from.wrapping_add(at).checked_rem(nodes.len())?).map(|node| Arc::clone(node))
        }));
    }
    chosen
}
