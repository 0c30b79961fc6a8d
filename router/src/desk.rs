//! A router without ports, for whoever has requests in hand already: simulations.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::body::Body;
use bailiwick_core::ids::DomainId;
use bailiwick_net::supervisor::Supervisor;
use bailiwick_net::token::TokenVerifier;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::admission::Admission;
use crate::config::EdgeConfig;
use crate::edge::{Clock, Edge};
use crate::view::{Dial, Views};
use crate::{http_api, lease, metrics};

/// What a router is made of besides its ports.
pub struct DeskParts {
    /// The domain that this router's certificate names.
    pub here: DomainId,
    /// Place, seeds and bounds.
    pub edge: EdgeConfig,
    /// Verifies bearer tokens.
    pub tokens: Arc<TokenVerifier>,
    /// Opens channels to nodes.
    pub dial: Box<dyn Dial>,
    /// The time of day.
    pub clock: Clock,
}

impl Edge {
    pub(crate) fn new(parts: DeskParts, tasks: Supervisor) -> Arc<Self> {
        let DeskParts { here, edge: config, tokens, dial, clock } = parts;
        Arc::new(Self {
            views: Views::new(dial, config.seeds.clone(), config.edges.clone()),
            permits: Arc::new(Semaphore::new(config.limits.concurrency_max)),
            lists: Admission::new(config.limits.concurrency_max),
            events: Admission::new(config.limits.concurrency_max),
            metrics: metrics::Metrics::new(),
            draining: AtomicBool::new(false),
            config,
            here,
            tokens,
            clock,
            tasks,
        })
    }
}

/// A router that answers requests as its public port would.
pub struct Desk {
    edge: Arc<Edge>,
    routes: axum::Router,
}

impl Desk {
    /// Begins the background work, the lease and the probes, under `tasks`.
    #[must_use]
    pub fn open(parts: DeskParts, tasks: &Supervisor) -> Self {
        let edge = Edge::new(parts, tasks.clone());
        lease::start(&edge, tasks);
        Self { routes: http_api::routes(&edge), edge }
    }

    /// Answers one request.
    pub async fn ask(&self, request: Request<Body>) -> Response<Body> {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Why it is not ready, in words; empty when it is.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.edge.pending()
    }
}
