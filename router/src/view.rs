//! What the router knows of the cluster: packs, nodes and edges, held on a lease.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, Jurisdiction};
use bailiwick_core::placement::Site;
use bailiwick_core::policy::{Applicable, Candidate, PackFile, PackSet};
use bailiwick_proto::edge;
use bailiwick_proto::edge::node_client::NodeClient;
use jiff::civil::Date;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::config::{NodeAddress, is_base_url};
use crate::health::Health;

/// Laws of pairs of places that are kept; a router sees few of them.
const LAWS_MAX: usize = 1024;
/// A lease is never believed for longer than this.
const LEASE_MAX: Duration = Duration::from_secs(60);

/// Opens channels to nodes. It connects when first used, and again when the connection is lost.
pub trait Dial: Send + Sync + 'static {
    /// A channel to a node that must prove to be `node`.
    ///
    /// # Errors
    /// Why it can't be opened, in words.
    fn dial(&self, node: &NodeAddress) -> Result<Channel, String>;
}

/// A node that can be asked.
pub(crate) struct Node {
    pub(crate) at: NodeAddress,
    pub(crate) client: NodeClient<Channel>,
    pub(crate) health: Health,
}

impl Node {
    pub(crate) fn domain(&self) -> &DomainId {
        &self.at.site.domain
    }
}

/// A pack and the text it was read from.
pub(crate) struct HeldPack {
    pub(crate) file: PackFile,
    pub(crate) source: String,
}

/// The cluster at one version of its topology.
pub(crate) struct View {
    pub(crate) version: u64,
    pub(crate) packs: PackSet,
    pub(crate) held: Arc<[HeldPack]>,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) edges: BTreeMap<DomainId, String>,
    lease_until: Option<Instant>,
    laws: Arc<Laws>,
}

/// Laws that were worked out, since that is the dear half of a decision.
#[derive(Default)]
struct Laws(Mutex<HashMap<(Jurisdiction, Jurisdiction, Date), Arc<Applicable>>>);

impl Laws {
    fn get(
        &self,
        key: (Jurisdiction, Jurisdiction, Date),
        make: impl FnOnce() -> Applicable,
    ) -> Arc<Applicable> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(law) = kept.get(&key) {
            return Arc::clone(law);
        }
        let law = Arc::new(make());
        if kept.len() >= LAWS_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&law));
        law
    }
}

impl View {
    /// What is left of the lease; none where there is none any more.
    pub(crate) fn lease_left(&self, now: Instant) -> Option<Duration> {
        self.lease_until.and_then(|until| until.checked_duration_since(now))
    }

    /// Whose law applies. Without a lease: STRICT, whatever the packs said.
    pub(crate) fn law(
        &self,
        home: &Jurisdiction,
        location: &Jurisdiction,
        (on, now): (Date, Instant),
    ) -> Arc<Applicable> {
        if self.lease_left(now).is_none() {
            return Arc::new(PackSet::empty().applicable(home, location, on));
        }
        let key = (home.clone(), location.clone(), on);
        self.laws.get(key, || self.packs.applicable(home, location, on))
    }

    /// Domains with a node that answers.
    pub(crate) fn up(&self) -> BTreeSet<DomainId> {
        let living = self.nodes.iter().filter(|node| node.health.is_up());
        living.map(|node| node.domain().clone()).collect()
    }

    /// Every domain with nodes, nearest first.
    pub(crate) fn nearest(&self) -> Vec<DomainId> {
        let mut best: BTreeMap<&DomainId, f64> = BTreeMap::new();
        for node in &self.nodes {
            let latency = node.health.latency_s();
            let least = best.entry(node.domain()).or_insert(latency);
            *least = least.min(latency);
        }
        let mut order: Vec<_> = best.into_iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        order.into_iter().map(|(domain, _)| domain.clone()).collect()
    }
}

/// The current view; a new version takes the old one's place at once.
pub(crate) struct Views {
    dial: Box<dyn Dial>,
    seeds: Vec<NodeAddress>,
    edges: BTreeMap<DomainId, String>,
    current: RwLock<Arc<View>>,
}

impl Views {
    pub(crate) fn new(
        dial: Box<dyn Dial>,
        seeds: Vec<NodeAddress>,
        edges: BTreeMap<DomainId, String>,
    ) -> Self {
        let view = View {
            version: 0,
            packs: PackSet::empty(),
            held: Arc::new([]),
            nodes: connect(&*dial, &seeds, &[]),
            edges: edges.clone(),
            lease_until: None,
            laws: Arc::default(),
        };
        Self { dial, seeds, edges, current: RwLock::new(Arc::new(view)) }
    }

