//! What can happen to processes, disks and wires of a running cluster.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::faults::Signal;
use clap::ValueEnum;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use crate::ChaosError;
use crate::proxy::Wire;
use crate::spaces::{DOMAINS, Spaces};

/// A domain that is as far as another continent, over a bad line.
const STORM: Wire = Wire {
    cut: false,
    delay: Duration::from_millis(40),
    jitter: Duration::from_millis(40),
    loss: 0.02,
    twice: 0.02,
};
const CUT: Wire =
    Wire { cut: true, delay: Duration::ZERO, jitter: Duration::ZERO, loss: 0.0, twice: 0.0 };

/// What happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// A node is killed.
    Kill,
    /// The leader of a group is killed.
    KillLeader,
    /// A node is halted, holding its ports, and goes on.
    Halt,
    /// A node is killed and its applied state deleted.
    Wipe,
    /// Two of the three nodes of a domain are killed: its groups lack a quorum.
    NoQuorum,
    /// All nodes of a domain are killed.
    DomainGone,
    /// A leader is alone for a while and then killed, before the others hear what it did meanwhile.
    LeaderAlone,
    /// All nodes of a domain are stopped in order and started again, one after the other.
    Rolling,
    /// The same, each with a new key and certificate.
    Certificates,
    /// The disk of a node is full for a while. Needs root.
    DiskFull,
    /// A domain and the others don't hear each other. Needs network namespaces.
    CutOff,
    /// A domain hears the others, and they don't hear it. Needs network namespaces.
    Mute,
    /// Packets between domains are late, out of order, lost and doubled. Needs network namespaces.
    Storm,
}

impl Fault {
    /// Those that can be made, with network namespaces or without.
    #[must_use]
    pub fn all(apart: bool) -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|fault| apart || !fault.needs_spaces()).collect()
    }

    /// Whether it is made on the wires between namespaces.
    #[must_use]
    pub fn needs_spaces(self) -> bool {
        matches!(self, Self::CutOff | Self::Mute | Self::Storm)
    }
}

/// Starts a cluster of processes, where there are `spaces` each domain in one of its own. `settings` are
/// variables of their environment.
///
/// # Errors
/// [`ChaosError`] when this program can't be found.
pub fn start(
    spaces: Option<&Spaces>,
    state: &Path,
    settings: &[(&str, &str)],
) -> Result<Cluster, ChaosError> {
    let binary = std::env::current_exe()?;
    Ok(match spaces {
        Some(spaces) => Cluster::start_at(&binary, spaces.places(), state, settings),
        None => Cluster::start_on(&binary, Mode::Processes, state, settings),
    })
}

/// A cluster, and the wires between its domains where they are ours.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The wires.
    pub spaces: Option<&'a Spaces>,
}

impl Ground<'_> {
    /// Makes the fault and lets it last. What it leaves is to be healed.
    pub async fn hurt(&self, fault: Fault, lasts: Duration, draws: &mut ChaCha8Rng) {
        let cluster = self.cluster;
        let node = cluster.nodes().choose(draws).cloned().unwrap_or_default();
        let domain = DOMAINS.choose(draws).copied().unwrap_or("eu");
        match fault {
            Fault::Kill => cluster.kill(&node).await,
            Fault::KillLeader => self.kill_leader(node, draws).await,
            Fault::Halt => {
                cluster.signal(&node, Signal::Stop);
                sleep(lasts).await;
                return cluster.signal(&node, Signal::Continue);
            }
            Fault::Wipe => self.wipe(&node).await,
            Fault::NoQuorum => self.kill_all(cluster.nodes_of("eu").iter().skip(1)).await,
            Fault::DomainGone => return self.hurt_domain(fault, "eu", lasts).await,
            Fault::Rolling | Fault::Certificates => {
                return self.roll(domain, fault == Fault::Certificates).await;
            }
            Fault::LeaderAlone => self.leader_alone(node, lasts).await,
            Fault::DiskFull => return self.disk_full(node, lasts).await,
            Fault::CutOff | Fault::Mute => return self.hurt_domain(fault, domain, lasts).await,
            Fault::Storm => self.spaces.into_iter().for_each(|spaces| spaces.everywhere(STORM)),
        }
        sleep(lasts).await;
    }

    /// Takes a domain away from the others: kills its nodes, or cuts it off.
    pub async fn hurt_domain(&self, fault: Fault, domain: &str, lasts: Duration) {
        match fault {
            Fault::CutOff => self.around(domain, true),
            Fault::Mute => self.around(domain, false),
            _ => self.kill_all(self.cluster.nodes_of(domain).iter()).await,
        }
        sleep(lasts).await;
    }

    /// Gives a domain that was taken away back, without waiting for it.
    pub fn give_back(&self, domain: &str) {
        self.spaces.into_iter().for_each(Spaces::heal);
        let nodes = self.cluster.nodes_of(domain).into_iter();
        nodes.filter(|node| !self.cluster.runs(node)).for_each(|node| self.cluster.revive(&node));
    }

    /// Makes all of it whole again and waits until every node is ready.
    pub async fn heal(&self) {
        self.spaces.into_iter().for_each(Spaces::heal);
        self.cluster.heal().await;
    }

    fn around(&self, domain: &str, both: bool) {
        self.spaces.into_iter().for_each(|spaces| spaces.around(domain, both, CUT));
    }

    async fn kill_leader(&self, otherwise: String, draws: &mut ChaCha8Rng) {
        let groups = ["control", "catalog-0", "users-eu-0", "users-eu-1"];
        let group = groups.choose(draws).copied().unwrap_or("control");
        let leader = self.cluster.leader("in", group).await.unwrap_or(otherwise);
        self.cluster.kill(&leader).await;
    }

    async fn kill_all<'b>(&self, nodes: impl Iterator<Item = &'b String>) {
        for node in nodes {
            self.cluster.kill(node).await;
        }
    }

    async fn wipe(&self, node: &str) {
        self.cluster.kill(node).await;
        let state = self.cluster.layout().node(node).join("data").join("state");
        if let Err(error) = fs::remove_dir_all(&state) {
            eprintln!("{} was not there: {error}", state.display());
        }
    }

    /// Stops and starts the nodes of a domain one after the other, where `renewed` with new certificates.
    async fn roll(&self, domain: &str, renewed: bool) {
        let cluster = self.cluster;
        for node in cluster.nodes_of(domain) {
            cluster.stop(&node).await;
            if renewed {
                cluster.renew_certificate(&node);
            }
            cluster.revive(&node);
            cluster.ready(&node).await;
        }
    }

    async fn leader_alone(&self, otherwise: String, lasts: Duration) {
        let cluster = self.cluster;
        let leader = cluster.leads("users-eu-0").await.unwrap_or(otherwise);
        let others: Vec<_> =
            cluster.nodes_of("eu").into_iter().filter(|node| *node != leader).collect();
        others.iter().for_each(|node| cluster.signal(node, Signal::Stop));
        sleep(lasts).await;
        cluster.kill(&leader).await;
        others.iter().for_each(|node| cluster.signal(node, Signal::Continue));
    }

    /// Fills the disk of the node that leads a group, which then ends by itself, and makes room again.
    async fn disk_full(&self, otherwise: String, lasts: Duration) {
        let leader = self.cluster.leads("users-eu-0").await.unwrap_or(otherwise);
        let Some(disk) = self.cluster.to_small_disk(&leader).await else {
            eprintln!("SKIP disk-full: mounting needs root");
            return;
        };
        disk.fill();
        sleep(lasts).await;
        disk.clear();
        self.cluster.from_small_disk(&leader, disk).await;
    }
}
