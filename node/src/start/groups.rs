//! Opening the groups of a node: log, state, machines, Raft.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_core::ids::GroupId;
use bailiwick_core::pinned::Standpoint;
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::{Identity, Mesh, Peer, Supervisor, TrustBundle};
use bailiwick_proto::peer::Hello;

use super::error::StartError;
use crate::buffer::{BufferBounds, EventBuffer};
use crate::catalog::{CatalogMachine, Catalogue};
use crate::cluster::{Admit, Factory, Group, Groups, Heard, Incoming};
use crate::config::Config;
use crate::control::{ControlMachine, ControlState};
use crate::decisions::Decisions;
use crate::learning::model::Models;
use crate::learning::{Learner, Offers, Rows};
use crate::log::{LogOptions, SegmentLog};
use crate::raft::config;
use crate::raft::group_machine::{GroupMachine, GroupParts, Offload, OpenError};
use crate::raft::guard::placement_guard;
use crate::raft::log_storage::GroupLog;
use crate::raft::machine::Machine;
use crate::raft::types::Raft;
use crate::receipt::{ReceiptKeys, ReceiptSigner};
use crate::recommend::Popularity as DomainPopularity;
use crate::revision::RevisionKeys;
use crate::seal::keys::{DomainKeys, receipt_public};
use crate::seal::{Entropy, KeyRing, Secret};
use crate::seams::{Seams, Writing, write_paced};
use crate::service::{Away, Household, Law, People, State, Timing};
use crate::store::{DataDir, Store, StoreOptions};
use crate::users::{self, Builder, Popularity, UsersMachine, Vault};

/// The encodings that this build reads and writes.
pub(super) const CLUSTER_VERSION: u32 = 1;

/// What peers and routers are told.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For peers.
    pub peers: SocketAddr,
    /// For routers.
    pub edge: SocketAddr,
}

/// The groups' running halves, to be stopped in order.
pub(super) struct Running {
    pub(super) groups: Groups,
    pub(super) store: Store,
    pub(super) offload: Offload,
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
        if let Ok(Err(error)) = self.offload.call(move || store.checkpoint()).await {
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
    pub(super) seams: &'a Seams,
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
        let offload = self.seams.offload;
        Ok((state, Running { groups, store: disk.store, offload, hello }))
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
        let log_options = LogOptions {
            segment_bytes: self.config.log_segment_bytes,
            writer: self.seams.writing.mode(),
            ..LogOptions::default()
        };
        let (device, offload) = (Arc::clone(&self.seams.disk), self.seams.offload);
        let machines: Vec<_> =
            self.ids().into_iter().map(|id| (id.clone(), Self::machine(derived, &id))).collect();
        let opened = offload.call(move || {
            let dir = DataDir::open(&path, &cluster, &name)?;
            let log = SegmentLog::open(device, &dir.log(), dir.id(), log_options)?;
            let options = cache
                .map_or_else(StoreOptions::default, |cache_bytes| StoreOptions { cache_bytes });
            let store = Store::open(&dir, options)?;
            let opened: Result<Vec<Opened>, StartError> = machines
                .into_iter()
                .map(|(id, machine)| open_group(&log, &store, id, machine, offload))
                .collect();
            Ok::<_, StartError>((Disk { dir, store }, log, opened?))
        });
        let (disk, log, opened) = opened.await.map_err(StartError::Socket)??;
        if let Writing::Paced(pace) = &self.seams.writing {
            self.tasks.spawn_droppable("log writer", write_paced(log, Arc::clone(pace)));
        }
        Ok((disk, opened))
    }

    async fn run(
        &self,
        disk: &Disk,
        derived: &Derived,
        opened: Vec<Opened>,
    ) -> Result<Groups, StartError> {
        let mut groups = Vec::new();
        for Opened { id, log, machine } in opened {
            let factory = Factory::new(Arc::clone(&self.mesh), id.clone(), self.seams.offload);
            let raft_id = disk.dir.raft_id();
            let config =
                config::of(&id, self.config.snapshot_every).map_err(|error| failed(&id, &error))?;
            let raft = Raft::new(raft_id, Arc::new(config), factory, log, machine.clone()).await;
            let raft = raft.map_err(|error| failed(&id, &error))?;
            let mesh = Arc::clone(&self.mesh);
            let admit = derived.admit(&id);
            let clock = Arc::clone(&self.seams.clock);
            groups.push(Arc::new(Group::new(id, raft, machine, mesh, admit, clock)));
        }
        Ok(Groups::new(groups))
    }

