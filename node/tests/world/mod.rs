//! Four nodes of three domains on a network in memory, with keys, packs and a tap.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "support of tests, of which none uses all"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_core::ids::{DomainId, NodeName, UnixMillis};
use bailiwick_core::placement;
use bailiwick_core::policy::{AgeBand, Service};
use bailiwick_net::memory::{MemoryNet, Passport, Weather};
use bailiwick_net::token::{NewToken, TokenMinter, TokenSettings, TokenVerifier};
use bailiwick_net::trust::DomainTrust;
use bailiwick_net::{Expect, Identity, Role, Supervisor, TrustBundle};
use bailiwick_node::cluster::Seed;
use bailiwick_node::config::{Config, RankingConfig};
use bailiwick_node::learning::Schedule;
use bailiwick_node::seal::{Secret, keys};
use bailiwick_node::seams::{Clock, Seams, system_clock};
use bailiwick_node::service::{NodeService, State};
use bailiwick_node::start::{Addresses, Body, Parts};
use bailiwick_proto::edge;
use bailiwick_proto::edge::node_server::Node as _;
use bailiwick_proto::peer::LearnTell;
use bailiwick_proto::peer::learn_tell::Tell;
use bailiwick_proto::store::LearningRun;
use bailiwick_proto::v1;
use prost::Message as _;
use tonic::{Request, Response, Status};

const NODES: [(&str, &str); 4] =
    [("eu-west-1", "eu"), ("eu-west-2", "eu"), ("in-south-1", "in"), ("us-east-1", "us")];
pub const HOMES: [(&str, &str); 3] = [("eu", "EU-DE"), ("in", "IN"), ("us", "US-CA")];
const PACKS: [(&str, &str); 5] = [
    ("EU", include_str!("../../../deploy/policies/EU.toml")),
    ("EU-DE", include_str!("../../../deploy/policies/EU-DE.toml")),
    ("US", include_str!("../../../deploy/policies/US.toml")),
    ("US-CA.2026", include_str!("../../../deploy/policies/US-CA.2026.toml")),
    ("IN.2011", include_str!("../../../deploy/policies/IN.2011.toml")),
];
const ISSUER: &str = "test";
const AUDIENCE: &str = "bailiwick";

/// Masked parts that went from one domain to another.
pub type Tapped = Arc<Mutex<Vec<Vec<u8>>>>;

struct Running {
    body: Body,
    tasks: Supervisor,
}

pub struct World {
    root: tempfile::TempDir,
    net: MemoryNet,
    bundle: TrustBundle,
    tokens: TokenSettings,
    minter: TokenMinter,
    nodes: BTreeMap<&'static str, Running>,
    schedule: Schedule,
    /// By how much all clocks are ahead of the system's.
    ahead_ms: Arc<AtomicI64>,
    pub tapped: Tapped,
}

fn address(at: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, at + 1], port))
}

fn place(name: &str) -> u8 {
    u8::try_from(NODES.iter().position(|(node, _)| *node == name).unwrap()).unwrap()
}

fn identity(bundle: &TrustBundle, name: &str, domain: &str) -> Identity {
    Identity {
        cluster: bundle.cluster.clone(),
        domain: domain.parse().unwrap(),
        region: format!("{domain}-west").parse().unwrap(),
        role: Role::Node,
        name: name.parse().unwrap(),
    }
}

fn tap(net: &MemoryNet) -> Tapped {
    let tapped = Tapped::default();
    let seen = Arc::clone(&tapped);
    net.tap(Box::new(move |from, to, bytes| {
        let told = LearnTell::decode(bytes).ok().filter(|told| told.format == 2);
        if let (Some(Some(Tell::Masked(part))), true) =
            (told.map(|told| told.tell), from.domain != to.domain)
        {
            seen.lock().unwrap().push(part.to_vec());
        }
    }));
    tapped
}

impl World {
    pub async fn start() -> Self {
        Self::scheduled(Schedule::default()).await
    }

