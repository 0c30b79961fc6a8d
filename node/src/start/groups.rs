//! Opening the groups of a node: log, state, machines, Raft.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_core::ids::{GroupId, UnixMillis};
use bailiwick_core::pinned::Standpoint;
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::{Identity, Mesh, Peer, Supervisor, TrustBundle};
use bailiwick_proto::peer::Hello;
use openraft::{Config as RaftConfig, SnapshotPolicy};
use tokio::task::spawn_blocking;

use super::error::StartError;
use super::system_clock;
use crate::buffer::{BufferBounds, EventBuffer};
use crate::catalog::{CatalogMachine, Catalogue};
use crate::cluster::{Admit, Factory, Group, Groups, Heard, Incoming};
use crate::config::Config;
use crate::control::{ControlMachine, ControlState};
use crate::decisions::Decisions;
use crate::log::{LogOptions, RealDisk, SegmentLog, Syncing};
use crate::mutant::{Mutant, planted};
use crate::raft::group_machine::{GroupMachine, GroupParts, Offload, OpenError};
use crate::raft::guard::placement_guard;
use crate::raft::log_storage::GroupLog;
use crate::raft::machine::Machine;
use crate::raft::types::Raft;
use crate::receipt::{ReceiptKeys, ReceiptSigner};
use crate::recommend::Popularity as DomainPopularity;
use crate::revision::RevisionKeys;
use crate::seal::keys::{DomainKeys, receipt_public};
use crate::seal::{KeyRing, Secret};
use crate::service::{Away, Household, Law, People, State, Timing};
use crate::store::{DataDir, Store, StoreOptions};
use crate::users::{self, Builder, Popularity, UsersMachine, Vault};

/// The encodings that this build reads and writes.
pub(super) const CLUSTER_VERSION: u32 = 1;
/// Of the entries between two snapshots, one in so many is kept behind a snapshot, so that a follower that
/// is a little behind needs none.
const KEPT_SHARE: u64 = 5;

/// What peers and routers are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) peers: SocketAddr,
    pub(super) edge: SocketAddr,
}

/// The groups' running halves, to be stopped in order.
pub(super) struct Running {
    pub(super) groups: Groups,
    pub(super) store: Store,
    pub(super) hello: Arc<dyn Fn() -> Hello + Send + Sync>,
}

impl Running {
    /// Stops every Raft.
    pub(super) async fn stop(&self, grace: Duration) {
        let stopping = self.groups.iter().map(|group| group.raft().shutdown());
        let stopped = futures::future::join_all(stopping);
        if tokio::time::timeout(grace, stopped).await.is_err() {
            tracing::warn!("a group did not stop in time");
        }
    }

    /// Makes the applied state durable, so that the next start need not replay.
    pub(super) async fn checkpoint(&self) {
        let store = self.store.clone();
        if let Ok(Err(error)) = spawn_blocking(move || store.checkpoint()).await {
            tracing::warn!(%error, "no last checkpoint");
        }
    }
}

/// What opening needs.
pub(super) struct Opening<'a> {
    pub(super) config: &'a Config,
    pub(super) identity: &'a Identity,
    pub(super) bundle: &'a TrustBundle,
    pub(super) mesh: Arc<Mesh>,
    pub(super) tasks: &'a Supervisor,
    pub(super) addresses: Addresses,
}

/// The durable half of a node.
struct Disk {
    dir: DataDir,
    store: Store,
}

/// A group before its Raft runs.
struct Opened {
    id: GroupId,
    log: GroupLog,
    machine: GroupMachine,
}

/// The machines' shared, derived state.
struct Derived {
    control: Arc<ControlState>,
    catalogue: Arc<Catalogue>,
    homes: Vec<(Arc<Vault>, Arc<Popularity>)>,
}

impl Derived {
    /// What the leader of a users group looks at first: that every replica can open the command.
    fn admit(&self, id: &GroupId) -> Option<Admit> {
        let vault = self.homes.iter().find(|(vault, _)| vault.group() == id)?.0.clone();
        Some(Arc::new(move |command: &[u8]| Ok(users::admit(&vault, command)?)))
    }
}