    fn learner(
        &self,
        derived: &Derived,
        groups: &Groups,
        households: &[Household],
        law: &Arc<Law>,
    ) -> Result<Learner, StartError> {
        let rows = |household: &Household| Rows {
            reader: household.group.reader().clone(),
            vault: Arc::clone(&household.vault),
        };
        Ok(Learner {
            name: self.identity.name.clone(),
            here: Standpoint::attested(self.identity.domain.clone()),
            mesh: Arc::clone(&self.mesh),
            control: Arc::clone(&derived.control),
            groups: groups.clone(),
            people: households.iter().map(rows).collect(),
            law: Arc::clone(law),
            catalogue: Arc::clone(&derived.catalogue),
            models: Models::open(&self.config.data_dir.join("models"))?,
            clock: Arc::clone(&self.seams.clock),
            offload: self.seams.offload,
            offers: Offers::default(),
        })
    }

    fn hello(&self, disk: &Disk, opened: &[Opened]) -> Arc<dyn Fn() -> Hello + Send + Sync> {
        let raft_id = disk.dir.raft_id();
        let (addresses, clock) = (self.addresses, Arc::clone(&self.seams.clock));
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
            clock_ms: clock().0,
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
        let clock = Arc::clone(&self.seams.clock);
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
                heard.note(peer.identity().site(), said, clock());
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
        let Seams { clock, entropy, offload, .. } = self.seams.clone();
        let folder = self.config.data_dir.join("buffer");
        let buffer = EventBuffer::open(&folder, BufferBounds::default(), offload)?;
        let folder = self.config.data_dir.join("decisions");
        let decisions = Decisions::open(&folder, self.tasks, offload)?;
        let law = Law::new(Arc::clone(&derived.control), control_group, timing.policy_lease);
        let law = Arc::new(law);
        let households = households(derived.homes.clone(), groups, &entropy);
        let learning = Arc::new(self.learner(&derived, groups, &households, &law)?);
        let revisions = RevisionKeys::new(cluster_key, domain.clone(), &secret);
        Ok(Arc::new(State {
            identity: self.identity.clone(),
            standpoint: Standpoint::attested(domain.clone()),
            mesh: Arc::clone(&self.mesh),
            heard,
            law,
            learning,
            control: derived.control,
            catalogue: derived.catalogue,
            people: People::new(secret, households),
            popularity: DomainPopularity::default(),
            groups: groups.clone(),
            verifier,
            anonymous_service: self.config.anonymous_service,
            ranking: self.config.ranking,
            away: Away::default(),
            receipts: ReceiptKeys::new(keys.collect()),
            signer: ReceiptSigner::new(domain, receipt)?,
            revisions,
            decisions,
            buffer: Arc::new(buffer),
            timing,
            clock,
            entropy,
            offload,
        }))
    }
}

fn households(
    homes: Vec<(Arc<Vault>, Arc<Popularity>)>,
    groups: &Groups,
    entropy: &Arc<dyn Entropy>,
) -> Vec<Household> {
    let household = |(vault, popularity): (Arc<Vault>, Arc<Popularity>)| {
        let group = groups.get(vault.group()).cloned()?;
        let entropy = Box::new(Arc::clone(entropy));
        let builder = Builder::with_entropy(Arc::clone(&vault), entropy);
        Some(Household { group, builder, vault, popularity })
    };
    homes.into_iter().filter_map(household).collect()
}

fn open_group(
    log: &SegmentLog,
    store: &Store,
    id: GroupId,
    machine: Arc<dyn Machine>,
    offload: Offload,
) -> Result<Opened, StartError> {
    let guard = placement_guard(id.clone());
    let log = GroupLog::new(log.clone(), id.clone(), Arc::clone(&guard));
    let parts = GroupParts { store: store.clone(), machine, guard, offload };
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
