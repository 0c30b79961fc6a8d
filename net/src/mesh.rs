//! The connections of one process to its peers: dialled when asked for, kept, and let go in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::book::{PeerBook, PeerEntry};
use crate::dice::Dice;
use crate::dispatch::Dispatcher;
use crate::error::NetError;
use crate::handler::Handler;
use crate::identity::Identity;
use crate::link::{AnyLink, Redial};
use crate::metrics::{Gauge, NetMetrics, add};
use crate::peer::Peer;
use crate::stream::Context;
use crate::supervisor::Supervisor;
use crate::transport::{Arriving, Connection, Lost, Transport};
use crate::watch::Watch;

/// Bounds of a mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// A dial, its handshake and its greeting together take at most this long.
    pub dial_timeout: Duration,
    /// The wait between failed dials of one peer.
    pub backoff: Backoff,
    /// Handshakes of incoming connections at one time.
    pub handshakes_max: usize,
    /// Incoming connections at one time.
    pub connections_max: usize,
    /// Incoming calls at one time; more are shed.
    pub calls_max: usize,
    /// Bytes of one frame.
    pub frame_bytes_max: usize,
    /// Of the jitter.
    pub seed: u64,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(3),
            backoff: Backoff::default(),
            handshakes_max: 64,
            connections_max: 1024,
            calls_max: 4096,
            frame_bytes_max: 8 << 20,
            seed: 0,
        }
    }
}

/// What a dial came to: a link, or what stood in the way.
type Dialled = Result<Arc<AnyLink>, String>;

enum State {
    Idle,
    Dialling(watch::Receiver<Option<Dialled>>),
    Up(Arc<AnyLink>),
    Down { until: Instant, why: String },
}

/// One a peer.
struct Slot {
    state: State,
    /// Failed dials in a row.
    failures: u32,
    /// What the book said when the peer was last dialled.
    entry: Option<PeerEntry>,
    watch: Arc<Watch>,
}

struct Inner {
    own: Identity,
    transport: Arc<dyn Transport>,
    book: PeerBook,
    config: MeshConfig,
    metrics: Arc<NetMetrics>,
    tasks: Supervisor,
    slots: Mutex<BTreeMap<NodeName, Slot>>,
    dice: Mutex<Dice>,
    calls: Arc<Semaphore>,
    draining: CancellationToken,
    incoming: AtomicU64,
}

/// The links of this process. Clones are the same mesh.
#[derive(Clone)]
pub struct Mesh(Arc<Inner>);

impl Mesh {
    /// A mesh of the process that `own` names, which must be what its certificate says.
    #[must_use]
    pub fn new(
        own: Identity,
        transport: Arc<dyn Transport>,
        tasks: &Supervisor,
        config: MeshConfig,
    ) -> Self {
        Self(Arc::new(Inner {
            own,
            transport,
            book: PeerBook::default(),
            metrics: Arc::default(),
            tasks: tasks.child("mesh"),
            slots: Mutex::default(),
            dice: Mutex::new(Dice::new(config.seed)),
            calls: Arc::new(Semaphore::new(config.calls_max)),
            draining: CancellationToken::new(),
            incoming: AtomicU64::new(0),
            config,
        }))
    }

    /// Who this process is.
    #[must_use]
    pub fn own(&self) -> &Identity {
        &self.0.own
    }

    /// The peers' addresses; may be changed at any time.
    #[must_use]
    pub fn book(&self) -> &PeerBook {
        &self.0.book
    }

    /// What has been counted.
    #[must_use]
    pub fn metrics(&self) -> Arc<NetMetrics> {
        self.0.metrics.clone()
    }

    /// The link to a peer: the one that stands, or a new one. Fails at once while it is too early to
    /// dial again. Callers may give up waiting; the dial goes on.
    ///
    /// # Errors
    /// [`NetError`]; in every case nothing was sent.
    pub async fn link(&self, peer: &NodeName) -> Result<Arc<AnyLink>, NetError> {
        let mut dialled = match self.begin(peer)? {
            Begun::Up(link) => return Ok(link),
            Begun::Dialling(dialled) => dialled,
        };
        let unreachable = |why| NetError::Unreachable { peer: peer.clone(), why };
        let outcome = dialled.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        outcome.unwrap_or_else(|| Err("the dial was given up".to_owned())).map_err(unreachable)
    }