impl Opening<'_> {
    /// Opens everything and runs the groups.
    pub(super) async fn open(
        &self,
        keys: DomainKeys,
        cluster_key: &Secret,
        verifier: TokenVerifier,
    ) -> Result<(Arc<State>, Running), StartError> {
        self.check_keys(&keys)?;
        let ring: Arc<dyn KeyRing> = Arc::new(keys.ring);
        let derived = self.derived(&ring)?;
        let (disk, opened) = self.disk(&derived).await?;
        let heard = Arc::new(Heard::default());
        let hello = self.hello(&disk, &opened);
        let incoming = self.incoming(&derived.control, &heard, Arc::clone(&hello));
        self.mesh.serve(incoming.clone());
        let groups = self.run(&disk, &derived, opened).await?;
        // The handler takes Raft's messages from here on.
        let _ = incoming.groups.set(groups.clone());
        let state =
            self.state(keys.secret, &keys.receipt, cluster_key, verifier, derived, &groups, heard)?;
        let _ = incoming.services.set(state.clone());
        Ok((state, Running { groups, store: disk.store, hello }))
    }

    /// The keys must be those of the domain that the certificate names, whatever the configuration says:
    /// with another domain's keys this node would seal its people's data for strangers.
    fn check_keys(&self, keys: &DomainKeys) -> Result<(), StartError> {
        let domain = &self.identity.domain;
        let trust = self.bundle.domains.get(domain);
        let trust = trust.ok_or_else(|| StartError::Domain(domain.to_string()))?;
        match receipt_public(&keys.receipt)? == trust.receipt_key {
            true => Ok(()),
            false => Err(StartError::Keys {
                keys: self.config.keys_dir.clone(),
                domain: domain.to_string(),
            }),
        }
    }

    /// The groups that this node is, or waits to become, a member of.
    fn ids(&self) -> Vec<GroupId> {
        let domain = &self.identity.domain;
        let users = (0..self.config.users_groups)
            .map(|number| GroupId::Users { domain: domain.clone(), number });
        [GroupId::Control, GroupId::Catalog(0)].into_iter().chain(users).collect()
    }

    fn derived(&self, ring: &Arc<dyn KeyRing>) -> Result<Derived, StartError> {
        let homes = self.ids().into_iter().filter_map(|id| {
            let vault = Vault::new(id, Arc::clone(ring)).ok()?;
            Some((Arc::new(vault), Arc::new(Popularity::default())))
        });
        Ok(Derived { control: Arc::default(), catalogue: Arc::default(), homes: homes.collect() })
    }

    fn machine(derived: &Derived, id: &GroupId) -> Arc<dyn Machine> {
        match id {
            GroupId::Control => Arc::new(ControlMachine::new(Arc::clone(&derived.control))),
            GroupId::Catalog(_) => Arc::new(CatalogMachine::new(Arc::clone(&derived.catalogue))),
            GroupId::Users { number, .. } => {
                // INVARIANT: `homes` has one entry a users group, in the order of their numbers.
                let home = derived.homes.get(usize::from(*number)).or(derived.homes.first());
                let (vault, popularity) = home.map_or_else(
                    || unreachable!("a users group has its home"),
                    |(vault, popularity)| (Arc::clone(vault), Arc::clone(popularity)),
                );
                Arc::new(UsersMachine::new(vault, popularity))
            }
        }
    }

    /// Opens log and state. A member that has lost what it once acknowledged comes back as a new one:
    /// its old directory is set aside, and the groups' leaders let it in again.
    async fn disk(&self, derived: &Derived) -> Result<(Disk, Vec<Opened>), StartError> {
        match self.try_disk(derived).await {
            Err(StartError::Group(lost @ OpenError::MustFetch { .. })) => {
                let aside = set_aside(&self.config.data_dir)?;
                tracing::error!(%lost, aside = %aside.display(), "comes back as a new member");
                self.try_disk(derived).await
            }
            other => other,
        }
    }

    async fn try_disk(&self, derived: &Derived) -> Result<(Disk, Vec<Opened>), StartError> {
        let (path, cluster) = (self.config.data_dir.clone(), self.identity.cluster.clone());
        let (name, cache) = (self.identity.name.clone(), self.config.state_cache_bytes);
        let log_options =
            LogOptions { segment_bytes: self.config.log_segment_bytes, ..LogOptions::default() };
        let machines: Vec<_> =
            self.ids().into_iter().map(|id| (id.clone(), Self::machine(derived, &id))).collect();
        let opened = spawn_blocking(move || {
            let dir = DataDir::open(&path, &cluster, &name)?;
            let log = SegmentLog::open(Arc::new(real_disk()), &dir.log(), dir.id(), log_options)?;
            let options = cache
                .map_or_else(StoreOptions::default, |cache_bytes| StoreOptions { cache_bytes });
            let store = Store::open(&dir, options)?;
            let opened: Result<Vec<Opened>, StartError> = machines
                .into_iter()
                .map(|(id, machine)| open_group(&log, &store, id, machine))
                .collect();
            Ok((Disk { dir, store }, opened?))
        });
        opened.await.map_err(|error| StartError::Socket(std::io::Error::other(error)))?
    }

    async fn run(
        &self,
        disk: &Disk,
        derived: &Derived,
        opened: Vec<Opened>,
    ) -> Result<Groups, StartError> {
        let mut groups = Vec::new();
        for Opened { id, log, machine } in opened {
            let factory = Factory::new(Arc::clone(&self.mesh), id.clone());
            let raft_id = disk.dir.raft_id();
            let raft =
                Raft::new(raft_id, self.raft_config(&id)?, factory, log, machine.clone()).await;
            let raft = raft.map_err(|error| failed(&id, &error))?;
            let mesh = Arc::clone(&self.mesh);
            let admit = derived.admit(&id);
            groups.push(Arc::new(Group::new(id, raft, machine, mesh, admit, system_clock)));
        }
        Ok(Groups::new(groups))
    }

    /// Groups inside a domain are quick, those over the WAN patient.
    fn raft_config(&self, id: &GroupId) -> Result<Arc<RaftConfig>, StartError> {
        let (heartbeat_interval, election_timeout_min, election_timeout_max) = match id.pinned_to()
        {
            Some(_) => (100, 500, 1000),
            None => (500, 1500, 3000),
        };
        let every = self.config.snapshot_every;
        let config = RaftConfig {
            cluster_name: id.to_string(),
            heartbeat_interval,
            election_timeout_min,
            election_timeout_max,
            enable_pre_vote: Some(true),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(every),
            max_in_snapshot_log_to_keep: every / KEPT_SHARE,
            ..RaftConfig::default()
        };
        config.validate().map(Arc::new).map_err(|error| failed(id, &error))
    }

    fn hello(&self, disk: &Disk, opened: &[Opened]) -> Arc<dyn Fn() -> Hello + Send + Sync> {
        let raft_id = disk.dir.raft_id();
        let addresses = self.addresses;
        let readers: Vec<_> =
            opened.iter().map(|group| (group.id.to_string(), group.machine.reader())).collect();
        Arc::new(move || Hello {
            format: 1,
            raft_id,
            peer_address: addresses.peers.to_string(),
            edge_address: addresses.edge.to_string(),
            groups: readers
                .iter()
                .filter(|(_, reader)| reader.state().last_applied.is_some())
                .map(|(id, _)| id.clone())
                .collect(),
            clock_ms: system_clock().0,
            cluster_version: CLUSTER_VERSION,
        })
    }

    fn incoming(
        &self,
        control: &Arc<ControlState>,
        heard: &Arc<Heard>,
        hello: Arc<dyn Fn() -> Hello + Send + Sync>,
    ) -> Arc<Incoming> {
        let (heard, mesh) = (Arc::clone(heard), Arc::clone(&self.mesh));
        Arc::new(Incoming {
            groups: OnceLock::new(),
            services: OnceLock::new(),
            control: Arc::clone(control),
            hello: Box::new(move || hello()),
            heard: Box::new(move |peer: &Peer, said: Hello| {
                // Who a peer is, its certificate says; where it listens, it may say itself.
                if let Ok(address) = said.peer_address.parse() {
                    mesh.book().set_node(peer.name(), address);
                }
                heard.note(peer.identity().site(), said, system_clock());
            }),
        })
    }

    #[allow(clippy::too_many_arguments)] // the parts of a node come together here, once
    fn state(
        &self,
        secret: crate::seal::DomainSecret,
        receipt: &Secret,
        cluster_key: &Secret,
        verifier: TokenVerifier,
        derived: Derived,
        groups: &Groups,
        heard: Arc<Heard>,
    ) -> Result<Arc<State>, StartError> {
        let domain = self.identity.domain.clone();
        let timing = Timing::default();
        let control_group = groups.get(&GroupId::Control).cloned();
        let control_group = control_group.ok_or_else(|| StartError::Domain(domain.to_string()))?;
        let keys =
            self.bundle.domains.iter().map(|(name, trust)| (name.clone(), trust.receipt_key));
        let buffer =
            EventBuffer::open(&self.config.data_dir.join("buffer"), BufferBounds::default())?;
        let decisions = Decisions::open(&self.config.data_dir.join("decisions"), self.tasks)?;
        let revisions = RevisionKeys::new(cluster_key, domain.clone(), &secret);
        Ok(Arc::new(State {
            identity: self.identity.clone(),
            standpoint: Standpoint::attested(domain.clone()),
            mesh: Arc::clone(&self.mesh),
            heard,
            law: Law::new(Arc::clone(&derived.control), control_group, timing.policy_lease),
            control: derived.control,
            catalogue: derived.catalogue,
            people: People::new(secret, households(derived.homes, groups)),
            popularity: DomainPopularity::default(),
            groups: groups.clone(),
            verifier,
            anonymous_service: self.config.anonymous_service,
            away: Away::default(),
            receipts: ReceiptKeys::new(keys.collect()),
            signer: ReceiptSigner::new(domain, receipt)?,
            revisions,
            decisions,
            buffer: Arc::new(buffer),
            timing,
            clock: system_clock as fn() -> UnixMillis,
        }))
    }
}

