//! A simulated cluster: nodes of three domains and a router in each, their keys, packs and network.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{Issuer, Jurisdiction, NodeName, Subject, UnixMillis};
use bailiwick_core::placement::Site;
use bailiwick_core::policy::{AgeBand, Service};
use bailiwick_net::memory::{MemoryNet, Weather};
use bailiwick_net::token::{NewToken, TokenMinter, TokenSettings, TokenVerifier};
use bailiwick_net::trust::DomainTrust;
use bailiwick_net::{Identity, Role, Supervisor, TrustBundle};
use bailiwick_node::cluster::Seed;
use bailiwick_node::config::{Config, RankingConfig};
use bailiwick_node::learning::Schedule;
use bailiwick_node::seal::{Secret, keys};
use bailiwick_router::{Desk, DeskParts, EdgeConfig, Limits, NodeAddress};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::SimError;
use super::node::{BEGIN_MS, Plan, SimNode};
use super::tap::Tap;
use super::trace::Trace;
use super::wire::{Dialler, Wires};

/// The nodes: name, domain, region.
pub const NODES: [(&str, &str, &str); 7] = [
    ("eu-west-1", "eu", "eu-west"),
    ("eu-north-2", "eu", "eu-north"),
    ("eu-west-3", "eu", "eu-west"),
    ("us-east-1", "us", "us-east"),
    ("us-west-2", "us", "us-west"),
    ("us-east-3", "us", "us-east"),
    ("in-south-1", "in", "in-south"),
];

/// The routers: name, domain, location.
pub const ROUTERS: [(&str, &str, &str); 3] =
    [("eu-edge-1", "eu", "EU-DE"), ("us-edge-1", "us", "US-CA"), ("in-edge-1", "in", "IN")];

/// The packs that these places need.
const PACKS: [(&str, &str); 7] = [
    ("EU", include_str!("../../../deploy/policies/EU.toml")),
    ("EU-DE", include_str!("../../../deploy/policies/EU-DE.toml")),
    ("US", include_str!("../../../deploy/policies/US.toml")),
    ("US-CA.2026", include_str!("../../../deploy/policies/US-CA.2026.toml")),
    ("US-CA.2027", include_str!("../../../deploy/policies/US-CA.2027.toml")),
    ("IN.2011", include_str!("../../../deploy/policies/IN.2011.toml")),
    ("IN.2027", include_str!("../../../deploy/policies/IN.2027.toml")),
];

const CLUSTER: &str = "sim";
pub(super) const ISSUER: &str = "sim";
const AUDIENCE: &str = "bailiwick";
const APP: &str = "demo";
const TOKEN_LIFE_S: u64 = 3600;
/// Tokens begin so long before the simulation, for clocks that are behind.
const TOKEN_BEGINS_S: i64 = 1800;
/// Small, so that snapshots, purges and new segments happen all the time.
const SNAPSHOT_EVERY: u64 = 60;
const SEGMENT_BYTES: u64 = 64 << 10;
const STATE_CACHE_BYTES: u64 = 1 << 20;
const USERS_GROUPS: u16 = 1;

/// A simulated cluster.
pub struct World {
    /// Of everything.
    pub seed: u64,
    /// What happens.
    pub trace: Trace,
    /// The nodes, by name.
    pub nodes: BTreeMap<NodeName, SimNode>,
    /// The routers, by domain.
    pub desks: BTreeMap<String, Arc<Desk>>,
    /// What connects them.
    pub wires: Wires,
    /// What sees all they say.
    pub tap: Arc<Tap>,
    /// Tasks of routers and observers.
    pub tasks: Supervisor,
    minter: TokenMinter,
    _scratch: tempfile::TempDir,
}

fn name(text: &str) -> Result<NodeName, SimError> {
    text.parse().map_err(SimError::of)
}

/// A folder in memory where there is one.
fn scratch() -> Result<tempfile::TempDir, SimError> {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    Ok(made?)
}

/// The signing key of all tokens: of no worth, and always the same, so that traces are.
fn signing_key(file: &Path) -> Result<(), SimError> {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&prefix[..], &[7; 32]].concat();
    let text = STANDARD.encode(der);
    fs::write(file, format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}

