//! Watches every group of every node while a simulation runs: who leads in which term, how far each replica
//! has applied, and the digest of its rows there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::ids::GroupId;
use bailiwick_core::placement::admit;
use bailiwick_net::Supervisor;
use bailiwick_node::cluster::Group;
use bailiwick_node::raft::types::Membership;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;

use super::node::SimNode;
use super::trace::{Trace, short};

/// Something that may not be: the name of the promise, and what was found against it.
pub type Finding = (&'static str, String);

/// Index and digest, and who had it first.
type Digest = (String, String);

#[derive(Default)]
struct Seen {
    leaders: BTreeMap<(String, u64), String>,
    digests: BTreeMap<(String, u64), Digest>,
    found: Vec<Finding>,
}

/// What was seen. Clones are the same.
#[derive(Clone)]
pub struct Observer {
    trace: Trace,
    seen: Arc<Mutex<Seen>>,
}

impl Observer {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(trace: Trace) -> Self {
        Self { trace, seen: Arc::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a node that has just started, until its tasks end.
    pub fn watch(&self, node: &SimNode, tasks: &Supervisor) {
        let Some(body) = node.body() else { return };
        for group in body.groups().iter() {
            let name = node.name().to_string();
            let leading = self.clone().leading(name.clone(), Arc::clone(group));
            tasks.spawn_droppable("observe leaders", leading);
            tasks.spawn_droppable("observe rows", self.clone().applying(name, Arc::clone(group)));
        }
    }

    async fn leading(self, node: String, group: Arc<Group>) {
        let (id, mut metrics) = (group.id().to_string(), group.raft().metrics());
        // What its disk told it: a membership that its log is about to refuse is not yet there.
        let found = metrics.borrow_watched().membership_config.membership().clone();
        self.stands(&node, group.id(), &found);
        drop(group);
        loop {
            let (state, term) = {
                let now = metrics.borrow_watched();
                (now.state, now.current_term)
            };
            if state == ServerState::Leader {
                self.leads(&id, term, &node);
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    fn leads(&self, group: &str, term: u64, node: &str) {
        let mut seen = self.seen();
        let place = (group.to_owned(), term);
        match seen.leaders.get(&place) {
            Some(other) if other != node => {
                let words = format!("{group}: {other} and {node} both lead in term {term}");
                seen.found.push(("one leader a term", words));
            }
            Some(_) => {}
            None => {
                self.trace.line(format_args!("{node} leads {group} in term {term}"));
                seen.leaders.insert(place, node.to_owned());
            }
        }
    }

    /// Notes members that stand where the group's data may not be.
    fn stands(&self, node: &str, group: &GroupId, members: &Membership) {
        let refusals = members
            .nodes()
            .filter_map(|(_, member)| admit(group, member.name.as_str(), &member.domain).err());
        for refusal in refusals {
            self.note("members stand at home", format!("{node}: {refusal}"));
        }
    }

    async fn applying(self, node: String, group: Arc<Group>) {
        let (group_id, reader) = (group.id().clone(), group.reader().clone());
        let id = group_id.to_string();
        drop(group);
        let (mut announced, mut last) = (reader.applied(), 0);
        loop {
            let told = *announced.borrow_and_update();
            let state = reader.state();
            let digest = short(&state.hash.to_bytes());
            if told < last {
                let words = format!("{id} on {node}: from {last} to {told}");
                self.seen().found.push(("applied only rises", words));
            }
            last = told;
            self.stands(&node, &group_id, state.membership.membership());
            self.holds(&node, &id, state.applied_index(), digest);
            if announced.changed().await.is_err() {
                return;
            }
        }
    }

    fn holds(&self, node: &str, group: &str, index: u64, digest: String) {
        if index == 0 {
            return;
        }
        let mut seen = self.seen();
        match seen.digests.get(&(group.to_owned(), index)) {
            Some((other, with)) if *with != digest => {
                let words = format!("{group} at {index}: {other} has {with}, {node} has {digest}");
                seen.found.push(("replicas agree", words));
            }
            Some(_) => {}
            None => {
                let place = (group.to_owned(), index);
                seen.digests.insert(place, (node.to_owned(), digest));
            }
        }
    }

    /// Adds what somebody else found.
    pub fn note(&self, promise: &'static str, words: String) {
        self.seen().found.push((promise, words));
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.seen().found.clone()
    }
}
