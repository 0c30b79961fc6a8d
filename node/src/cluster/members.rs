//! Keeps each group's members as placement says, one step at a time; run by the group's leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_core::placement::{self, PlacementRefusal, Site};
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver as _;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Group;
use crate::control::{ControlState, ControlView};
use crate::raft::guard::placement_guard;
use crate::raft::types::{Member, Membership, RaftId};

/// How often the leader looks.
const EVERY: Duration = Duration::from_secs(1);
/// A change of membership may take this long.
const WITHIN: Duration = Duration::from_secs(10);
/// A learner this close to the leader's log may vote.
const CAUGHT_UP: u64 = 256;

/// One step towards the wanted membership.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Let a node follow.
    Add(RaftId, Member),
    /// Let these vote.
    Voters(BTreeSet<RaftId>),
    /// Forget members: earlier selves of nodes that were wiped.
    Remove(BTreeSet<RaftId>),
}

/// Adjusts `group` whenever this node leads it, until cancelled.
pub async fn keep_members(group: Arc<Group>, control: Arc<ControlState>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !group.leads() {
            continue;
        }
        let view = control.view();
        let membership = membership(&group);
        if let Some(step) = next_step(&group, &view, &membership, &caught_up(&group)) {
            take(&group, step).await;
        }
    }
}

fn membership(group: &Group) -> Membership {
    group.raft().metrics().borrow_watched().membership_config.membership().clone()
}

/// Members whose log is close to the leader's.
fn caught_up(group: &Group) -> BTreeSet<RaftId> {
    let metrics = group.raft().metrics().borrow_watched().clone();
    let last = metrics.last_log_index.unwrap_or_default();
    let near = |matched: u64| matched.saturating_add(CAUGHT_UP) >= last;
    let replication = metrics.replication.unwrap_or_default();
    let followers = replication
        .into_iter()
        .filter(|(_, matched)| matched.as_ref().is_some_and(|id| near(id.index)));
    followers.map(|(id, _)| id).chain([metrics.id]).collect()
}

fn next_step(
    group: &Group,
    view: &ControlView,
    now: &Membership,
    caught_up: &BTreeSet<RaftId>,
) -> Option<Step> {
    step(&wanted(group, view), now, caught_up)
}

/// The members that placement wants, with their present numbers.
struct Wanted {
    voters: BTreeSet<NodeName>,
    nodes: BTreeMap<NodeName, (RaftId, Site)>,
}

fn wanted(group: &Group, view: &ControlView) -> Wanted {
    let members = placement::members(group.id(), &view.sites());
    let everyone = members.voters.iter().chain(&members.learners);
    let nodes = everyone.filter_map(|name| {
        let node = view.nodes.get(name)?;
        Some((name.clone(), (node.raft_id, node.site.clone())))
    });
    Wanted { nodes: nodes.collect(), voters: members.voters }
}

fn step(wanted: &Wanted, now: &Membership, caught_up: &BTreeSet<RaftId>) -> Option<Step> {
    let known: BTreeMap<RaftId, &Member> = now.nodes().map(|(id, node)| (*id, node)).collect();
    let stranger = wanted.nodes.values().find(|(id, _)| !known.contains_key(id));
    if let Some((id, site)) = stranger {
        return Some(Step::Add(*id, Member::from(site.clone())));
    }
    // A member that has not registered is not sent away: it may only be slow to come.
    let registered = known.values().all(|member| wanted.nodes.contains_key(&member.name));
    if !registered {
        return None;
    }
    let voters: BTreeSet<RaftId> =
        wanted.voters.iter().filter_map(|name| wanted.nodes.get(name).map(|(id, _)| *id)).collect();
    let voting: BTreeSet<RaftId> = now.voter_ids().collect();
    if voting != voters && voters.iter().all(|id| caught_up.contains(id)) {
        return Some(Step::Voters(voters));
    }
    let gone: BTreeSet<RaftId> = known
        .iter()
        .filter(|(id, member)| {
            wanted.nodes.get(&member.name).is_some_and(|(present, _)| present != *id)
        })
        .map(|(id, _)| *id)
        .filter(|id| !voting.contains(id))
        .collect();
    (!gone.is_empty()).then_some(Step::Remove(gone))
}

