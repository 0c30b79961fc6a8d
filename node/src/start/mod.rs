//! Starting and stopping a node, in order.
//!
//! Start: identity, data directory, keys, log, state, groups, peers, services. Stop: services first, then
//! Raft, then peers, then the stores, so that nothing answers from a store that has closed.

mod admin;
mod assemble;
mod error;
mod groups;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_net::grpc::{AcceptLimits, incoming};
use bailiwick_net::quic::{QuicConfig, QuicTransport};
use bailiwick_net::tls::{ALPN_GRPC, Judge};
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::transport::Transport;
use bailiwick_net::{
    Credentials, Expect, Identity, Mesh, MeshConfig, Role, Supervisor, TrustBundle,
};
use bailiwick_proto::edge::node_server::NodeServer;
use tokio::net::TcpListener;
use tonic::transport::Server;

pub use error::StartError;
pub use groups::Addresses;

use crate::cluster::Groups;
use crate::config::Config;
use crate::seal::keys;
use crate::seams::Seams;
pub use crate::seams::system_clock;
use crate::service::{NodeService, State};
use admin::Admin;
use groups::Running;

/// Bytes of one message to or from a router.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Tasks that a crash ends get no time.
const AT_ONCE: Duration = Duration::from_millis(1);
/// A Raft that does not end within this time after a crash is left alone.
const GIVES_UP: Duration = Duration::from_secs(5);

/// A node that runs.
pub struct Node {
    body: Body,
    services: Supervisor,
    edge_address: SocketAddr,
    admin_address: SocketAddr,
}

/// What a node is made of besides sockets, certificates and the machine under it. A simulation makes it by
/// itself.
pub struct Parts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Who the node is, as its certificate says.
    pub identity: Identity,
    /// Whom it believes.
    pub bundle: &'a TrustBundle,
    /// Whose tokens it believes.
    pub verifier: TokenVerifier,
    /// Carries what it says to its peers.
    pub transport: Arc<dyn Transport>,
    /// What peers and routers are told.
    pub addresses: Addresses,
    /// The machine.
    pub seams: Seams,
}

/// A node without its ports for routers and operators: groups, peers, background work, and what the
/// services share.
pub struct Body {
    state: Arc<State>,
    running: Running,
    mesh: Arc<Mesh>,
    tasks: Supervisor,
}

impl Body {
    /// Opens log, state and groups, and begins the background work under `tasks`.
    ///
    /// # Errors
    /// [`StartError`] when the data directory or a key can't be used.
    pub async fn open(parts: Parts<'_>, tasks: Supervisor) -> Result<Self, StartError> {
        let Parts { config, identity, bundle, verifier, transport, addresses, seams } = parts;
        let mesh_config = MeshConfig { seed: seams.jitter, ..MeshConfig::default() };
        let mesh = Arc::new(Mesh::new(identity.clone(), transport, &tasks, mesh_config));
        let entropy = Box::new(Arc::clone(&seams.entropy));
        let domain_keys = keys::open_with(&config.keys_dir, &config.data_dir, entropy)?;
        let cluster_key = keys::open_cluster(&config.cluster_key, &config.data_dir)?;
        let opening = groups::Opening {
            config,
            identity: &identity,
            bundle,
            mesh: Arc::clone(&mesh),
            tasks: &tasks,
            addresses,
            seams: &seams,
        };
        let (state, running) = opening.open(domain_keys, &cluster_key, verifier).await?;
        tasks::start(config, &state, &running, addresses, &tasks);
        Ok(Self { state, running, mesh, tasks })
    }

    /// What the services share.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The groups that run here.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.running.groups
    }

    /// Ends without a last checkpoint and with nothing said to anyone: a crash, if disk and network were taken
    /// away before.
    pub async fn halt(&self) {
        self.tasks.shutdown(AT_ONCE).await;
        self.running.stop(GIVES_UP).await;
        self.mesh.shutdown(AT_ONCE).await;
    }

    /// Stops within about `grace`, in order: groups, peers, background work, stores.
    pub async fn stop(&self, grace: Duration) {
        let name = &self.state.identity.name;
        tracing::info!(node = %name, "stopping: groups");
        self.running.stop(grace / 3).await;
        self.mesh.shutdown(grace / 3).await;
        self.tasks.shutdown(grace / 3).await;
        self.running.checkpoint().await;
    }
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
        let transport = QuicTransport::bind(
            config.listen_peers,
            papers.judge.clone(),
            papers.own.clone(),
            &QuicConfig::default(),
        )?;
        let addresses = Addresses {
            peers: config.advertise_peers.unwrap_or(transport.local_addr()?),
            edge: config.advertise_edge.unwrap_or(edge_address),
        };
        let parts = Parts {
            config: &config,
            identity: papers.identity.clone(),
            bundle: &papers.bundle,
            verifier: TokenVerifier::open(config.tokens.clone())?,
            transport: Arc::new(transport),
            addresses,
            seams: Seams::real(),
        };
        let body = Body::open(parts, tasks).await?;
        serve_edge(&papers, edge, body.state(), &services)?;
        Admin::new(Arc::clone(body.state())).serve(admin, &services)?;
        Ok(Self { body, services, edge_address, admin_address })
    }

    /// What the services share.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        self.body.state()
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
        let name = self.state().identity.name.clone();
        tracing::info!(node = %name, "stopping: no new requests");
        self.services.shutdown(grace / 4).await;
        self.body.stop(grace * 3 / 4).await;
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
