//! One simulated node: the product's own, on a simulated disk, clock and network, with its applied state in
//! a folder in memory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::{NodeName, UnixMillis};
use bailiwick_net::memory::Passport;
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::{Expect, Identity, Role, Supervisor, TrustBundle};
use bailiwick_node::config::Config;
use bailiwick_node::log::sim::SimDisk;
use bailiwick_node::raft::offload::Offload;
use bailiwick_node::seams::{Seams, Writing};
use bailiwick_node::service::NodeService;
use bailiwick_node::start::{Addresses, Body, Parts};
use bailiwick_proto::edge::node_server::NodeServer;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::SimError;
use super::entropy::Seeded;
use super::wire::{Door, Wires};

/// The time of day when a simulation begins: 1 July 2026.
pub const BEGIN_MS: i64 = 1_782_864_000_000;
/// Connections of routers that wait to be taken.
const CONNECTIONS: usize = 64;
/// A disk that is well takes this long for a batch, in microseconds.
const PACE_US: std::ops::Range<u64> = 100..3_000;
const AT_ONCE: Duration = Duration::from_millis(1);
/// Between tries to open a data directory that the life before still holds.
const RETRY: Duration = Duration::from_millis(20);
const RETRIES: usize = 300;
/// The same in real time.
const REAL_RETRY: Duration = Duration::from_millis(2);
/// After so many tries the folder is taken from the life before: a Raft that has failed never lets go of it, and
/// there is no process here whose end would.
const TAKES_OVER: usize = 250;

/// What stays of a node when its power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The applied state as it was.
    Kept,
    /// None of it: it is rebuilt from snapshot and log.
    Lost,
    /// Nothing at all, not even who it was: it comes back as a new member.
    Wiped,
}

/// The place and the files of a node.
pub struct Plan {
    /// Who it is.
    pub identity: Identity,
    /// Where peers reach it.
    pub peers: SocketAddr,
    /// Where routers reach it.
    pub edge: SocketAddr,
    /// As its configuration file would say.
    pub config: Config,
    /// Whom it believes.
    pub bundle: Arc<TrustBundle>,
}

/// A node, alive or not.
pub struct SimNode {
    plan: Plan,
    seed: u64,
    began: Instant,
    wires: Wires,
    disk: SimDisk,
    skew_ms: Arc<AtomicI64>,
    slow_us: Arc<AtomicU64>,
    life: u64,
    running: Option<Running>,
}

struct Running {
    body: Arc<Body>,
    tasks: Supervisor,
}

impl SimNode {
    /// A node that does not run yet. All nodes have begun at `began`.
    #[must_use]
    pub fn new(plan: Plan, seed: u64, began: Instant, wires: Wires) -> Self {
        let (skew_ms, slow_us) = (Arc::default(), Arc::default());
        let disk = SimDisk::default();
        Self { plan, seed, began, wires, disk, skew_ms, slow_us, life: 0, running: None }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.plan.identity.name
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.plan.identity.domain.as_str()
    }

    /// Who it is and where routers find it.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What runs, if it runs.
    #[must_use]
    pub fn body(&self) -> Option<&Arc<Body>> {
        self.running.as_ref().map(|running| &running.body)
    }

    /// How often it has been started.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.life
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The folder of its applied state.
    #[must_use]
    pub fn folder(&self) -> &PathBuf {
        &self.plan.config.data_dir
    }

    /// Sets its clock ahead of the others' by so much, or behind.
    pub fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// Lets its disk take so much longer for each batch.
    pub fn set_slow(&self, slow: Duration) {
        let slow = u64::try_from(slow.as_micros()).unwrap_or(u64::MAX);
        self.slow_us.store(slow, Ordering::Relaxed);
    }

    /// Resolves when the node has ended itself, as after a failure of its disk.
    pub fn fatal(&self) -> impl Future<Output = String> + use<> {
        let tasks = self.running.as_ref().map(|running| running.tasks.clone());
        async move {
            match tasks {
                Some(tasks) => tasks.fatal().await.to_string(),
                None => std::future::pending().await,
            }
        }
    }

