//! The edge: gRPC, gRPC-Web and HTTP+JSON on one port, answered by the node that may answer.
//!
//! The head of a request says who asks ([`bailiwick_net::token`]), from where, and for how long. With the
//! packs, held on a lease, it decides the *ceiling*: the most that could be granted whatever the person
//! consented to. From that follows which domains may answer ([`bailiwick_core::routing`]); the node
//! decides finally. What belongs to another edge is sent there before its body is read. The router keeps
//! nothing of anyone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bailiwick_core::ids::DomainId;
use bailiwick_net::supervisor::Supervisor;
use prometheus_client::metrics::gauge::Gauge;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

mod admission;
mod answer;
mod call;
pub mod config;
mod desk;
mod edge;
mod grpc_api;
mod health;
mod http_api;
mod lease;
mod metrics;
pub mod network;
mod open;
pub mod openapi;
pub mod operation;
mod ops;
mod serve;
mod span;
mod upload;
mod view;
mod visit;

pub use config::{Config, ConfigErrors, EdgeConfig, Limits, NodeAddress, RawConfig};
pub use desk::{Desk, DeskParts};
pub use edge::Clock;
pub use open::{MutualTls, Parts, StartError};
pub use operation::Operation;
pub use view::Dial;

use edge::Edge;
use serve::{Door, Port, Served};

/// Bytes of one message to or from a node; a batch of items or an export is the largest.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Connections of the admin port.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// A router that runs.
pub struct Router {
    edge: Arc<Edge>,
    public: Port,
    admin: Port,
    health: HealthReporter,
    tasks: Supervisor,
}

impl Router {
    /// Starts a router on sockets that are bound. It answers at once; until a node has given it a lease
    /// every jurisdiction counts as STRICT.
    ///
    /// # Errors
    /// [`StartError`] when a socket can't be used.
    pub fn start(parts: Parts, tasks: &Supervisor) -> Result<Self, StartError> {
        let Parts { here, edge: config, tokens, dial, tls, public, admin } = parts;
        let limits = config.limits;
        let clock = Arc::new(edge::system_clock);
        let tasks = tasks.child("router");
        let edge = Edge::new(DeskParts { here, edge: config, tokens, dial, clock }, tasks.clone());
        let health = HealthReporter::new();
        let grpc = grpc_api::routes(&edge, health.clone())
            .map_err(|error| StartError::Reflection(error.to_string()))?;
        let served =
            Served { http: http_api::routes(&edge).layer(cors()), grpc: Some(grpc.layer(cors())) };
        let door = Door {
            name: "public",
            tls,
            connections_max: limits.connections_max,
            head_timeout: limits.header_timeout,
            open: edge.metrics.connections.clone(),
        };
        let inner = Door {
            name: "admin",
            tls: None,
            connections_max: ADMIN_CONNECTIONS_MAX,
            open: Gauge::default(),
            ..door.clone()
        };
        let metered = Served { http: http_api::admin(&edge), grpc: None };
        let admin = serve::serve(admin, metered, inner, &tasks)?;
        lease::start(&edge, &tasks);
        let public = serve::serve(public, served, door, &tasks)?;
        Ok(Self { edge, public, admin, health, tasks })
    }

    /// Where the public port listens.
    #[must_use]
    pub fn public_address(&self) -> std::net::SocketAddr {
        self.public.address
    }

    /// Where the admin port listens.
    #[must_use]
    pub fn admin_address(&self) -> std::net::SocketAddr {
        self.admin.address
    }

    /// The domain this router stands in.
    #[must_use]
    pub fn domain(&self) -> &DomainId {
        &self.edge.here
    }

    /// Why it is not ready, in words; empty when it is.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.edge.pending()
    }

    /// Stops in order: not ready any more, no new connections, open requests answered, background work
    /// ended. Returns the names of tasks that outlived `grace`.
    pub async fn stop(self, grace: Duration) -> Vec<String> {
        let until = Instant::now() + grace;
        tracing::info!("draining");
        self.edge.draining.store(true, Ordering::Relaxed);
        self.health.set_service_status("", ServingStatus::NotServing).await;
        // Whatever is still open then is cut.
        self.public.close(grace * 3 / 4).await;
        tracing::info!("public port closed");
        self.admin.close(until.saturating_duration_since(Instant::now()) / 2).await;
        let left = until.saturating_duration_since(Instant::now());
        self.tasks.shutdown(left).await
    }
}

/// Any page may ask: a request carries its own bearer token, never a cookie.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        // `*` would leave `Authorization` out.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
}

#[cfg(test)]
mod tests;
