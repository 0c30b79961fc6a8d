//! A peer that has no business with the cluster, or less than it claims.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_net::quic::{QuicConfig, QuicTransport};
use bailiwick_net::tls::Judge;
use bailiwick_net::transport::{Frame, Tag, Transport};
use bailiwick_net::{
    Answer, AnySender, Credentials, Expect, FrameReceiver, Handler, Lane, Mesh, MeshConfig, Peer,
    Supervisor, TrustBundle,
};
use bailiwick_proto::failure::Failure;
use bytes::Bytes;
use futures::future::BoxFuture;

/// For what is only waited for.
const LONG: Duration = Duration::from_secs(30);
/// Purposes in a head: a call, a stream, a bulk stream.
const PURPOSES: [u8; 3] = [2, 3, 4];

/// Counts what it is told, and answers nothing.
#[derive(Default)]
struct Ear(AtomicUsize);

impl Ear {
    fn hears(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler for Ear {
    fn call<'a>(
        &'a self,
        _: &'a Peer,
        _: Lane,
        _: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        self.hears();
        Box::pin(async { Err(Failure::new(Kind::Unavailable, "nobody is here")) })
    }

    fn stream<'a>(
        &'a self,
        _: &'a Peer,
        _: Lane,
        _: AnySender,
        _: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        self.hears();
        Box::pin(async {})
    }

    fn bulk<'a>(
        &'a self,
        _: &'a Peer,
        _: Lane,
        _: AnySender,
        _: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        self.hears();
        Box::pin(async {})
    }
}

/// A process with papers of some kind, on a port of its own.
pub struct Stranger {
    /// Its links.
    pub mesh: Mesh,
    transport: Arc<dyn Transport>,
    ear: Arc<Ear>,
    _tasks: Supervisor,
}

impl Stranger {
    /// Starts with the papers in `credentials`, believing the bundle in `trust`.
    ///
    /// # Panics
    /// When the papers can't be read.
    #[must_use]
    pub fn new(credentials: &Path, trust: &Path) -> Self {
        let own = Arc::new(Credentials::load(credentials).unwrap());
        let judge = Judge::new(&TrustBundle::load(trust).unwrap()).unwrap();
        let (tasks, ear) = (Supervisor::new(), Arc::new(Ear::default()));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = QuicTransport::bind(any, judge, own.clone(), &QuicConfig::default());
        let transport: Arc<dyn Transport> = Arc::new(bound.unwrap());
        let identity = own.identity().clone();
        let mesh = Mesh::new(identity, Arc::clone(&transport), &tasks, MeshConfig::default());
        mesh.serve(ear.clone());
        Self { mesh, transport, ear, _tasks: tasks }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.transport.local_addr().unwrap()
    }

    /// Calls and streams that honest nodes have sent here.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.ear.0.load(Ordering::SeqCst)
    }

    /// Why it can't speak with the node at `address`; none when it can.
    pub async fn turned_away(&self, node: &NodeName, address: SocketAddr) -> Option<String> {
        self.mesh.book().set_node(node, address);
        self.mesh.link(node).await.err().map(|error| error.to_string())
    }

    /// Writes by hand the head of a call, a stream and a bulk stream for `group`, as only a peer that
    /// does not check itself would; what the node at `address` says to each.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn send_for(&self, group: &GroupId, address: SocketAddr) -> Vec<String> {
        let connection = self.transport.dial(address, Expect::Member).await.unwrap();
        let mut answers = Vec::new();
        for purpose in PURPOSES {
            let mut stream = connection.open().await.unwrap();
            let name = group.to_string();
            let length = u8::try_from(name.len()).unwrap();
            // Version, purpose, the lane for appending, the group.
            let mut head = vec![0x08, 1, 0x10, purpose, 0x18, 1, 0x22, length];
            head.extend_from_slice(name.as_bytes());
            stream.sink.send(Frame { tag: Tag::Head, body: head.into() }).await.unwrap();
            let answer = tokio::time::timeout(LONG, stream.source.recv(4096)).await;
            let answer = answer.expect("an answer in time").unwrap().unwrap();
            assert_eq!(answer.tag, Tag::Failure);
            answers.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
        answers
    }
}
