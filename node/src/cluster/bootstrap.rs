//! How a node meets its peers, and how a cluster begins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::{NodeName, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::placement::{self, Site};
use bailiwick_net::{Lane, LaneKind, Mesh};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::Hello;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{ControlCommand, ControlOutcome};
use futures::future::join_all;
use prost::Message as _;
use tokio::time::sleep;

use super::Group;
use crate::control;
use crate::raft::types::Member;
use crate::seams::Clock;

/// A hello may take this long.
const HELLO_WITHIN: Duration = Duration::from_secs(2);
/// Between rounds of hellos: first while the cluster gathers, later to notice clocks and new addresses.
const GATHER_EVERY: Duration = Duration::from_millis(250);
const GREET_EVERY: Duration = Duration::from_secs(5);
/// A registration may take this long before it is tried again.
const PROPOSE_WITHIN: Duration = Duration::from_secs(5);

/// Where a peer may be found at the start. Who it is and where it stands, its certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Its name.
    pub name: NodeName,
    /// Where it listens for peers.
    pub peer_address: SocketAddr,
}

/// What the peers last said of themselves.
#[derive(Default)]
pub struct Heard {
    peers: Mutex<BTreeMap<NodeName, (Site, Hello, UnixMillis)>>,
}

impl Heard {
    /// Keeps what a peer said at `now`.
    pub fn note(&self, site: Site, hello: Hello, now: UnixMillis) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.insert(site.name.clone(), (site, hello, now));
    }

    /// All that was said.
    #[must_use]
    pub fn all(&self) -> BTreeMap<NodeName, (Site, Hello, UnixMillis)> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The median over the peers of how far their clocks are ahead of this node's, in milliseconds.
    /// A hello's time on the way counts as skew, which is far below the bound it is held against.
    #[must_use]
    pub fn skew_ms(&self) -> i64 {
        let mut skews: Vec<i64> = self
            .all()
            .values()
            .map(|(_, hello, heard)| hello.clock_ms.saturating_sub(heard.0))
            .collect();
        skews.sort_unstable();
        skews.get(skews.len() / 2).copied().unwrap_or_default()
    }
}

/// Greets all peers in the address book, round after round.
pub async fn hello_loop(
    mesh: Arc<Mesh>,
    own: Arc<dyn Fn() -> Hello + Send + Sync>,
    heard: Arc<Heard>,
    clock: Clock,
) {
    loop {
        let names = mesh.book().names();
        let peers: Vec<NodeName> = names.into_iter().filter(|n| *n != mesh.own().name).collect();
        let greeted = join_all(peers.iter().map(|peer| greet(&mesh, peer, &own, &heard, &clock)));
        let all = greeted.await.into_iter().all(|answered| answered);
        sleep(if all { GREET_EVERY } else { GATHER_EVERY }).await;
    }
}

async fn greet(
    mesh: &Mesh,
    peer: &NodeName,
    own: &Arc<dyn Fn() -> Hello + Send + Sync>,
    heard: &Heard,
    clock: &Clock,
) -> bool {
    let Ok(link) = mesh.link(peer).await else { return false };
    let called = link.call(Lane::plain(LaneKind::Hello), &own(), HELLO_WITHIN).await;
    let Some(hello) = called.ok().and_then(|answer| Hello::decode(answer).ok()) else {
        return false;
    };
    heard.note(link.peer().identity().site(), hello, clock());
    true
}

/// Begins `group` if this node is the one to do it: the first by name of the voters that placement
/// wants, once every seed that may be a member has answered and none has the group already.
///
/// A wiped node finds peers that have the group, so it never begins a second one.
pub async fn initialise(group: Arc<Group>, own: Member, seeds: Vec<Seed>, heard: Arc<Heard>) {
    loop {
        if group.raft().is_initialized().await.unwrap_or(false) {
            return;
        }
        match founders(&group, &own, &seeds, &heard) {
            Founding::Found(members) => match group.raft().initialize(members).await {
                Ok(()) => tracing::info!(group = %group.id(), "began the group"),
                Err(error) => tracing::warn!(group = %group.id(), %error, "not begun"),
            },
            Founding::Waiting => {}
            Founding::Others => return,
        }
        sleep(GATHER_EVERY).await;
    }
}

enum Founding {
    /// This node begins the group with these voters.
    Found(BTreeMap<u64, Member>),
    /// Not all have answered.
    Waiting,
    /// Another node begins it, or has.
    Others,
}

fn founders(group: &Group, own: &Member, seeds: &[Seed], heard: &Heard) -> Founding {
    let said = heard.all();
    let id = group.id().to_string();
    if said.values().any(|(_, hello, _)| hello.groups.contains(&id)) {
        return Founding::Others;
    }
    if seeds.iter().any(|seed| seed.name != own.name && !said.contains_key(&seed.name)) {
        return Founding::Waiting;
    }
    let peers = said.values().map(|(site, hello, _)| (site.clone(), hello.raft_id));
    let everyone: BTreeMap<NodeName, (Site, u64)> = peers
        .chain([(Site::from(own.clone()), *group.raft().node_id())])
        .map(|(site, id)| (site.name.clone(), (site, id)))
        .collect();
    let sites: Vec<Site> = everyone.values().map(|(site, _)| site.clone()).collect();
    let voters = placement::members(group.id(), &sites).voters;
    if voters.first() != Some(&own.name) {
        return Founding::Others;
    }
    let found = voters.iter().filter_map(|name| everyone.get(name));
    Founding::Found(found.map(|(site, id)| (*id, Member::from(site.clone()))).collect())
}

/// Proposes a control change until it is taken or refused for good.
///
/// # Errors
/// The refusal.
pub async fn register(control_group: &Group, change: Change) -> Result<(), Failure> {
    let command = ControlCommand { format: control::FORMAT, at_ms: 0, change: Some(change) };
    let command: bytes::Bytes = command.encode_to_vec().into();
    loop {
        match control_group.propose_anywhere(command.clone(), PROPOSE_WITHIN).await {
            Ok(done) => return outcome(&done.outcome),
            Err(super::GroupError::Refused(failure)) => return Err(failure),
            Err(error) => tracing::debug!(%error, "the control group did not take a change yet"),
        }
        sleep(GATHER_EVERY).await;
    }
}

fn outcome(bytes: &bytes::Bytes) -> Result<(), Failure> {
    let outcome = ControlOutcome::decode(bytes.clone());
    let outcome = outcome.map_err(|e| Failure::new(Kind::Broken, e.to_string()))?;
    match outcome.refused.as_str() {
        "" => Ok(()),
        why => Err(Failure::new(Kind::Refused, why)),
    }
}