/// Everything that is made once, before a node starts.
struct Ground {
    root: PathBuf,
    bundle: Arc<TrustBundle>,
    tokens: TokenSettings,
    minter: TokenMinter,
}

impl Ground {
    fn make(root: &Path, seed: u64) -> Result<Self, SimError> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0x6b65_7973);
        let mut bundle = TrustBundle {
            cluster: CLUSTER.parse().map_err(SimError::of)?,
            domains: BTreeMap::new(),
        };
        for (_, domain, _) in ROUTERS {
            let receipt_key = domain_keys(&root.join("keys").join(domain), &mut dice)?;
            let trust = DomainTrust { ca: Vec::new(), receipt_key };
            bundle.domains.insert(domain.parse().map_err(SimError::of)?, trust);
        }
        keys::create_cluster(&root.join("cluster.key")).map_err(SimError::of)?;
        overwrite(&root.join("cluster.key"), &mut dice)?;
        fs::create_dir(root.join("policies"))?;
        for (pack, text) in PACKS {
            fs::write(root.join("policies").join(format!("{pack}.toml")), text)?;
        }
        let key = root.join("signing.pem");
        signing_key(&key)?;
        let issuer: Issuer = ISSUER.parse().map_err(SimError::of)?;
        let minter = TokenMinter::open(&key, issuer.clone(), AUDIENCE).map_err(SimError::of)?;
        let jwks = root.join("jwks.json");
        minter.write_jwks(&jwks).map_err(SimError::of)?;
        let tokens = TokenSettings {
            jwks,
            issuers: [issuer].into(),
            audience: AUDIENCE.to_owned(),
            clients: [(APP.to_owned(), Service::General)].into(),
        };
        Ok(Self { root: root.to_owned(), bundle: Arc::new(bundle), tokens, minter })
    }

    fn plan(&self, at: u8, node: (&str, &str, &str)) -> Result<Plan, SimError> {
        let (named, domain, region) = node;
        let identity = Identity {
            cluster: self.bundle.cluster.clone(),
            domain: domain.parse().map_err(SimError::of)?,
            region: region.parse().map_err(SimError::of)?,
            role: Role::Node,
            name: name(named)?,
        };
        let seeds = (0..).zip(NODES).filter(|(_, (other, _, _))| *other != named);
        let seeds: Result<Vec<Seed>, SimError> = seeds
            .map(|(at, (other, _, _))| Ok(Seed { name: name(other)?, peer_address: peers(at) }))
            .collect();
        let config = Config {
            data_dir: self.root.join("nodes").join(named),
            keys_dir: self.root.join("keys").join(domain),
            cluster_key: self.root.join("cluster.key"),
            credentials_dir: PathBuf::new(),
            trust_dir: PathBuf::new(),
            policies_dir: Some(self.root.join("policies")),
            listen_peers: peers(at),
            listen_edge: edge(at),
            listen_admin: edge(at),
            advertise_peers: None,
            advertise_edge: None,
            seeds: seeds?,
            users_groups: USERS_GROUPS,
            edge: Some(format!("http://{domain}.edge.sim")),
            tokens: self.tokens.clone(),
            anonymous_service: Service::General,
            state_cache_bytes: Some(STATE_CACHE_BYTES),
            snapshot_every: SNAPSHOT_EVERY,
            log_segment_bytes: SEGMENT_BYTES,
            learning: Schedule::default(),
            ranking: RankingConfig::default(),
        };
        let bundle = Arc::clone(&self.bundle);
        Ok(Plan { identity, peers: peers(at), edge: edge(at), config, bundle })
    }
}

/// Makes a domain's keys, and then makes them those of the seed. Returns the public key of its receipts.
fn domain_keys(folder: &Path, dice: &mut ChaCha8Rng) -> Result<[u8; 32], SimError> {
    let mut seed = [0; 32];
    dice.fill_bytes(&mut seed);
    let public = keys::create_with(folder, &Secret::new(seed)).map_err(SimError::of)?;
    overwrite(&folder.join("epoch-1.key"), dice)?;
    overwrite(&folder.join("row.key"), dice)?;
    Ok(public)
}

fn overwrite(file: &Path, dice: &mut ChaCha8Rng) -> Result<(), SimError> {
    let mut key = [0; 32];
    dice.fill_bytes(&mut key);
    Ok(fs::write(file, key)?)
}