    fn stream(&self, what: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed ^ (self.life << 8) ^ what)
    }

    fn seams(&self) -> Seams {
        let (began, skew) = (self.began, Arc::clone(&self.skew_ms));
        let clock = move || {
            let passed = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            UnixMillis(BEGIN_MS + passed + skew.load(Ordering::Relaxed))
        };
        let (dice, slow) = (Mutex::new(self.stream(1)), Arc::clone(&self.slow_us));
        let pace = move || {
            let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
            let slow = slow.load(Ordering::Relaxed);
            let extra = if slow == 0 { 0 } else { dice.random_range(0..slow) };
            Duration::from_micros(dice.random_range(PACE_US) + extra)
        };
        Seams {
            clock: Arc::new(clock),
            entropy: Arc::new(Seeded::new(self.seed ^ (self.life << 8) ^ 2)),
            disk: Arc::new(self.disk.clone()),
            writing: Writing::Paced(Arc::new(pace)),
            offload: Offload::Inline,
            jitter: self.seed ^ self.life,
        }
    }

    /// Starts it, on what its disk holds.
    ///
    /// # Errors
    /// [`SimError`] when it does not start.
    pub async fn start(&mut self) -> Result<(), SimError> {
        self.life += 1;
        let mut tries = 0;
        loop {
            match self.try_start().await {
                Ok(running) => {
                    self.running = Some(running);
                    return Ok(());
                }
                // The life before is still letting go of its folder: in tasks, and in threads of sled's, which
                // have a clock of their own.
                Err(error) if tries < RETRIES && error.to_string().contains("in use") => {
                    tries += 1;
                    std::thread::sleep(REAL_RETRY);
                    sleep(RETRY).await;
                    if tries == TAKES_OVER {
                        take_over(&self.plan.config.data_dir)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_start(&self) -> Result<Running, SimError> {
        let tasks = Supervisor::new();
        let started = self.open(&tasks).await;
        match started {
            Ok(body) => Ok(Running { body: Arc::new(body), tasks }),
            Err(error) => {
                tasks.shutdown(AT_ONCE).await;
                self.wires.net().crash(self.plan.peers);
                Err(error)
            }
        }
    }

    async fn open(&self, tasks: &Supervisor) -> Result<Body, SimError> {
        let plan = &self.plan;
        let passport = Passport::genuine(plan.identity.clone());
        let accepts = Expect::Role(Role::Node);
        let transport = self.wires.net().endpoint(plan.peers, passport, accepts)?;
        let verifier = TokenVerifier::open(plan.config.tokens.clone()).map_err(SimError::of)?;
        let parts = Parts {
            config: &plan.config,
            identity: plan.identity.clone(),
            bundle: &plan.bundle,
            verifier,
            transport: Arc::new(transport),
            addresses: Addresses { peers: plan.peers, edge: plan.edge },
            seams: self.seams(),
        };
        let body = Body::open(parts, tasks.child("node")).await.map_err(SimError::of)?;
        self.serve(&body, tasks);
        Ok(body)
    }

    /// Answers routers, as the product does behind its certificates.
    fn serve(&self, body: &Body, tasks: &Supervisor) {
        let (accepts, accepted) = mpsc::channel(CONNECTIONS);
        let service = NodeServer::new(NodeService::new(Arc::clone(body.state())));
        let serving = Server::builder().add_service(service);
        let serving = serving.serve_with_incoming(ReceiverStream::new(accepted));
        tasks.spawn_droppable("edge", async move { drop(serving.await) });
        let door = Door { name: self.name().clone(), accepts, tasks: tasks.child("wires") };
        self.wires.open(self.plan.edge, door);
    }

    /// Its tasks, for whoever watches it.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn tasks(&self) -> &Supervisor {
        // INVARIANT: who watches a node has just started it.
        self.running
            .as_ref()
            .map_or_else(|| unreachable!("it does not run"), |running| &running.tasks)
    }

    /// Nothing it does from now on reaches its disk or anybody else.
    pub fn silence(&self) {
        self.wires.close(self.plan.edge);
        self.wires.net().crash(self.plan.peers);
        self.disk.cut_power_at(0);
    }

    /// Whether events that were acknowledged wait on its disk, and on no other, for a group without a quorum.
    #[must_use]
    pub fn has_events_waiting(&self) -> bool {
        let waiting = std::fs::read_dir(self.plan.config.data_dir.join("buffer"));
        waiting.is_ok_and(|mut files| files.next().is_some())
    }

    /// Its power fails now.
    ///
    /// # Errors
    /// [`SimError`] when what is to be lost can't be removed.
    pub async fn cut_power(&mut self, rows: Rows, seed: u64) -> Result<(), SimError> {
        self.wires.close(self.plan.edge);
        self.wires.net().crash(self.plan.peers);
        self.disk = match rows {
            Rows::Wiped => {
                drop(self.disk.after_power_cut(seed));
                SimDisk::default()
            }
            Rows::Kept | Rows::Lost => self.disk.after_power_cut(seed),
        };
        if let Some(Running { body, tasks }) = self.running.take() {
            // What waits for the dead disk is told so first: a Raft that waits for ever can't be ended.
            let slow = Duration::from_micros(self.slow_us.load(Ordering::Relaxed));
            sleep(Duration::from_micros(PACE_US.end) + slow).await;
            body.halt().await;
            tasks.shutdown(AT_ONCE).await;
        }
        let folder = &self.plan.config.data_dir;
        match rows {
            Rows::Kept => {}
            Rows::Lost => remove(&folder.join("state"))?,
            Rows::Wiped => remove(folder)?,
        }
        Ok(())
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        self.wires.close(self.plan.edge);
        if let Some(Running { body, tasks }) = self.running.take() {
            tasks.child("wires").shutdown(AT_ONCE).await;
            body.stop(Duration::from_secs(3)).await;
            tasks.shutdown(AT_ONCE).await;
        }
        self.wires.net().crash(self.plan.peers);
    }
}

/// Puts a copy in the place of a folder, so that whoever holds the old files holds nothing that is there.
fn take_over(folder: &Path) -> Result<(), SimError> {
    let copy = folder.with_extension("copy");
    copy_all(folder, &copy)?;
    std::fs::remove_dir_all(folder)?;
    Ok(std::fs::rename(copy, folder)?)
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_all(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(drop)?,
        }
    }
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())
}

fn remove(folder: &PathBuf) -> Result<(), SimError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