    pub(crate) fn current(&self) -> Arc<View> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a node's answer to a question asked at `asked`.
    pub(crate) fn apply(&self, topology: edge::Topology, asked: Instant) {
        // A node that has just started and is not sure of its packs has no say about them yet; the lease
        // that is held runs on, and out.
        if topology.lease_ms == 0 {
            return;
        }
        let old = self.current();
        let lease = Duration::from_millis(topology.lease_ms).min(LEASE_MAX);
        let lease_until = Some(asked + lease);
        let same = topology.version == old.version && old.lease_until.is_some();
        let (held, packs, laws) = match same {
            true => (Arc::clone(&old.held), old.packs.clone(), Arc::clone(&old.laws)),
            false => {
                let (held, packs) = read_packs(topology.packs);
                (held.into(), packs, Arc::default())
            }
        };
        let nodes = self.nodes(&topology.nodes, &old.nodes);
        let edges = self.merged_edges(topology.edges);
        let version = topology.version;
        let view = View { version, packs, held, nodes, edges, lease_until, laws };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    fn nodes(&self, named: &[edge::TopologyNode], old: &[Arc<Node>]) -> Vec<Arc<Node>> {
        let mut wanted: Vec<NodeAddress> = named.iter().filter_map(address).collect();
        // A seed that the topology does not name, or names elsewhere, is still worth asking: after a restart
        // of everything a node may tell where the others were before, and nobody is there any more.
        let others: Vec<_> = self.seeds.iter().filter(|s| !wanted.contains(s)).cloned().collect();
        wanted.extend(others);
        connect(&*self.dial, &wanted, old)
    }

    fn merged_edges(&self, named: BTreeMap<String, String>) -> BTreeMap<DomainId, String> {
        let mut edges = self.edges.clone();
        for (domain, url) in named {
            match domain.parse() {
                Ok(domain) if is_base_url(&url) => drop(edges.insert(domain, url)),
                _ => tracing::warn!(domain, "the topology names an edge that is not a URL"),
            }
        }
        edges
    }
}

fn address(node: &edge::TopologyNode) -> Option<NodeAddress> {
    let site = Site {
        name: node.name.parse().ok()?,
        domain: node.domain.parse().ok()?,
        region: node.region.parse().ok()?,
    };
    Some(NodeAddress { site, address: node.address.parse().ok()? })
}

/// Channels to `wanted`; one that is open to the same place stays, with what is known of its health.
fn connect(dial: &dyn Dial, wanted: &[NodeAddress], old: &[Arc<Node>]) -> Vec<Arc<Node>> {
    let mut nodes = Vec::with_capacity(wanted.len());
    for at in wanted {
        if let Some(kept) = old.iter().find(|node| node.at == *at) {
            nodes.push(Arc::clone(kept));
            continue;
        }
        match dial.dial(at) {
            Ok(channel) => {
                let client = NodeClient::new(channel)
                    .max_decoding_message_size(crate::ANSWER_BYTES_MAX)
                    .max_encoding_message_size(crate::ANSWER_BYTES_MAX);
                let node = Node { at: at.clone(), client, health: Health::default() };
                nodes.push(Arc::new(node));
            }
            Err(error) => tracing::error!(node = %at.site.name, error, "no channel to a node"),
        }
    }
    nodes
}

/// A pack that can't be read makes its jurisdiction STRICT, and the rest stands.
fn read_packs(sources: Vec<String>) -> (Vec<HeldPack>, PackSet) {
    let mut held = Vec::new();
    let mut candidates = Vec::new();
    for source in sources {
        match PackFile::parse(&source) {
            Ok(file) => {
                candidates.push(Candidate::Read(Arc::new(file.clone())));
                held.push(HeldPack { file, source });
            }
            Err(errors) => {
                tracing::error!(%errors, "a pack can't be read");
                candidates.extend(PackFile::id_in(&source).map(Candidate::Unreadable));
            }
        }
    }
    let (packs, faults) = PackSet::lenient(candidates);
    for fault in faults {
        tracing::error!(%fault, "a pack is at fault");
    }
    (held, packs)
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;

    struct Lazily;

    impl Dial for Lazily {
        fn dial(&self, _: &NodeAddress) -> Result<Channel, String> {
            Ok(Endpoint::from_static("http://127.0.0.1:1").connect_lazy())
        }
    }

    /// Found by power cuts: all nodes had come back elsewhere, the first to answer did not know it yet, and
    /// the router asked at the old addresses for ever.
    #[tokio::test]
    async fn where_nodes_were_before_does_not_displace_where_the_configuration_says() {
        let told = |address: &str| edge::TopologyNode {
            name: "eu-west-1".into(),
            domain: "eu".into(),
            region: "eu-west".into(),
            address: address.into(),
            ..edge::TopologyNode::default()
        };
        let seed = address(&told("127.0.0.1:2")).unwrap();
        let views = Views::new(Box::new(Lazily), vec![seed], BTreeMap::new());
        let addresses = |address: &str| {
            let topology = edge::Topology {
                version: 1,
                nodes: vec![told(address)],
                lease_ms: 1000,
                ..edge::Topology::default()
            };
            views.apply(topology, Instant::now());
            let nodes = views.current().nodes.clone();
            nodes.iter().map(|node| node.at.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(addresses("127.0.0.1:1"), ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(addresses("127.0.0.1:2"), ["127.0.0.1:2"]);
    }
}