    /// One in which runs begin by themselves.
    pub async fn scheduled(schedule: Schedule) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        let mut bundle = TrustBundle { cluster: "test".parse().unwrap(), domains: BTreeMap::new() };
        for (number, (domain, _)) in (1..).zip(HOMES) {
            let folder = at.join("keys").join(domain);
            let receipt_key = keys::create_with(&folder, &Secret::new([number; 32])).unwrap();
            let trust = DomainTrust { ca: Vec::new(), receipt_key };
            bundle.domains.insert(domain.parse::<DomainId>().unwrap(), trust);
        }
        keys::create_cluster(&at.join("cluster.key")).unwrap();
        std::fs::create_dir(at.join("policies")).unwrap();
        for (pack, text) in PACKS {
            std::fs::write(at.join("policies").join(format!("{pack}.toml")), text).unwrap();
        }
        let (minter, tokens) = tokens(at);
        let net = MemoryNet::new(1, Weather::default());
        let tapped = tap(&net);
        let nodes = BTreeMap::new();
        let ahead_ms = Arc::default();
        let mut world =
            Self { root, net, bundle, tokens, minter, nodes, schedule, ahead_ms, tapped };
        for (name, _) in NODES {
            world.revive(name).await;
        }
        for (name, _) in NODES {
            let state = Arc::clone(world.nodes[name].body.state());
            until("the nodes are ready", || state.pending().is_empty()).await;
        }
        world
    }

    fn clock(&self) -> Clock {
        let ahead = Arc::clone(&self.ahead_ms);
        Arc::new(move || UnixMillis(system_clock().0 + ahead.load(Ordering::Relaxed)))
    }

    /// All clocks go on by this much.
    pub fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn data_dir(&self, name: &str) -> PathBuf {
        self.root.path().join("nodes").join(name)
    }

    fn config(&self, name: &str, domain: &str) -> Config {
        let at = place(name);
        let root = self.root.path();
        let others = NODES.iter().filter(|(other, _)| *other != name);
        let seed = |(other, _): &(&str, &str)| Seed {
            name: other.parse::<NodeName>().unwrap(),
            peer_address: address(place(other), 7000),
        };
        Config {
            data_dir: self.data_dir(name),
            keys_dir: root.join("keys").join(domain),
            cluster_key: root.join("cluster.key"),
            credentials_dir: PathBuf::new(),
            trust_dir: PathBuf::new(),
            policies_dir: Some(root.join("policies")),
            listen_peers: address(at, 7000),
            listen_edge: address(at, 7001),
            listen_admin: address(at, 7002),
            advertise_peers: None,
            advertise_edge: None,
            seeds: others.map(seed).collect(),
            users_groups: 1,
            edge: None,
            tokens: self.tokens.clone(),
            anonymous_service: Service::General,
            state_cache_bytes: Some(1 << 20),
            snapshot_every: 10_000,
            log_segment_bytes: 1 << 20,
            learning: self.schedule,
            ranking: RankingConfig::default(),
        }
    }

    /// Starts a node on what its folder holds.
    pub async fn revive(&mut self, name: &'static str) {
        let domain = NODES.iter().find(|(node, _)| *node == name).unwrap().1;
        let identity = identity(&self.bundle, name, domain);
        let config = self.config(name, domain);
        let passport = Passport::genuine(identity.clone());
        let accepts = Expect::Role(Role::Node);
        let transport = self.net.endpoint(config.listen_peers, passport, accepts).unwrap();
        let addresses = Addresses { peers: config.listen_peers, edge: config.listen_edge };
        let tasks = Supervisor::new();
        let parts = Parts {
            config: &config,
            identity,
            bundle: &self.bundle,
            verifier: TokenVerifier::open(self.tokens.clone()).unwrap(),
            transport: Arc::new(transport),
            addresses,
            seams: Seams { clock: self.clock(), ..Seams::real() },
        };
        let body = Body::open(parts, tasks.child("node")).await.unwrap();
        self.nodes.insert(name, Running { body, tasks });
    }

    /// The node dies: nothing it does from now on reaches anybody.
    pub async fn kill(&mut self, name: &str) {
        self.net.crash(address(place(name), 7000));
        let Running { body, tasks } = self.nodes.remove(name).unwrap();
        body.halt().await;
        tasks.shutdown(Duration::from_millis(1)).await;
    }

    pub async fn stop(mut self) {
        while let Some((_, Running { body, tasks })) = self.nodes.pop_first() {
            body.halt().await;
            tasks.shutdown(Duration::from_millis(1)).await;
        }
    }

    pub fn forget_models(&self, name: &str) {
        std::fs::remove_dir_all(self.data_dir(name).join("models")).unwrap();
    }

    /// The checkpoints on a node's disk.
    pub fn trainings(&self, name: &str) -> PathBuf {
        self.data_dir(name).join("trainings")
    }

    /// The generations of the index on a node's disk.
    pub fn generations(&self, name: &str) -> PathBuf {
        self.data_dir(name).join("generations")
    }

    pub fn state(&self, name: &str) -> &Arc<State> {
        self.nodes[name].body.state()
    }

    /// A living node that leads the control group.
    pub fn coordinator(&self) -> Option<&'static str> {
        self.leader("control")
    }

    /// A living node that leads a group.
    pub fn leader(&self, group: &str) -> Option<&'static str> {
        let group = group.parse().unwrap();
        let leads = |node: &Running| node.body.groups().get(&group).unwrap().leads();
        self.nodes.iter().find(|(_, node)| leads(node)).map(|(name, _)| *name)
    }

    /// Another node leads the control group from now on; no node is lost.
    pub async fn depose(&self, coordinator: &str) {
        let group = "control".parse().unwrap();
        let heir =
            NODES.iter().find(|(name, _)| *name != coordinator && self.votes(name)).unwrap().0;
        let id = self.state(heir).control.view().nodes[&heir.parse::<NodeName>().unwrap()].raft_id;
        let raft = self.nodes[coordinator].body.groups().get(&group).unwrap().raft();
        raft.trigger().transfer_leader(id).await.unwrap();
    }

    fn votes(&self, name: &str) -> bool {
        let sites = self.state(name).control.view().sites();
        placement::members(&"control".parse().unwrap(), &sites)
            .voters
            .iter()
            .any(|voter| voter.as_str() == name)
    }

    /// The run of learning as a node knows it.
    pub fn run(&self, name: &str) -> Option<LearningRun> {
        self.state(name).control.view().learning.clone()
    }

    pub fn alive(&self) -> impl Iterator<Item = &'static str> {
        self.nodes.keys().copied()
    }

    pub fn of_domain(domain: &str) -> &'static str {
        NODES.iter().find(|(_, found)| *found == domain).unwrap().0
    }

    fn service(&self, name: &str) -> NodeService {
        NodeService::new(Arc::clone(self.nodes[name].body.state()))
    }

    pub fn caller(&self, subject: &str, home: &str, scopes: &str) -> edge::Caller {
        let token = NewToken {
            subject: subject.parse().unwrap(),
            home: home.parse().unwrap(),
            azp: "demo".into(),
            age_band: AgeBand::Adult,
            scopes: scopes.split(' ').map(|scope| scope.parse().unwrap()).collect(),
            child: None,
            life_s: 3600,
        };
        edge::Caller {
            token: Some(self.minter.mint(&token, self.clock()()).unwrap()),
            location: home.to_owned(),
            ..edge::Caller::default()
        }
    }

    fn operator(&self) -> Option<edge::Caller> {
        Some(self.caller("operator", "EU-DE", "items:write cluster:admin"))
    }

    /// Puts items, again where the catalogue has no leader at the moment: on a busy machine it may lose it.
    pub async fn put_items(&self, items: Vec<v1::Item>) {
        let any = self.alive().next().unwrap();
        let began = Instant::now();
        loop {
            let call = edge::PutItemsCall { caller: self.operator(), items: items.clone() };
            match self.service(any).put_items(Request::new(call)).await {
                Ok(answer) => return assert_eq!(answer.into_inner().errors, []),
                Err(status) => {
                    assert!(began.elapsed() < Duration::from_secs(120), "{status:?}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    pub async fn delete_item(&self, item: &str) {
        let any = self.alive().next().unwrap();
        let call = edge::DeleteItemCall { caller: self.operator(), item: item.to_owned() };
        self.service(any).delete_item(Request::new(call)).await.unwrap();
    }

    /// A person consents, and likes items.
    pub async fn put_person(&self, subject: &str, at: (&str, &str), items: &[String]) {
        let (domain, home) = at;
        let service = self.service(Self::of_domain(domain));
        let caller = Some(self.caller(subject, home, "person events"));
        let consent = v1::PutConsentRequest {
            consent: Some("granted".into()),
            ..v1::PutConsentRequest::default()
        };
        let call = edge::PutConsentCall { caller: caller.clone(), request: Some(consent) };
        service.put_consent(Request::new(call)).await.unwrap();
        let like = |item: &String| v1::Event {
            id: format!("{subject}-{item}"),
            item: item.clone(),
            kind: "like".into(),
            ..v1::Event::default()
        };
        let events = items.iter().map(like).collect();
        let request = v1::RecordEventsRequest { events, receipt: None };
        let call = edge::RecordEventsCall { caller, request: Some(request) };
        let answer = service.record_events(Request::new(call)).await.unwrap().into_inner();
        assert_eq!(answer.stored, format!("linked@{domain}"));
    }

    pub async fn recommend(&self, subject: &str, at: (&str, &str)) -> v1::RecommendResponse {
        let (domain, home) = at;
        let caller = Some(self.caller(subject, home, "recommend"));
        let request = v1::RecommendRequest { limit: Some(5), ..v1::RecommendRequest::default() };
        let call = edge::RecommendCall { caller, request: Some(request) };
        let service = self.service(Self::of_domain(domain));
        service.recommend(Request::new(call)).await.unwrap().into_inner()
    }

    pub async fn start_learning(&self, rounds: u32) {
        self.start_learning_under(rounds, None).await;
    }

    pub async fn start_learning_under(&self, rounds: u32, epsilon: Option<f64>) {
        let request = v1::StartLearningRequest { epsilon, ..asked(rounds) };
        self.start_run(request).await;
    }

    pub async fn start_run(&self, request: v1::StartLearningRequest) {
        let call = edge::StartLearningCall { caller: self.operator(), request: Some(request) };
        let any = self.alive().next().unwrap();
        self.service(any).start_learning(Request::new(call)).await.unwrap();
    }

    pub async fn learning(&self, name: &str) -> v1::LearningStatus {
        let call = edge::LearningStatusCall { caller: self.operator() };
        let status: Result<Response<_>, Status> =
            self.service(name).learning_status(Request::new(call)).await;
        status.unwrap().into_inner()
    }

    pub async fn roll_back(&self) {
        let call = edge::RollBackModelCall { caller: self.operator() };
        let any = self.alive().next().unwrap();
        self.service(any).roll_back_model(Request::new(call)).await.unwrap();
    }

    /// Waits until every living node says that it serves the model that `active` finds.
    pub async fn until_served(
        &self,
        what: &str,
        active: impl Fn(&v1::LearningStatus) -> bool,
    ) -> v1::LearningStatus {
        let began = Instant::now();
        loop {
            let alive: Vec<_> = self.alive().collect();
            let status = self.learning(alive[0]).await;
            let run = status.run.clone().unwrap_or_default();
            assert_ne!(run.phase, "failed", "{run:?}");
            let hash = status.active.as_ref().map(|model| model.sha256.clone());
            let served = status.nodes.iter().filter(|node| alive.contains(&node.node.as_str()));
            if active(&status) && served.clone().all(|node| node.sha256 == hash) {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A run of so many rounds, with a seed of its own.
pub fn asked(rounds: u32) -> v1::StartLearningRequest {
    v1::StartLearningRequest {
        rounds: Some(rounds),
        dimensions: Some(16),
        seed: Some(rounds.into()),
        ..v1::StartLearningRequest::default()
    }
}

fn tokens(at: &Path) -> (TokenMinter, TokenSettings) {
    let issuer: bailiwick_core::ids::Issuer = ISSUER.parse().unwrap();
    let minter = TokenMinter::open(&at.join("signing.pem"), issuer.clone(), AUDIENCE).unwrap();
    let jwks = at.join("jwks.json");
    minter.write_jwks(&jwks).unwrap();
    let settings = TokenSettings {
        jwks,
        issuers: [issuer].into(),
        audience: AUDIENCE.to_owned(),
        clients: [("demo".to_owned(), Service::General)].into(),
    };
    (minter, settings)
}

pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Chi-square of the bytes against an even spread, 255 degrees of freedom: 255 in the mean, deviation 23.
pub fn unevenness(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let even = bytes.len() as f64 / 256.0;
    counts.iter().map(|&count| (f64::from(count) - even).powi(2) / even).sum()
}
