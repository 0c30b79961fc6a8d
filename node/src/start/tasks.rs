//! The background work of a node: each with a name under the supervisor.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_core::policy::PackFile;
use bailiwick_net::Supervisor;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{PutDomain, PutPack, RegisterNode, SetClusterVersion};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::Fatal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::groups::{Addresses, CLUSTER_VERSION, Running};
use crate::cluster::{Group, hello_loop, initialise, keep_members, register};
use crate::config::Config;
use crate::control::{ControlState, NodeRecord};
use crate::generations::keep_index;
use crate::learning::checkpoint::keep_checkpoints;
use crate::learning::model::keep_model;
use crate::learning::{coordinate, keep_lists};
use crate::mutant::{Mutant, planted};
use crate::raft::types::Member;
use crate::service::State;

/// How often a users replica confirms that it is up to date: well inside consent's second.
const USERS_FRESH_EVERY: Duration = Duration::from_millis(400);
/// How often the wide groups' replicas do.
const WIDE_FRESH_EVERY: Duration = Duration::from_secs(1);
/// Confirming may take this long.
const FRESH_WITHIN: Duration = Duration::from_secs(1);
/// How often the buffer is looked after.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How often other domains are told of erasures that they have yet to hear of.
const ERRANDS_EVERY: Duration = Duration::from_millis(500);
/// How often the registry is looked at for new addresses.
const BOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(
    config: &Config,
    state: &Arc<State>,
    running: &Running,
    addresses: Addresses,
    tasks: &Supervisor,
) {
    for seed in &config.seeds {
        state.mesh.book().set_node(&seed.name, seed.peer_address);
    }
    let hello = Arc::clone(&running.hello);
    let greeting =
        hello_loop(Arc::clone(&state.mesh), hello, Arc::clone(&state.heard), state.clock.clone());
    tasks.spawn_droppable("hello", greeting);
    for group in running.groups.iter() {
        start_group(config, state, group, tasks);
    }
    tasks.spawn_droppable("register", enrol(config.clone(), Arc::clone(state), addresses));
    tasks.spawn_droppable("address book", keep_book(Arc::clone(state)));
    tasks.spawn_droppable("buffer", keep_buffer(Arc::clone(state)));
    tasks.spawn_droppable("errands", keep_errands(Arc::clone(state)));
    tasks.spawn_droppable("model", keep_model(Arc::clone(&state.learning)));
    tasks.spawn_droppable("lists", keep_lists(Arc::clone(&state.learning)));
    tasks.spawn_droppable("checkpoints", keep_checkpoints(Arc::clone(&state.learning)));
    tasks.spawn_droppable("learning", coordinate(Arc::clone(&state.learning)));
    tasks.spawn_droppable("index", keep_index(Arc::clone(&state.generations), tasks.clone()));
}

fn start_group(config: &Config, state: &Arc<State>, group: &Arc<Group>, tasks: &Supervisor) {
    let id = group.id().clone();
    let own = Member::from(state.identity.site());
    let founding =
        initialise(Arc::clone(group), own, config.seeds.clone(), Arc::clone(&state.heard));
    tasks.spawn_droppable(format!("begin {id}"), founding);
    let members = keep_members(Arc::clone(group), Arc::clone(&state.control));
    tasks.spawn_droppable(format!("members of {id}"), members);
    tasks.spawn_droppable(format!("freshness of {id}"), keep_fresh(Arc::clone(group)));
    tasks.spawn_droppable(format!("watch {id}"), watch(Arc::clone(group), tasks.clone()));
}