fn real_disk() -> RealDisk {
    match planted(Mutant::SkipSync) {
        true => RealDisk { syncing: Syncing::Skipped },
        false => RealDisk::default(),
    }
}

fn households(homes: Vec<(Arc<Vault>, Arc<Popularity>)>, groups: &Groups) -> Vec<Household> {
    let household = |(vault, popularity): (Arc<Vault>, Arc<Popularity>)| {
        let group = groups.get(vault.group()).cloned()?;
        Some(Household { group, builder: Builder::new(Arc::clone(&vault)), vault, popularity })
    };
    homes.into_iter().filter_map(household).collect()
}

fn open_group(
    log: &SegmentLog,
    store: &Store,
    id: GroupId,
    machine: Arc<dyn Machine>,
) -> Result<Opened, StartError> {
    let guard = placement_guard(id.clone());
    let log = GroupLog::new(log.clone(), id.clone(), Arc::clone(&guard));
    let parts = GroupParts { store: store.clone(), machine, guard, offload: Offload::default() };
    let machine = GroupMachine::open(parts, &log)?;
    Ok(Opened { id, log, machine })
}

fn failed(group: &GroupId, error: &impl std::fmt::Display) -> StartError {
    StartError::Raft { group: group.to_string(), why: error.to_string() }
}

/// Renames a directory that can't be gone on with; nothing of it is deleted.
fn set_aside(path: &Path) -> Result<PathBuf, StartError> {
    let free = (1_u32..).map(|n| path.with_extension(format!("lost-{n}"))).find(|p| !p.exists());
    let aside = free.unwrap_or_else(|| path.with_extension("lost"));
    std::fs::rename(path, &aside)?;
    Ok(aside)
}
