//! The way from routers to nodes: gRPC over pipes in memory, under the same weather and cuts as the nodes'
//! own network, with a tap on every byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_net::Supervisor;
use bailiwick_net::memory::{MemoryNet, Weather};
use bailiwick_router::{Dial, NodeAddress};
use hyper_util::rt::TokioIo;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::tap::Tap;

const PIPE_BYTES: usize = 64 << 10;
const CONNECT_WITHIN: Duration = Duration::from_millis(500);

/// Where a node takes connections of routers.
#[derive(Clone)]
pub struct Door {
    /// Whose it is.
    pub name: NodeName,
    /// Takes the node's end of a connection.
    pub accepts: mpsc::Sender<io::Result<DuplexStream>>,
    /// The node's tasks: connections end with them.
    pub tasks: Supervisor,
}

type Cuts = BTreeSet<(NodeName, NodeName)>;

struct Inner {
    seed: u64,
    net: MemoryNet,
    tap: Arc<Tap>,
    doors: Mutex<BTreeMap<SocketAddr, Door>>,
    cuts: watch::Sender<Cuts>,
    weather: Mutex<Weather>,
    dials: Mutex<u64>,
}

/// All that connects the simulated processes. Clones are the same.
#[derive(Clone)]
pub struct Wires(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wires {
    /// Wires beside the nodes' own `net`.
    #[must_use]
    pub fn new(seed: u64, net: MemoryNet, tap: Arc<Tap>) -> Self {
        let (doors, cuts) = (Mutex::default(), watch::Sender::default());
        let (weather, dials) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { seed, net, tap, doors, cuts, weather, dials }))
    }

    /// The nodes' own network.
    #[must_use]
    pub fn net(&self) -> &MemoryNet {
        &self.0.net
    }

    /// A node opens its door.
    pub fn open(&self, address: SocketAddr, door: Door) {
        lock(&self.0.doors).insert(address, door);
    }

    /// A node is gone, and its door with it.
    pub fn close(&self, address: SocketAddr) {
        lock(&self.0.doors).remove(&address);
    }

    /// The weather of everything from now on.
    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.0.weather) = weather;
        self.0.net.set_weather(weather);
    }

    /// Cuts one way between two processes.
    pub fn cut(&self, from: &NodeName, to: &NodeName) {
        self.0.net.cut(from, to);
        self.0.cuts.send_if_modified(|cuts| cuts.insert((from.clone(), to.clone())));
    }

    /// Mends every way.
    pub fn heal(&self) {
        self.0.net.heal_all();
        self.0.cuts.send_modify(Cuts::clear);
    }

    fn dice(&self) -> ChaCha8Rng {
        let mut dials = lock(&self.0.dials);
        *dials += 1;
        ChaCha8Rng::seed_from_u64(self.0.seed ^ (*dials << 20))
    }

    async fn passable(&self, from: &NodeName, to: &NodeName) {
        let mut cuts = self.0.cuts.subscribe();
        let way = (from.clone(), to.clone());
        // The sender lives as long as the wires.
        let _ = cuts.wait_for(|cuts| !cuts.contains(&way)).await;
    }

    async fn connect(self, router: NodeName, address: SocketAddr) -> io::Result<DuplexStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let door = lock(&self.0.doors).get(&address).cloned().ok_or_else(refused)?;
        let open = async {
            self.passable(&router, &door.name).await;
            self.passable(&door.name, &router).await;
        };
        timeout(CONNECT_WITHIN, open).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let (near, router_end) = duplex(PIPE_BYTES);
        let (node_end, far) = duplex(PIPE_BYTES);
        let (from_router, to_router) = tokio::io::split(router_end);
        let (from_node, to_node) = tokio::io::split(node_end);
        let there = self.clone().carry((router.clone(), door.name.clone()), from_router, to_node);
        let back = self.clone().carry((door.name.clone(), router), from_node, to_router);
        // A connection that breaks is broken both ways.
        door.tasks.spawn_droppable("wire", async move {
            futures::future::select(std::pin::pin!(there), std::pin::pin!(back)).await;
        });
        door.accepts.try_send(Ok(far)).map_err(|_| refused())?;
        Ok(near)
    }

    /// Carries bytes one way, late, in order, and not while the way is cut.
    async fn carry(
        self,
        (from, to): (NodeName, NodeName),
        mut source: ReadHalf<DuplexStream>,
        mut sink: WriteHalf<DuplexStream>,
    ) {
        let mut dice = self.dice();
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = source.read(&mut buffer).await {
            let bytes = buffer.get(..read).unwrap_or_default();
            self.0.tap.sees(&from, &to, bytes);
            let weather = *lock(&self.0.weather);
            if weather.break_rate > dice.random() {
                return;
            }
            let late =
                if weather.late_rate > dice.random() { weather.late_by } else { Duration::ZERO };
            let spread = weather.delay_max.saturating_sub(weather.delay_min);
            sleep(weather.delay_min + spread.mul_f64(dice.random()) + late).await;
            self.passable(&from, &to).await;
            if sink.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}

/// A router's way to its nodes.
pub struct Dialler {
    /// The wires.
    pub wires: Wires,
    /// Who dials.
    pub router: NodeName,
}

impl Dial for Dialler {
    fn dial(&self, node: &NodeAddress) -> Result<Channel, String> {
        let (wires, router, address) = (self.wires.clone(), self.router.clone(), node.address);
        let connector = tower::service_fn(move |_| {
            let connecting = wires.clone().connect(router.clone(), address);
            async move { connecting.await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://simulated").connect_timeout(CONNECT_WITHIN);
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}