/// A storage error or a panic in Raft ends the process: restarting in place would go on from a state
/// that is not known.
async fn watch(group: Arc<Group>, tasks: Supervisor) {
    let mut metrics = group.raft().metrics();
    loop {
        match metrics.borrow_watched().running_state.clone() {
            Ok(()) => {}
            // Stopped in order, by this node.
            Err(Fatal::Stopped) => return,
            Err(fatal) => {
                tasks.escalate(&format!("group {}", group.id()), fatal.to_string());
                return;
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_fresh(group: Arc<Group>) {
    let every = match group.id().pinned_to() {
        Some(_) => USERS_FRESH_EVERY,
        None => WIDE_FRESH_EVERY,
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = group.refresh(FRESH_WITHIN).await {
            tracing::debug!(group = %group.id(), %error, "not confirmed");
            if planted(Mutant::GiveUp) {
                return;
            }
        }
    }
}

async fn keep_buffer(state: Arc<State>) {
    let mut ticks = interval(FLUSH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.flush_buffer().await;
    }
}

async fn keep_errands(state: Arc<State>) {
    let mut ticks = interval(ERRANDS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.run_errands().await;
    }
}

/// Keeps the address book as the registry says, as far as it has changed since this process began: what
/// peers said themselves is newer than what the registry had at the start.
async fn keep_book(state: Arc<State>) {
    let mut known: BTreeMap<NodeName, NodeRecord> = BTreeMap::new();
    let mut ticks = interval(BOOK_EVERY);
    loop {
        ticks.tick().await;
        let view = state.control.view();
        for (name, record) in &view.nodes {
            let fresh = match known.get(name) {
                Some(before) => before != record,
                None => state.mesh.book().get(name).is_none(),
            };
            if fresh && *name != state.identity.name {
                state.mesh.book().set_node(name, record.peer_address);
            }
        }
        known = view.nodes.clone();
    }
}

/// Registers this node, its domain, and the packs that it may propose.
async fn enrol(config: Config, state: Arc<State>, addresses: Addresses) {
    let Some(group) = state.groups.get(&GroupId::Control).cloned() else { return };
    let site = state.identity.site();
    let version = SetClusterVersion { version: CLUSTER_VERSION, cluster_id: random_id(&state) };
    let node = RegisterNode {
        name: site.name.to_string(),
        domain: site.domain.to_string(),
        region: site.region.to_string(),
        raft_id: *group.raft().node_id(),
        peer_address: addresses.peers.to_string(),
        edge_address: addresses.edge.to_string(),
    };
    let domain = PutDomain {
        domain: site.domain.to_string(),
        users_groups: config.users_groups.into(),
        edge: config.edge.clone().unwrap_or_default(),
    };
    propose(&group, Change::RegisterNode(node)).await;
    wait_until(&state.control, |control| control.view().nodes.contains_key(&site.name)).await;
    if state.control.view().cluster_id == 0 {
        propose(&group, Change::SetClusterVersion(version)).await;
    }
    propose(&group, Change::PutDomain(domain)).await;
    if let Some(dir) = &config.policies_dir {
        for source in pack_sources(dir) {
            propose_pack(&state, &group, source).await;
        }
    }
}

async fn propose(group: &Group, change: Change) {
    if let Err(failure) = register(group, change).await {
        tracing::warn!(%failure, "the control group refused");
    }
}

/// Proposes a pack that the cluster does not have, if it is this node's to propose.
async fn propose_pack(state: &State, group: &Group, source: String) {
    let view = state.control.view();
    let Ok(file) = PackFile::parse(&source) else { return };
    let known = view.packs.pack(file.pack(), Some(file.version())).is_some();
    let other = file
        .domain()
        .is_some_and(|domain| domain != state.domain() && view.domains.contains_key(domain));
    if !known && !other {
        propose(group, Change::PutPack(PutPack { source })).await;
    }
}

/// The packs in a directory, parents before children; a bad file is reported and left out, since it
/// would be refused.
fn pack_sources(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        tracing::error!(dir = %dir.display(), "the policies can't be read");
        return Vec::new();
    };
    let paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    let read = |path: &std::path::PathBuf| {
        let source = std::fs::read_to_string(path).ok()?;
        match PackFile::parse(&source) {
            Ok(file) => {
                let depth = file.pack().prefixes().count();
                Some(((depth, file.pack().clone(), file.version()), source))
            }
            Err(errors) => {
                tracing::error!(file = %path.display(), %errors, "a pack is not proposed");
                None
            }
        }
    };
    let sources: BTreeMap<_, String> = paths.iter().filter_map(read).collect();
    sources.into_values().collect()
}

async fn wait_until(control: &Arc<ControlState>, done: impl Fn(&ControlState) -> bool) {
    while !done(control) {
        sleep(Duration::from_millis(50)).await;
    }
}

fn random_id(state: &State) -> u64 {
    let mut drawn = [0; 8];
    state.entropy.fill(&mut drawn).map_or(1, |()| u64::from_be_bytes(drawn).max(1))
}
