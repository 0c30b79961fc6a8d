//! Links inside one process, with seeded weather, for simulations under paused time: the same seed and
//! the same program give the same delays, losses and broken connections.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::identity::{Expect, Identity};
use crate::memory_wire::{End, Grip, Wire, hash};
use crate::transport::{Arriving, Connection, Lost, Transport};
pub use crate::weather::Weather;
use crate::weather::{Cuts, Fate};

/// Peers that have knocked and wait to be let in.
const KNOCKS_MAX: usize = 256;
/// A silent peer is gone after this time, as with QUIC's default here.
const IDLE: Duration = Duration::from_secs(3);

/// What a simulated process shows at a handshake: who it claims to be, and whose CA signed that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passport {
    identity: Identity,
    signed_by: DomainId,
}

impl Passport {
    /// Signed by the CA of the domain that it names.
    #[must_use]
    pub fn genuine(identity: Identity) -> Self {
        let signed_by = identity.domain.clone();
        Self { identity, signed_by }
    }

    /// Signed by the CA of some domain, which may be another than it names.
    #[must_use]
    pub fn signed_by(identity: Identity, signed_by: DomainId) -> Self {
        Self { identity, signed_by }
    }

    /// The rules of [`crate::tls::Judge`], without certificates.
    fn judge(&self, judge: &Identity, expect: &Expect) -> Result<(), Lost> {
        let refused = |what: String| Err(Lost::Refused(what));
        if self.identity.cluster != judge.cluster {
            return refused(format!("the peer is of cluster {}", self.identity.cluster));
        }
        if self.signed_by != self.identity.domain {
            return refused(format!("the CA of {} does not vouch for it", self.identity.domain));
        }
        expect.admit(&self.identity).map_err(|unexpected| Lost::Refused(unexpected.to_string()))
    }
}

/// Sees every frame that is sent: from whom, to whom, and its bytes.
pub type Tap = Box<dyn Fn(&Identity, &Identity, &[u8]) + Send + Sync>;

/// What all processes of a simulation share.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) idle: Duration,
    pub(crate) weather: watch::Sender<Weather>,
    pub(crate) cuts: watch::Sender<Cuts>,
    pub(crate) tap: OnceLock<Tap>,
    endpoints: Mutex<BTreeMap<SocketAddr, Endpoint>>,
    /// Connections made so far from one process to another.
    dials: Mutex<BTreeMap<(NodeName, NodeName), u64>>,
}

#[derive(Clone)]
struct Endpoint {
    passport: Passport,
    knocks: mpsc::Sender<Knock>,
    grips: Arc<Mutex<Vec<Weak<Grip>>>>,
    closed: CancellationToken,
}

/// A simulated network. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNet(Arc<World>);

impl MemoryNet {
    /// A network whose weather depends on the seed alone.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self(Arc::new(World {
            seed,
            idle: IDLE,
            weather: watch::Sender::new(weather),
            cuts: watch::Sender::default(),
            tap: OnceLock::new(),
            endpoints: Mutex::default(),
            dials: Mutex::default(),
        }))
    }

    /// A process at `addr`, which lets in whom `accepts` names.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when a process lives there.
    pub fn endpoint(
        &self,
        addr: SocketAddr,
        passport: Passport,
        accepts: Expect,
    ) -> io::Result<MemoryTransport> {
        let (knocks, knocking) = mpsc::channel(KNOCKS_MAX);
        let (grips, closed) = (Arc::default(), CancellationToken::new());
        let endpoint = Endpoint { passport, knocks, grips, closed };
        let mut endpoints = self.0.endpoints();
        if endpoints.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        endpoints.insert(addr, endpoint.clone());
        let world = self.0.clone();
        let knocking = tokio::sync::Mutex::new(knocking);
        Ok(MemoryTransport { world, addr, endpoint, accepts, knocking })
    }

    /// Lets `tap` see every frame from now on. The first one stays.
    pub fn tap(&self, tap: Tap) {
        let _ = self.0.tap.set(tap);
    }

    /// Changes the weather for frames sent from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.0.weather.send_replace(weather);
    }

    /// Cuts the way from one process to another; the way back stays open.
    pub fn cut(&self, from: &NodeName, to: &NodeName) {
        self.0.cuts.send_modify(|cuts| cuts.cut(from, to));
    }

    /// Cuts both ways between two processes.
    pub fn partition(&self, a: &NodeName, b: &NodeName) {
        self.0.cuts.send_modify(|cuts| {
            cuts.cut(a, b);
            cuts.cut(b, a);
        });
    }

    /// Mends both ways between two processes. Frames that were held up go on, if their connection has
    /// not been given up by then.
    pub fn heal(&self, a: &NodeName, b: &NodeName) {
        self.0.cuts.send_modify(|cuts| {
            cuts.heal(a, b);
            cuts.heal(b, a);
        });
    }

    /// Mends every way.
    pub fn heal_all(&self) {
        self.0.cuts.send_modify(Cuts::heal_all);
    }

    /// The process at `addr` dies without a word: its peers find out when they have heard nothing for
    /// long enough. The address is free again.
    pub fn crash(&self, addr: SocketAddr) {
        let endpoint = self.0.endpoints().remove(&addr);
        let Some(endpoint) = endpoint else { return };
        endpoint.closed.cancel();
        for grip in endpoint.living() {
            grip.fall_silent();
        }
    }
}

