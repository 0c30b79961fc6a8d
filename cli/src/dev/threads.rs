//! All nodes and routers in this process.

use std::time::Duration;

use bailiwick_net::Supervisor;
use bailiwick_node::config as node_config;
use bailiwick_node::start::Node;
use bailiwick_router::{Parts, Router};
use futures::future::{join_all, try_join_all};

use super::error::DevError;
use super::plan::{NodePlan, Plan, RouterPlan};

pub(super) struct Threads {
    nodes: Vec<Node>,
    routers: Vec<Router>,
}

pub(super) async fn start(plan: &Plan) -> Result<Threads, DevError> {
    let tasks = Supervisor::new();
    let nodes = try_join_all(plan.nodes().map(|node| start_node(node, &tasks))).await?;
    let routers = try_join_all(plan.routers().map(|router| start_router(router, &tasks))).await?;
    Ok(Threads { nodes, routers })
}

async fn start_node(plan: &NodePlan, tasks: &Supervisor) -> Result<Node, DevError> {
    let config = node_config::RawConfig::load(&plan.config)
        .and_then(node_config::Config::try_from)
        .map_err(|errors| DevError::Config(errors.to_string()))?;
    let started = Node::start(config, tasks).await;
    started.map_err(|source| DevError::Node { name: plan.name.clone(), source: Box::new(source) })
}

async fn start_router(plan: &RouterPlan, tasks: &Supervisor) -> Result<Router, DevError> {
    let config = bailiwick_router::RawConfig::read(&plan.config)
        .and_then(bailiwick_router::Config::try_from)
        .map_err(|errors| DevError::Config(errors.to_string()))?;
    let refused = |source| DevError::Router { name: plan.domain.clone(), source };
    let parts = Parts::open(config).await.map_err(refused)?;
    Router::start(parts, tasks).map_err(refused)
}

impl Threads {
    /// Routers first, so that nobody is sent to a node that goes.
    pub(super) async fn stop(self, grace: Duration) {
        join_all(self.routers.into_iter().map(|router| router.stop(grace / 4))).await;
        join_all(self.nodes.into_iter().map(|node| node.stop(grace / 2))).await;
    }
}
