//! What operators and routers learn of the cluster.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::placement::admit;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::StatusRequest;
use bailiwick_proto::{edge, v1};
use futures::future::join_all;
use openraft::async_runtime::WatchReceiver as _;
use prost::Message as _;

use super::State;
use super::away::{STATUS_LANE, ask_one};
use crate::cluster::Group;
use crate::control::ControlView;

/// A peer that was not heard of for this long counts as unreachable.
const SILENT: Duration = Duration::from_secs(4);
/// A node abroad may take this long to say how its groups are.
pub(super) const STATUS_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of an echo's answer.
const ECHO_BYTES_MAX: usize = 1 << 20;

impl State {
    /// Whether a node is this one, or was heard of lately.
    fn reachable(&self, node: &NodeName) -> bool {
        let heard = self.mesh.last_heard(node);
        *node == self.identity.name || heard.is_some_and(|at| at.elapsed() < SILENT)
    }

    pub(super) fn topology(&self, call: &edge::GetTopologyCall) -> edge::Topology {
        let view = self.control.view();
        let lease = self.law.lease_left();
        let nodes = view.nodes.values().map(|node| edge::TopologyNode {
            name: node.site.name.to_string(),
            domain: node.site.domain.to_string(),
            region: node.site.region.to_string(),
            address: node.edge_address.to_string(),
            reachable: self.reachable(&node.site.name),
        });
        let known = call.known_version == view.version;
        edge::Topology {
            version: view.version,
            packs: if known { Vec::new() } else { view.sources.values().cloned().collect() },
            nodes: nodes.collect(),
            edges: text_keys(&self.edges()),
            users_groups: users_groups(&view),
            lease_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// How the groups that run here are.
    #[must_use]
    pub fn own_status(&self) -> v1::ClusterStatus {
        v1::ClusterStatus {
            cluster: self.identity.cluster.to_string(),
            groups: self.groups.iter().map(|group| group_status(group)).collect(),
            placement_violations: self.violations(),
            ..v1::ClusterStatus::default()
        }
    }

    pub(super) async fn cluster_status(
        &self,
        call: edge::ClusterStatusCall,
    ) -> Result<v1::ClusterStatus, Failure> {
        self.caller(call.caller)?.allowed(Scope::ClusterAdmin)?;
        let view = self.control.view();
        let others = view.nodes.keys().filter(|node| **node != self.identity.name);
        let asked = join_all(others.map(|node| self.status_of(node))).await;
        let all = [self.own_status()].into_iter().chain(asked.into_iter().flatten());
        let domains = view.domains.keys().map(|domain| self.domain_status(&view, domain));
        Ok(v1::ClusterStatus { domains: domains.collect(), ..merged(all) })
    }

    /// How the groups are that run on a node; none while it does not answer.
    async fn status_of(&self, node: &NodeName) -> Option<v1::ClusterStatus> {
        if !self.reachable(node) {
            return None;
        }
        let request = StatusRequest { format: 1 };
        let asked = ask_one(&self.mesh, node, STATUS_LANE, &request, STATUS_WITHIN).await;
        v1::ClusterStatus::decode(asked?).ok()
    }

    fn domain_status(&self, view: &ControlView, domain: &DomainId) -> v1::DomainStatus {
        let nodes = view.nodes.values().filter(|node| node.site.domain == *domain);
        let status = |node: &crate::control::NodeRecord| {
            let reachable = self.reachable(&node.site.name);
            v1::NodeStatus {
                node: node.site.name.to_string(),
                region: node.site.region.to_string(),
                reachable,
                ready: reachable,
                pending: Vec::new(),
            }
        };
        v1::DomainStatus {
            domain: domain.to_string(),
            edge: view.domains.get(domain).and_then(|record| record.edge.clone()),
            nodes: nodes.map(status).collect(),
        }
    }

    /// Members that stand where their group's data may not; there never are any.
    fn violations(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for group in self.groups.iter() {
            let metrics = group.raft().metrics().borrow_watched().clone();
            for (_, member) in metrics.membership_config.membership().nodes() {
                if let Err(refusal) = admit(group.id(), member.name.as_str(), &member.domain) {
                    found.insert(refusal.to_string());
                }
            }
        }
        found.into_iter().collect()
    }

    pub(super) fn echo(request: &v1::EchoRequest) -> v1::EchoResponse {
        let bytes = usize::try_from(request.answer_bytes).unwrap_or(usize::MAX);
        v1::EchoResponse { payload: vec![0; bytes.min(ECHO_BYTES_MAX)] }
    }
}

/// One status of what nodes say of their own groups. The newest term knows the leader and the members;
/// how far a member has applied, the member itself knows best.
fn merged(all: impl IntoIterator<Item = v1::ClusterStatus>) -> v1::ClusterStatus {
    let mut whole = v1::ClusterStatus::default();
    let mut groups: BTreeMap<String, v1::GroupStatus> = BTreeMap::new();
    let mut violations = BTreeSet::new();
    for status in all {
        whole.cluster = status.cluster;
        violations.extend(status.placement_violations);
        for told in status.groups {
            match groups.entry(told.group.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(told)),
                Entry::Occupied(entry) => merge(entry.into_mut(), told),
            }
        }
    }
    whole.groups = groups.into_values().collect();
    whole.placement_violations = violations.into_iter().collect();
    whole
}

fn merge(known: &mut v1::GroupStatus, mut told: v1::GroupStatus) {
    let rank =
        |group: &v1::GroupStatus| (!group.members.is_empty(), group.term, group.leader.is_some());
    if rank(&told) > rank(known) {
        std::mem::swap(known, &mut told);
    }
    for member in &mut known.members {
        let same = told.members.iter().find(|other| other.node == member.node);
        member.applied = member.applied.max(same.and_then(|other| other.applied));
    }
}

fn text_keys(edges: &BTreeMap<DomainId, String>) -> BTreeMap<String, String> {
    edges.iter().map(|(domain, edge)| (domain.to_string(), edge.clone())).collect()
}

fn users_groups(view: &ControlView) -> BTreeMap<String, u32> {
    view.domains.iter().map(|(d, record)| (d.to_string(), record.users_groups.into())).collect()
}

fn group_status(group: &Group) -> v1::GroupStatus {
    let metrics = group.raft().metrics().borrow_watched().clone();
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let replication = metrics.replication.clone().unwrap_or_default();
    let applied = |id: &u64| match *id == metrics.id {
        true => metrics.last_applied.as_ref().map(|log| log.index),
        false => replication.get(id).and_then(|log| log.as_ref()).map(|log| log.index),
    };
    let members = membership.nodes().map(|(id, member)| v1::MemberStatus {
        node: member.name.to_string(),
        role: if voters.contains(id) { "voter" } else { "learner" }.into(),
        applied: applied(id),
    });
    v1::GroupStatus {
        group: group.id().to_string(),
        leader: group.leader().map(|(_, name)| name.to_string()),
        term: metrics.current_term,
        members: members.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(term: u64, leader: Option<&str>, members: &[(&str, Option<u64>)]) -> v1::ClusterStatus {
        let member = |(node, applied): &(&str, Option<u64>)| v1::MemberStatus {
            node: (*node).into(),
            role: "voter".into(),
            applied: *applied,
        };
        let group = v1::GroupStatus {
            group: "control".into(),
            leader: leader.map(str::to_owned),
            term,
            members: members.iter().map(member).collect(),
        };
        v1::ClusterStatus { groups: vec![group], ..v1::ClusterStatus::default() }
    }

    #[test]
    fn the_newest_term_knows_the_members_and_each_member_its_own_place() {
        let whole = merged([
            told(0, None, &[]),
            told(3, None, &[("a", Some(5)), ("b", None)]),
            told(4, Some("a"), &[("a", Some(9)), ("b", None), ("c", Some(2))]),
            told(3, Some("b"), &[("a", None), ("b", Some(7)), ("d", Some(1))]),
        ]);
        assert_eq!(whole.groups.len(), 1);
        let group = &whole.groups[0];
        assert_eq!((group.term, group.leader.as_deref()), (4, Some("a")));
        let applied: Vec<_> = group.members.iter().map(|m| (m.node.as_str(), m.applied)).collect();
        assert_eq!(applied, [("a", Some(9)), ("b", Some(7)), ("c", Some(2))]);
    }
}