async fn take(group: &Group, step: Step) {
    tracing::info!(group = %group.id(), ?step, "changing members");
    if let Err(refusal) = lawful(group, &step) {
        tracing::error!(group = %group.id(), %refusal, "a member was refused");
        return;
    }
    let raft = group.raft();
    let changed = match step {
        Step::Add(id, node) => timeout(WITHIN, raft.add_learner(id, node, false)).await,
        Step::Voters(ids) => timeout(WITHIN, raft.change_membership(ids, true)).await,
        Step::Remove(ids) => {
            timeout(WITHIN, raft.change_membership(ChangeMembers::RemoveNodes(ids), true)).await
        }
    };
    match changed {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(group = %group.id(), %error, "members were not changed"),
        Err(_) => tracing::warn!(group = %group.id(), "changing members takes long"),
    }
}

/// The first of the three checks of placement: before a member is proposed.
fn lawful(group: &Group, step: &Step) -> Result<(), PlacementRefusal> {
    match step {
        Step::Add(_, node) => placement::admit(group.id(), node.name.as_str(), &node.domain),
        Step::Voters(_) | Step::Remove(_) => {
            placement_guard(group.id().clone())(&membership(group))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Site {
        let region = name.rsplit_once('-').unwrap().0;
        Site {
            name: name.parse().unwrap(),
            domain: "eu".parse().unwrap(),
            region: region.parse().unwrap(),
        }
    }

    fn want(nodes: &[(&str, u64)]) -> Wanted {
        let nodes: BTreeMap<NodeName, (RaftId, Site)> =
            nodes.iter().map(|(n, id)| (n.parse().unwrap(), (*id, site(n)))).collect();
        Wanted { voters: nodes.keys().cloned().collect(), nodes }
    }

    fn have(voters: &[u64], nodes: &[(&str, u64)]) -> Membership {
        let nodes: BTreeMap<u64, Member> =
            nodes.iter().map(|(n, id)| (*id, Member::from(site(n)))).collect();
        Membership::new(vec![voters.iter().copied().collect()], nodes).unwrap()
    }

    /// Plays the steps until nothing is left to do, with everybody caught up.
    fn settle(wanted: &Wanted, mut now: Membership) -> (Vec<Step>, Membership) {
        let mut steps = Vec::new();
        while let Some(step) = step(wanted, &now, &(1..100).collect()) {
            let mut nodes: BTreeMap<u64, Member> =
                now.nodes().map(|(i, n)| (*i, n.clone())).collect();
            let mut voters: BTreeSet<u64> = now.voter_ids().collect();
            match &step {
                Step::Add(id, node) => drop(nodes.insert(*id, node.clone())),
                Step::Voters(ids) => voters = ids.clone(),
                Step::Remove(ids) => nodes.retain(|id, _| !ids.contains(id)),
            }
            steps.push(step);
            now = Membership::new(vec![voters], nodes).unwrap();
        }
        (steps, now)
    }

    #[test]
    fn a_wiped_node_comes_back_as_a_new_member_and_its_old_self_leaves() {
        let wanted = want(&[("eu-west-1", 1), ("eu-west-2", 2), ("eu-north-1", 9)]);
        let now = have(&[1, 2, 3], &[("eu-west-1", 1), ("eu-west-2", 2), ("eu-north-1", 3)]);
        let (steps, end) = settle(&wanted, now);
        assert_eq!(steps.len(), 3, "{steps:?}");
        assert_eq!(end.voter_ids().collect::<Vec<_>>(), [1, 2, 9]);
        assert!(end.get_node(&3).is_none());
    }

    #[test]
    fn a_member_that_has_not_registered_is_not_sent_away() {
        let wanted = want(&[("eu-west-1", 1)]);
        let now = have(&[1, 2, 3], &[("eu-west-1", 1), ("eu-west-2", 2), ("eu-north-1", 3)]);
        assert_eq!(step(&wanted, &now, &BTreeSet::from([1, 2, 3])), None);
    }

    #[test]
    fn who_has_not_caught_up_does_not_vote_yet() {
        let wanted = want(&[("eu-west-1", 1), ("eu-west-2", 2), ("eu-north-1", 3)]);
        let now = have(&[1], &[("eu-west-1", 1), ("eu-west-2", 2), ("eu-north-1", 3)]);
        assert_eq!(step(&wanted, &now, &BTreeSet::from([1, 2])), None);
    }
}