impl Endpoint {
    fn living(&self) -> Vec<Arc<Grip>> {
        let mut grips = self.grips.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *grips).iter().filter_map(Weak::upgrade).collect()
    }

    fn keep(&self, end: &Arc<End>) {
        let mut grips = self.grips.lock().unwrap_or_else(PoisonError::into_inner);
        grips.retain(|grip| grip.strong_count() > 0);
        grips.push(Arc::downgrade(end.grip()));
    }
}

impl World {
    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Endpoint>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_dial(&self, from: &NodeName, to: &NodeName) -> u64 {
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        let dial = dials.entry((from.clone(), to.clone())).or_default();
        *dial += 1;
        *dial
    }

    /// Waits until the way is open.
    pub(crate) async fn open_way(&self, from: &NodeName, to: &NodeName) {
        let mut cuts = self.cuts.subscribe();
        // The sender lives in this world, so the channel never closes first.
        let _ = cuts.wait_for(|cuts| cuts.since(from, to).is_none()).await;
    }

    /// One way of a handshake.
    async fn trip(&self, from: &NodeName, to: &NodeName, dice: &mut Dice) -> Result<(), Lost> {
        let weather = *self.weather.borrow();
        match weather.fate(dice) {
            Fate::Arrives(delay) => sleep(delay).await,
            Fate::Breaks => return Err(Lost::TimedOut),
        }
        self.open_way(from, to).await;
        Ok(())
    }

    async fn dial(
        self: Arc<Self>,
        own: Endpoint,
        addr: SocketAddr,
        expect: Expect,
    ) -> Result<Arc<dyn Connection>, Lost> {
        let there = self.endpoints().get(&addr).cloned();
        let Some(there) = there else {
            // Nobody says that nobody is there.
            return std::future::pending().await;
        };
        let (me, peer) = (&own.passport.identity, &there.passport.identity);
        let number = self.next_dial(&me.name, &peer.name);
        let names = [hash(me.name.as_str()), hash(peer.name.as_str())];
        let mut dice = Dice::of(self.seed, &[names[0], names[1], number]);
        self.trip(&me.name, &peer.name, &mut dice).await?;
        self.trip(&peer.name, &me.name, &mut dice).await?;
        there.passport.judge(me, &expect)?;
        let wire = Wire::new(self.clone(), me.clone(), peer.clone(), number);
        let (near, far) = wire.ends();
        own.keep(&near);
        there.keep(&far);
        let knock = Knock { end: far, guest: own.passport.clone(), accepts: None };
        there.knocks.try_send(knock).map_err(|_| Lost::Io("the peer does not accept".into()))?;
        Ok(near)
    }
}

/// A process on a simulated network.
pub struct MemoryTransport {
    world: Arc<World>,
    addr: SocketAddr,
    endpoint: Endpoint,
    accepts: Expect,
    knocking: tokio::sync::Mutex<mpsc::Receiver<Knock>>,
}

struct Knock {
    end: Arc<End>,
    guest: Passport,
    accepts: Option<Expect>,
}

impl Arriving for Knock {
    fn admit(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>> {
        let host = self.end.grip().identity().clone();
        let accepts = self.accepts.unwrap_or(Expect::Member);
        let judged = self.guest.judge(&host, &accepts);
        // The dialler believes that it is connected, as in TLS 1.3, until it hears this.
        if let Err(lost) = &judged {
            self.end.grip().end(lost.clone());
        }
        let connection: Arc<dyn Connection> = self.end;
        Box::pin(async move { judged.map(|()| connection) })
    }

    fn refuse(self: Box<Self>) {
        self.end.grip().end(Lost::Io("the peer is too busy".to_owned()));
    }
}

impl Transport for MemoryTransport {
    fn dial(
        &self,
        addr: SocketAddr,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>> {
        let dial = self.world.clone().dial(self.endpoint.clone(), addr, expect);
        let idle = self.world.idle;
        Box::pin(async move { timeout(idle, dial).await.unwrap_or(Err(Lost::TimedOut)) })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Arriving>>> {
        Box::pin(async move {
            let mut knocking = self.knocking.lock().await;
            let knock = self.endpoint.closed.run_until_cancelled(knocking.recv()).await??;
            let accepts = Some(self.accepts.clone());
            Some(Box::new(Knock { accepts, ..knock }) as Box<dyn Arriving>)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn close(&self, _grace: Duration) -> BoxFuture<'_, ()> {
        self.leave();
        Box::pin(std::future::ready(()))
    }
}

impl MemoryTransport {
    fn leave(&self) {
        self.endpoint.closed.cancel();
        let mut endpoints = self.world.endpoints();
        let here = endpoints.get(&self.addr);
        // After a crash another process may live at the address.
        if here.is_some_and(|here| Arc::ptr_eq(&here.grips, &self.endpoint.grips)) {
            endpoints.remove(&self.addr);
        }
        drop(endpoints);
        for grip in self.endpoint.living() {
            grip.end(Lost::Closed);
        }
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.leave();
    }
}