fn peers(at: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, at + 1)), 7000)
}

fn edge(at: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, at + 1)), 7001)
}

impl World {
    /// A cluster whose nodes do not run yet.
    ///
    /// # Errors
    /// [`SimError`] when a file can't be made.
    pub fn new(seed: u64) -> Result<Self, SimError> {
        let scratch = scratch()?;
        let ground = Ground::make(scratch.path(), seed)?;
        let places = NODES.iter().chain(&ROUTERS).map(|(n, d, _)| Ok((name(n)?, (*d).to_owned())));
        let places: Result<BTreeMap<_, _>, SimError> = places.collect();
        let tap = Arc::new(Tap::new(places?));
        let net = MemoryNet::new(seed, Weather::default());
        let tapped = Arc::clone(&tap);
        net.tap(Box::new(move |from, to, bytes| tapped.sees(&from.name, &to.name, bytes)));
        let wires = Wires::new(seed, net, Arc::clone(&tap));
        let (trace, began) = (Trace::new(scratch.path()), Instant::now());
        let mut nodes = BTreeMap::new();
        for (at, node) in (0..).zip(NODES) {
            let plan = ground.plan(at, node)?;
            let of = seed.wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(at) << 32);
            nodes.insert(name(node.0)?, SimNode::new(plan, of, began, wires.clone()));
        }
        let tasks = Supervisor::new();
        let desks = desks(&ground, &nodes, &wires, began, &tasks)?;
        let minter = ground.minter;
        Ok(Self { seed, trace, nodes, desks, wires, tap, tasks, minter, _scratch: scratch })
    }

    /// A token of an adult who uses a general app.
    ///
    /// # Errors
    /// [`SimError`] for a name that can't be one.
    pub fn token(&self, subject: &str, home: &str, scopes: &str) -> Result<String, SimError> {
        let scopes: Result<_, _> = scopes.split_whitespace().map(str::parse).collect();
        let token = NewToken {
            subject: subject.parse::<Subject>().map_err(SimError::of)?,
            home: home.parse::<Jurisdiction>().map_err(SimError::of)?,
            azp: APP.to_owned(),
            age_band: AgeBand::Adult,
            scopes: scopes.map_err(SimError::of)?,
            child: None,
            life_s: TOKEN_LIFE_S,
        };
        let begins = UnixMillis(BEGIN_MS - TOKEN_BEGINS_S * 1000);
        self.minter.mint(&token, begins).map_err(SimError::of)
    }

    /// The nodes of a domain.
    pub fn of_domain(&self, domain: &str) -> impl Iterator<Item = &SimNode> {
        self.nodes.values().filter(move |node| node.domain() == domain)
    }
}

fn desks(
    ground: &Ground,
    nodes: &BTreeMap<NodeName, SimNode>,
    wires: &Wires,
    began: Instant,
    tasks: &Supervisor,
) -> Result<BTreeMap<String, Arc<Desk>>, SimError> {
    let address = |node: &SimNode| {
        let identity = &node.plan().identity;
        let (name, domain) = (identity.name.clone(), identity.domain.clone());
        let site = Site { name, domain, region: identity.region.clone() };
        NodeAddress { site, address: node.plan().edge }
    };
    let mut desks = BTreeMap::new();
    for (router, domain, location) in ROUTERS {
        let clock = move || {
            let passed = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            UnixMillis(BEGIN_MS + passed)
        };
        let tokens = TokenVerifier::open(ground.tokens.clone()).map_err(SimError::of)?;
        let parts = DeskParts {
            here: domain.parse().map_err(SimError::of)?,
            edge: EdgeConfig {
                location: location.parse().map_err(SimError::of)?,
                seeds: nodes.values().map(address).collect(),
                edges: BTreeMap::new(),
                trusted_proxies: Vec::new(),
                limits: Limits::default(),
            },
            tokens: Arc::new(tokens),
            dial: Box::new(Dialler { wires: wires.clone(), router: name(router)? }),
            clock: Arc::new(clock),
        };
        desks.insert(domain.to_owned(), Arc::new(Desk::open(parts, &tasks.child(router))));
    }
    Ok(desks)
}
