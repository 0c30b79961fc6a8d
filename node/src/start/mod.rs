//! Starting and stopping a node, in order.
//!
//! Start: identity, data directory, keys, log, state, groups, peers, services. Stop: services first, then
//! Raft, then peers, then the stores, so that nothing answers from a store that has closed.

mod admin;
mod error;
mod groups;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_core::ids::UnixMillis;
use bailiwick_net::grpc::{AcceptLimits, incoming};
use bailiwick_net::quic::{QuicConfig, QuicTransport};
use bailiwick_net::tls::{ALPN_GRPC, Judge};
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::transport::Transport as _;
use bailiwick_net::{
    Credentials, Expect, Identity, Mesh, MeshConfig, Role, Supervisor, TrustBundle,
};
use bailiwick_proto::edge::node_server::NodeServer;
use tokio::net::TcpListener;
use tonic::transport::Server;

pub use error::StartError;

use crate::config::Config;
use crate::seal::keys;
use crate::service::{NodeService, State};
use admin::Admin;
use groups::Running;

/// Bytes of one message to or from a router.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A node that runs.
pub struct Node {
    state: Arc<State>,
    running: Running,
    mesh: Arc<Mesh>,
    tasks: Supervisor,
    services: Supervisor,
    edge_address: SocketAddr,
    admin_address: SocketAddr,
}

/// The system's clock.
#[must_use]
pub fn system_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What identifies this process, and whom it believes.
struct Papers {
    own: Arc<Credentials>,
    identity: Identity,
    bundle: TrustBundle,
    judge: Arc<Judge>,
}

impl Papers {
    fn read(config: &Config) -> Result<Self, StartError> {
        let own = Arc::new(Credentials::load(&config.credentials_dir)?);
        let identity = own.identity().clone();
        if identity.role != Role::Node {
            return Err(StartError::Role);
        }
        let bundle = TrustBundle::load(&config.trust_dir)?;
        let judge = Judge::new(&bundle)?;
        Ok(Self { own, identity, bundle, judge })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

impl Node {
    /// Starts a node. It answers routers at once and is ready when it has caught up.
    ///
    /// # Errors
    /// [`StartError`] when a file, a port, the data directory or a key can't be used.
    pub async fn start(config: Config, tasks: &Supervisor) -> Result<Self, StartError> {
        let papers = Papers::read(&config)?;
        let tasks = tasks.child(papers.identity.name.as_str());
        let services = tasks.child("services");
        let (edge, admin) = (bind(config.listen_edge).await?, bind(config.listen_admin).await?);
        let (edge_address, admin_address) = (edge.local_addr()?, admin.local_addr()?);
        let quic = QuicConfig::default();
        let transport = QuicTransport::bind(
            config.listen_peers,
            papers.judge.clone(),
            papers.own.clone(),
            &quic,
        )?;
        let peer_address = transport.local_addr()?;
        let mesh_config = MeshConfig::default();
        let mesh =
            Arc::new(Mesh::new(papers.identity.clone(), Arc::new(transport), &tasks, mesh_config));
        let domain_keys = keys::open(&config.keys_dir, &config.data_dir)?;
        let cluster_key = keys::open_cluster(&config.cluster_key, &config.data_dir)?;
        let verifier = TokenVerifier::open(config.tokens.clone())?;
        let addresses = groups::Addresses {
            peers: config.advertise_peers.unwrap_or(peer_address),
            edge: config.advertise_edge.unwrap_or(edge_address),
        };
        let opening = groups::Opening {
            config: &config,
            identity: &papers.identity,
            bundle: &papers.bundle,
            mesh: Arc::clone(&mesh),
            tasks: &tasks,
            addresses,
        };
        let (state, running) = opening.open(domain_keys, &cluster_key, verifier).await?;
        tasks::start(&config, &state, &running, addresses, &tasks);
        serve_edge(&papers, edge, &state, &services)?;
        Admin::new(Arc::clone(&state)).serve(admin, &services)?;
        Ok(Self { state, running, mesh, tasks, services, edge_address, admin_address })
    }

    /// What the services share.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Where routers reach it.
    #[must_use]
    pub fn edge_address(&self) -> SocketAddr {
        self.edge_address
    }

    /// Where operators reach it.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Stops within about `grace`, in order, and says what it is doing.
    pub async fn stop(self, grace: Duration) {
        let name = self.state.identity.name.clone();
        tracing::info!(node = %name, "stopping: no new requests");
        self.services.shutdown(grace / 4).await;
        tracing::info!(node = %name, "stopping: groups");
        self.running.stop(grace / 4).await;
        self.mesh.shutdown(grace / 4).await;
        self.tasks.shutdown(grace / 4).await;
        self.running.checkpoint().await;
        tracing::info!(node = %name, "stopped");
    }
}

fn serve_edge(
    papers: &Papers,
    listener: TcpListener,
    state: &Arc<State>,
    services: &Supervisor,
) -> Result<(), StartError> {
    let tls = papers.judge.server_config(&papers.own, Expect::Role(Role::Router), ALPN_GRPC)?;
    let accepted = incoming(listener, tls, AcceptLimits::default(), services);
    let service = NodeServer::new(NodeService::new(Arc::clone(state)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let stop = services.token();
    services.spawn("edge", async move {
        let server = Server::builder().add_service(service);
        let served = server.serve_with_incoming_shutdown(accepted, stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the edge service ended");
        }
    });
    Ok(())
}
