//! What a node knows of the cluster: derived from the control group's rows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use bailiwick_core::ids::{DomainId, GroupId, NodeName};
use bailiwick_core::placement::Site;
use bailiwick_core::policy::{Candidate, PackFile, PackSet};
use bailiwick_proto::store::control_row::Row;
use bailiwick_proto::store::{ControlRow, LearningRun, Models, PrivacyLedger, RegisterNode};
use bytes::Bytes;
use prost::Message as _;

use crate::raft::machine::Reader;

/// Rows read at a time.
const PAGE: usize = 500;

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Where it stands.
    pub site: Site,
    /// Its number in every group: another one after it was wiped.
    pub raft_id: u64,
    /// Where peers reach it.
    pub peer_address: SocketAddr,
    /// Where routers reach it.
    pub edge_address: SocketAddr,
}

/// A residency domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// How many users groups it has; fixed.
    pub users_groups: u16,
    /// Its public edge, if it has one.
    pub edge: Option<String>,
}

/// The cluster at one moment.
#[derive(Debug, Clone)]
pub struct ControlView {
    /// The packs in force.
    pub packs: Arc<PackSet>,
    /// The packs as they were submitted.
    pub sources: BTreeMap<Vec<u8>, String>,
    /// Nodes by name.
    pub nodes: BTreeMap<NodeName, NodeRecord>,
    /// Domains by name.
    pub domains: BTreeMap<DomainId, DomainRecord>,
    /// The encodings that every node may use.
    pub cluster_version: u32,
    /// The life that all groups are in.
    pub cluster_id: u64,
    /// The latest run of learning.
    pub learning: Option<LearningRun>,
    /// The models that it brought.
    pub models: Models,
    /// What was told of people.
    pub privacy: PrivacyLedger,
    /// The log index of the last change.
    pub version: u64,
}

impl Default for ControlView {
    fn default() -> Self {
        Self {
            packs: Arc::new(PackSet::empty()),
            sources: BTreeMap::new(),
            nodes: BTreeMap::new(),
            domains: BTreeMap::new(),
            cluster_version: 0,
            cluster_id: 0,
            learning: None,
            models: Models::default(),
            privacy: PrivacyLedger::default(),
            version: 0,
        }
    }
}

impl ControlView {
    /// Where the nodes stand.
    #[must_use]
    pub fn sites(&self) -> Vec<Site> {
        self.nodes.values().map(|node| node.site.clone()).collect()
    }

    /// The users groups of a domain.
    pub fn users_groups(&self, domain: &DomainId) -> impl Iterator<Item = GroupId> + use<> {
        let count = self.domains.get(domain).map_or(0, |d| d.users_groups);
        let domain = domain.clone();
        (0..count).map(move |number| GroupId::Users { domain: domain.clone(), number })
    }
}

/// The shared, replaceable view.
#[derive(Default)]
pub struct ControlState {
    view: RwLock<Arc<ControlView>>,
}

impl ControlState {
    /// The view now.
    #[must_use]
    pub fn view(&self) -> Arc<ControlView> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn reload(&self, reader: &Reader, applied: u64) {
        let mut fresh = ControlView { version: applied, ..ControlView::default() };
        let mut after: Option<Bytes> = None;
        while let Ok(page) = reader.scan_prefix(&[], after.as_deref(), PAGE) {
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            page.iter().for_each(|row| fresh.take(&row.key, Some(&row.value)));
        }
        fresh.compile();
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    }

    pub(super) fn update(&self, changed: &[(Bytes, Option<Bytes>)], applied: u64) {
        let mut next = ControlView::clone(&self.view());
        next.version = applied;
        changed.iter().for_each(|(key, value)| next.take(key, value.as_ref()));
        if changed.iter().any(|(key, _)| key.first() == Some(&b'p')) {
            next.compile();
        }
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

impl ControlView {
    fn take(&mut self, key: &[u8], value: Option<&Bytes>) {
        // Rows of the control group are never deleted, only replaced.
        let Some(row) = value.and_then(|v| ControlRow::decode(v.clone()).ok()) else { return };
        match row.row {
            Some(Row::Pack(pack)) => {
                self.sources.insert(key.to_vec(), pack.source);
            }
            Some(Row::Node(node)) => {
                if let Some(record) = record_of(&node) {
                    self.nodes.insert(record.site.name.clone(), record);
                }
            }
            Some(Row::Domain(domain)) => {
                if let Ok(name) = DomainId::new(domain.domain) {
                    let users_groups = u16::try_from(domain.users_groups).unwrap_or_default();
                    let edge = Some(domain.edge).filter(|edge| !edge.is_empty());
                    self.domains.insert(name, DomainRecord { users_groups, edge });
                }
            }
            Some(Row::ClusterVersion(version)) => {
                self.cluster_version = version.version;
                self.cluster_id = version.cluster_id;
            }
            Some(Row::Learning(run)) => self.learning = Some(run),
            Some(Row::Models(models)) => self.models = models,
            Some(Row::Privacy(ledger)) => self.privacy = ledger,
            None => {}
        }
    }

    /// Compiles what can be: a pack that is unreadable here counts as STRICT, the others stand.
    fn compile(&mut self) {
        let candidates = self.sources.values().filter_map(|source| match PackFile::parse(source) {
            Ok(file) => Some(Candidate::Read(Arc::new(file))),
            Err(_) => PackFile::id_in(source).map(Candidate::Unreadable),
        });
        let (packs, faults) = PackSet::lenient(candidates);
        faults.iter().for_each(|fault| tracing::error!(%fault, "a pack counts as STRICT"));
        self.packs = Arc::new(packs);
    }
}

/// The record of a node's registration; none when a field is not well-formed.
pub(super) fn record_of(node: &RegisterNode) -> Option<NodeRecord> {
    Some(NodeRecord {
        site: Site {
            name: NodeName::new(node.name.as_str()).ok()?,
            domain: DomainId::new(node.domain.as_str()).ok()?,
            region: node.region.parse().ok()?,
        },
        raft_id: Some(node.raft_id).filter(|id| *id != 0)?,
        peer_address: node.peer_address.parse().ok()?,
        edge_address: node.edge_address.parse().ok()?,
    })
}