    /// Whether a connection to the peer stands. It is kept alive, so a silent peer counts as gone after
    /// the transport's idle time.
    #[must_use]
    pub fn reachable(&self, peer: &NodeName) -> bool {
        let slots = self.slots();
        slots.get(peer).is_some_and(|slot| match &slot.state {
            State::Up(link) => link.lost().is_none(),
            State::Idle | State::Dialling(_) | State::Down { .. } => false,
        })
    }

    /// When a frame of the peer last arrived, on a connection of either side's making.
    #[must_use]
    pub fn last_heard(&self, peer: &NodeName) -> Option<Instant> {
        self.slots().get(peer).and_then(|slot| slot.watch.last_heard())
    }

    /// Answers peers with `handler` until the mesh is shut down.
    pub fn serve(&self, handler: Arc<dyn Handler>) {
        let dispatcher = Arc::new(Dispatcher {
            handler,
            tasks: self.0.tasks.clone(),
            calls: self.0.calls.clone(),
            draining: self.0.draining.clone(),
        });
        let inner = self.0.clone();
        self.0.tasks.spawn_droppable("accept", async move { inner.accept(dispatcher).await });
    }

    /// Stops in order: takes no new work, lets calls that have begun end, cuts streams, closes
    /// connections, and tells the peers; all within `grace`. Returns the names of tasks that had to be
    /// aborted.
    pub async fn shutdown(&self, grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        self.0.draining.cancel();
        let all = u32::try_from(self.0.config.calls_max).unwrap_or(u32::MAX);
        let _ended = tokio::time::timeout_at(deadline, self.0.calls.acquire_many(all)).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let aborted = self.0.tasks.shutdown(left.max(Duration::from_millis(50))).await;
        let links: Vec<Arc<AnyLink>> = self.slots().values_mut().filter_map(Slot::take).collect();
        for link in links {
            link.close().await;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.transport.close(left.max(Duration::from_millis(50))).await;
        aborted
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<NodeName, Slot>> {
        self.0.slots()
    }

    fn begin(&self, peer: &NodeName) -> Result<Begun, NetError> {
        if self.0.draining.is_cancelled() {
            return Err(NetError::Stopping);
        }
        if *peer == self.0.own.name {
            return Err(NetError::Itself { peer: peer.clone() });
        }
        let entry =
            self.0.book.get(peer).ok_or_else(|| NetError::Unknown { peer: peer.clone() })?;
        let mut slots = self.slots();
        let slot = self.0.slot(&mut slots, peer);
        slot.refresh(&entry);
        match &slot.state {
            State::Up(link) => return Ok(Begun::Up(link.clone())),
            State::Dialling(dialled) => return Ok(Begun::Dialling(dialled.clone())),
            State::Down { why, .. } => {
                return Err(NetError::Unreachable { peer: peer.clone(), why: why.clone() });
            }
            State::Idle => {}
        }
        let (tell, dialled) = watch::channel(None);
        slot.state = State::Dialling(dialled.clone());
        let (inner, watch, peer) = (self.0.clone(), slot.watch.clone(), peer.clone());
        self.0.tasks.spawn_droppable("dial", async move {
            let outcome = inner.dial(&peer, &entry, watch).await;
            inner.settle(&peer, &entry, &outcome);
            // Nobody may be waiting any more; the slot keeps the outcome.
            let _ = tell.send(Some(outcome));
        });
        Ok(Begun::Dialling(dialled))
    }
}

enum Begun {
    Up(Arc<AnyLink>),
    Dialling(watch::Receiver<Option<Dialled>>),
}

impl Slot {
    /// Forgets a connection that is lost or goes to an old address, and a wait that is over.
    fn refresh(&mut self, entry: &PeerEntry) {
        if self.entry.as_ref() != Some(entry) {
            self.entry = Some(entry.clone());
            self.failures = 0;
            self.state = State::Idle;
        }
        let over = match &self.state {
            State::Up(link) => link.lost().is_some(),
            State::Down { until, .. } => *until <= Instant::now(),
            // A dial that was cancelled leaves nobody to tell.
            State::Dialling(dialled) => dialled.has_changed().is_err(),
            State::Idle => false,
        };
        if over {
            self.state = State::Idle;
        }
    }

    fn take(&mut self) -> Option<Arc<AnyLink>> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Up(link) => Some(link),
            State::Idle | State::Dialling(_) | State::Down { .. } => None,
        }
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<NodeName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot<'a>(&self, slots: &'a mut BTreeMap<NodeName, Slot>, peer: &NodeName) -> &'a mut Slot {
        slots.entry(peer.clone()).or_insert_with(|| Slot {
            state: State::Idle,
            failures: 0,
            entry: None,
            watch: Arc::new(Watch::new(self.metrics.clone())),
        })
    }

    fn context(&self, identity: Identity, watch: Arc<Watch>) -> Context {
        let peer = Arc::new(Peer::attested(identity, &self.own.domain));
        Context { peer, watch, frame_bytes_max: self.config.frame_bytes_max }
    }

    async fn dial(&self, peer: &NodeName, entry: &PeerEntry, watch: Arc<Watch>) -> Dialled {
        add(&self.metrics.dials, 1);
        let redial = Redial {
            transport: self.transport.clone(),
            addr: entry.addr,
            timeout: self.config.dial_timeout,
        };
        let connection =
            redial.dial(entry.expect.clone()).await.map_err(|lost| lost.to_string())?;
        let found = &connection.peer().name;
        if found != peer {
            connection.close();
            return Err(format!("{found} answers there"));
        }
        watch.heard(0);
        let context = self.context(connection.peer().clone(), watch);
        Ok(Arc::new(AnyLink::classify(connection, context, redial)))
    }

    fn settle(&self, peer: &NodeName, entry: &PeerEntry, outcome: &Dialled) {
        let mut slots = self.slots();
        let Some(slot) = slots.get_mut(peer).filter(|slot| slot.entry.as_ref() == Some(entry))
        else {
            return;
        };
        match outcome {
            Ok(link) => {
                slot.failures = 0;
                slot.state = State::Up(link.clone());
            }
            Err(why) => {
                add(&self.metrics.dial_failures, 1);
                slot.failures = slot.failures.saturating_add(1);
                let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = self.config.backoff.wait(slot.failures, &mut dice);
                tracing::debug!(%peer, why, ?wait, "a dial failed");
                slot.state = State::Down { until: Instant::now() + wait, why: why.clone() };
            }
        }
    }

    async fn accept(self: Arc<Self>, dispatcher: Arc<Dispatcher>) {
        let handshakes = Arc::new(Semaphore::new(self.config.handshakes_max));
        while let Some(arriving) = self.transport.accept().await {
            let full = self.incoming.load(Ordering::Relaxed) >= self.config.connections_max as u64;
            let Some(permit) = handshakes.clone().try_acquire_owned().ok().filter(|_| !full) else {
                add(&self.metrics.handshakes_shed, 1);
                arriving.refuse();
                continue;
            };
            let (this, dispatcher) = (self.clone(), dispatcher.clone());
            self.tasks.spawn_droppable("connection", async move {
                let admitted = this.admit(arriving).await;
                drop(permit);
                match admitted {
                    Ok(connection) => this.attend(connection, dispatcher).await,
                    Err(lost) => {
                        add(&this.metrics.handshake_failures, 1);
                        tracing::warn!(%lost, "a handshake failed");
                    }
                }
            });
        }
    }

    async fn admit(&self, arriving: Box<dyn Arriving>) -> Result<Arc<dyn Connection>, Lost> {
        let admitted = tokio::time::timeout(self.config.dial_timeout, arriving.admit()).await;
        admitted.unwrap_or(Err(Lost::TimedOut))
    }

    async fn attend(&self, connection: Arc<dyn Connection>, dispatcher: Arc<Dispatcher>) {
        let _counted = Gauge::up(&self.incoming);
        let _shown = Gauge::up(&self.metrics.connections_in);
        let watch = self.welcome(&connection.peer().name.clone());
        let context = self.context(connection.peer().clone(), watch);
        dispatcher.serve(connection, context).await;
    }

    /// A peer that comes back by itself need not be waited for.
    fn welcome(&self, peer: &NodeName) -> Arc<Watch> {
        let mut slots = self.slots();
        let slot = self.slot(&mut slots, peer);
        if matches!(slot.state, State::Down { .. }) {
            slot.state = State::Idle;
        }
        slot.watch.heard(0);
        slot.watch.clone()
    }
}
