//! What the stories need of a transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_net::backoff::Backoff;
use bailiwick_net::transport::Transport;
use bailiwick_net::{AnyLink, Expect, Identity, Lane, LaneKind, Mesh, MeshConfig, Supervisor};
use bailiwick_proto::export::WideFrame;
use bytes::Bytes;

use crate::handler::Echo;

/// A generous limit: nothing takes this long unless it hangs.
pub const LONG: Duration = Duration::from_secs(30);
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Two transports can do this much.
pub trait World: Default {
    /// A transport of `identity` whose certificate `ca` signed, and where others dial it.
    async fn transport(
        &self,
        identity: &Identity,
        ca: &str,
        again_at: Option<SocketAddr>,
    ) -> (Arc<dyn Transport>, SocketAddr);

    /// Nothing passes any more.
    fn cut(&self);

    /// All passes again.
    fn heal(&self);
}

/// One process of the world.
pub struct Member {
    pub mesh: Mesh,
    pub transport: Arc<dyn Transport>,
    pub addr: SocketAddr,
    pub echo: Arc<Echo>,
    pub tasks: Supervisor,
}

pub fn identity(domain: &str, name: &str) -> Identity {
    format!("spiffe://demo/domain/{domain}/region/{domain}-west/node/{name}").parse().unwrap()
}

pub fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

pub fn frame(bytes: impl Into<Bytes>) -> WideFrame {
    WideFrame::new(&"control".parse().unwrap(), bytes.into()).unwrap()
}

pub fn control(kind: LaneKind) -> Lane {
    Lane::of(kind, "control".parse().unwrap())
}

pub fn users_eu(kind: LaneKind) -> Lane {
    Lane::of(kind, "users-eu-0".parse().unwrap())
}

pub fn config() -> MeshConfig {
    MeshConfig {
        frame_bytes_max: FRAME_BYTES_MAX,
        dial_timeout: Duration::from_secs(2),
        ..MeshConfig::default()
    }
}

pub fn on(
    transport: Arc<dyn Transport>,
    addr: SocketAddr,
    own: Identity,
    config: MeshConfig,
) -> Member {
    let (tasks, echo) = (Supervisor::new(), Arc::new(Echo::new(&own)));
    let mesh = Mesh::new(own, transport.clone(), &tasks, config);
    mesh.serve(echo.clone());
    Member { mesh, transport, addr, echo, tasks }
}

/// A member in good standing.
pub async fn join(world: &impl World, domain: &str, name: &str) -> Member {
    join_with(world, identity(domain, name), domain, config()).await
}

pub async fn join_with(world: &impl World, own: Identity, ca: &str, config: MeshConfig) -> Member {
    let (transport, addr) = world.transport(&own, ca, None).await;
    on(transport, addr, own, config)
}

impl Member {
    pub fn knows(&self, other: &Member) -> &Self {
        self.mesh.book().set_node(&other.mesh.own().name, other.addr);
        self
    }

    pub async fn link(&self, other: &Member) -> Arc<AnyLink> {
        self.knows(other).mesh.link(&other.mesh.own().name).await.unwrap()
    }

    /// Dials again and again, as a caller would, until the peer is there.
    pub async fn link_at_last(&self, peer: &str) -> Arc<AnyLink> {
        let patiently = async {
            loop {
                match self.mesh.link(&name(peer)).await {
                    Ok(link) => return link,
                    Err(_) => tokio::time::sleep(Backoff::default().min).await,
                }
            }
        };
        tokio::time::timeout(LONG, patiently).await.expect("the peer is never reached")
    }

    pub fn metric(&self, metric: &str) -> u64 {
        let samples = self.mesh.metrics().snapshot();
        samples.iter().filter(|s| s.name == metric).map(|s| s.value).sum()
    }

    pub async fn leave(self) {
        self.mesh.shutdown(Duration::from_secs(1)).await;
    }

    /// Why the peer is not reached.
    pub async fn refusal(&self, peer: &str, addr: SocketAddr, expect: Expect) -> String {
        let entry = bailiwick_net::book::PeerEntry { addr, expect };
        self.mesh.book().set(name(peer), entry);
        match self.mesh.link(&name(peer)).await {
            Ok(link) => panic!("reached {}", link.peer().identity()),
            Err(error) => error.to_string(),
        }
    }
}
