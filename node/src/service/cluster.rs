//! What operators and routers learn of the cluster.

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
const STATUS_WITHIN: Duration = Duration::from_millis(500);
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
        let mut status = self.own_status();
        let view = self.control.view();
        let others: Vec<&DomainId> = view.domains.keys().filter(|d| *d != self.domain()).collect();
        let asked = join_all(others.iter().map(|domain| self.status_of(&view, domain))).await;
        for other in asked.into_iter().flatten() {
            let pinned = |group: &v1::GroupStatus| group.group.starts_with("users-");
            status.groups.extend(other.groups.into_iter().filter(pinned));
            status.placement_violations.extend(other.placement_violations);
        }
        status.domains =
            view.domains.keys().map(|domain| self.domain_status(&view, domain)).collect();
        Ok(status)
    }

    async fn status_of(&self, view: &ControlView, domain: &DomainId) -> Option<v1::ClusterStatus> {
        let request = StatusRequest { format: 1 };
        let nodes = view.nodes.values().filter(|node| node.site.domain == *domain);
        for node in nodes.filter(|node| self.reachable(&node.site.name)) {
            let asked =
                ask_one(&self.mesh, &node.site.name, STATUS_LANE, &request, STATUS_WITHIN).await;
            if let Some(status) = asked.and_then(|bytes| v1::ClusterStatus::decode(bytes).ok()) {
                return Some(status);
            }
        }
        None
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
