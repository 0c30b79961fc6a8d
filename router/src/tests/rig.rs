//! Scripted nodes over plain TCP, a router before them, and tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::placement::Site;
use bailiwick_core::policy::{AgeBand, Service};
use bailiwick_net::token::{NewToken, TokenMinter, TokenSettings, TokenVerifier};
use bailiwick_proto::edge::node_server::{Node, NodeServer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::{edge, v1};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::*;

/// What a node does with every call.
#[derive(Clone)]
pub(super) enum Script {
    Answer,
    Hang,
    Fail(Failure),
    /// Answers calls, but gives no lease.
    NoLease,
    Slow(Duration),
}

/// One call as a node saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: &'static str,
    pub(super) caller: edge::Caller,
    pub(super) items: usize,
}

#[derive(Clone)]
pub(super) struct FakeNode {
    pub(super) at: NodeAddress,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    topology: Arc<Mutex<edge::Topology>>,
}

impl FakeNode {
    pub(super) fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn act(&self) -> Result<(), Status> {
        let script = self.script.lock().unwrap().clone();
        match script {
            Script::Answer | Script::NoLease => Ok(()),
            Script::Hang => std::future::pending().await,
            Script::Fail(failure) => Err(failure.into()),
            Script::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    async fn take<T>(
        &self,
        method: &'static str,
        caller: Option<edge::Caller>,
        items: usize,
        answer: T,
    ) -> Result<Response<T>, Status> {
        let caller = caller.unwrap_or_default();
        self.seen.lock().unwrap().push(Seen { method, caller, items });
        self.act().await?;
        Ok(Response::new(answer))
    }

    fn served_by(&self) -> v1::ServedBy {
        let Site { name, domain, region } = &self.at.site;
        v1::ServedBy {
            node: name.to_string(),
            region: region.to_string(),
            domain: domain.to_string(),
        }
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Node for FakeNode {
    async fn recommend(&self, r: Request<edge::RecommendCall>) -> Answered<v1::RecommendResponse> {
        let answer =
            v1::RecommendResponse { served_by: Some(self.served_by()), ..Default::default() };
        self.take("recommend", r.into_inner().caller, 0, answer).await
    }
    async fn record_events(
        &self,
        r: Request<edge::RecordEventsCall>,
    ) -> Answered<v1::RecordEventsResponse> {
        let call = r.into_inner();
        let count = call.request.unwrap().events.len();
        let stored = format!("linked@{}", self.at.site.domain);
        let answer = v1::RecordEventsResponse {
            accepted: u32::try_from(count).unwrap(),
            stored,
            ..Default::default()
        };
        self.take("record_events", call.caller, count, answer).await
    }
    async fn get_consent(&self, r: Request<edge::GetConsentCall>) -> Answered<v1::Consent> {
        let call = r.into_inner();
        let revision = call.request.unwrap().revision;
        let answer = v1::Consent { consent: "none".into(), revision, ..Default::default() };
        self.take("get_consent", call.caller, 0, answer).await
    }
    async fn put_consent(&self, r: Request<edge::PutConsentCall>) -> Answered<v1::Consent> {
        self.take("put_consent", r.into_inner().caller, 0, v1::Consent::default()).await
    }
    async fn get_interests(&self, r: Request<edge::GetInterestsCall>) -> Answered<v1::Interests> {
        self.take("get_interests", r.into_inner().caller, 0, v1::Interests::default()).await
    }
    async fn put_interests(&self, r: Request<edge::PutInterestsCall>) -> Answered<v1::Interests> {
        self.take("put_interests", r.into_inner().caller, 0, v1::Interests::default()).await
    }
    async fn export(&self, r: Request<edge::ExportCall>) -> Answered<v1::ExportResponse> {
        self.take("export", r.into_inner().caller, 0, v1::ExportResponse::default()).await
    }
    async fn erase(&self, r: Request<edge::EraseCall>) -> Answered<v1::ErasureReceipt> {
        let receipt = v1::ErasureReceipt { id: "0123456789abcdef".repeat(2), ..Default::default() };
        self.take("erase", r.into_inner().caller, 0, receipt).await
    }
    async fn get_erasure(&self, r: Request<edge::GetErasureCall>) -> Answered<v1::Erasure> {
        let call = r.into_inner();
        let answer = v1::Erasure { id: call.request.unwrap().id, ..Default::default() };
        self.take("get_erasure", call.caller, 0, answer).await
    }
    async fn issue_receipt(&self, r: Request<edge::IssueReceiptCall>) -> Answered<edge::Receipt> {
        self.take("issue_receipt", r.into_inner().caller, 0, edge::Receipt::default()).await
    }
    async fn note_slice(&self, r: Request<edge::NoteSliceCall>) -> Answered<edge::NoteSliceAnswer> {
        self.take("note_slice", r.into_inner().caller, 0, edge::NoteSliceAnswer::default()).await
    }
    async fn put_items(&self, r: Request<edge::PutItemsCall>) -> Answered<v1::PutItemsResponse> {
        let call = r.into_inner();
        let bad = call.items.iter().position(|item| item.title == "refused by the node");
        let errors = bad.map(|at| v1::LineError {
            line: u32::try_from(at + 1).unwrap(),
            error: "the node says no".into(),
        });
        let upserted = call.items.len() - usize::from(errors.is_some());
        let answer = v1::PutItemsResponse {
            upserted: u32::try_from(upserted).unwrap(),
            errors: errors.into_iter().collect(),
            revision: Some("catalog:1".into()),
        };
        self.take("put_items", call.caller, call.items.len(), answer).await
    }
    async fn get_item(&self, r: Request<edge::GetItemCall>) -> Answered<v1::Item> {
        let call = r.into_inner();
        let answer = v1::Item { item: call.item, ..Default::default() };
        self.take("get_item", call.caller, 0, answer).await
    }
    async fn delete_item(
        &self,
        r: Request<edge::DeleteItemCall>,
    ) -> Answered<v1::DeleteItemResponse> {
        self.take("delete_item", r.into_inner().caller, 0, Default::default()).await
    }
    async fn cluster_status(
        &self,
        r: Request<edge::ClusterStatusCall>,
    ) -> Answered<v1::ClusterStatus> {
        self.take("cluster_status", r.into_inner().caller, 0, Default::default()).await
    }
    async fn start_learning(
        &self,
        r: Request<edge::StartLearningCall>,
    ) -> Answered<v1::LearningStatus> {
        self.take("start_learning", r.into_inner().caller, 0, Default::default()).await
    }
    async fn learning_status(
        &self,
        r: Request<edge::LearningStatusCall>,
    ) -> Answered<v1::LearningStatus> {
        self.take("learning_status", r.into_inner().caller, 0, Default::default()).await
    }
    async fn roll_back_model(
        &self,
        r: Request<edge::RollBackModelCall>,
    ) -> Answered<v1::LearningStatus> {
        self.take("roll_back_model", r.into_inner().caller, 0, Default::default()).await
    }
    async fn get_topology(&self, r: Request<edge::GetTopologyCall>) -> Answered<edge::Topology> {
        if matches!(*self.script.lock().unwrap(), Script::NoLease) {
            return Err(Failure::new(Kind::Unavailable, "no lease").into());
        }
        self.act().await?;
        let mut topology = self.topology.lock().unwrap().clone();
        if r.get_ref().known_version == topology.version {
            topology.packs.clear();
        }
        Ok(Response::new(topology))
    }
    async fn echo(&self, r: Request<v1::EchoRequest>) -> Answered<v1::EchoResponse> {
        self.act().await?;
        Ok(Response::new(v1::EchoResponse { payload: r.into_inner().payload }))
    }
}

use bailiwick_core::kind::Kind;

struct PlainTcp;

impl Dial for PlainTcp {
    fn dial(&self, node: &NodeAddress) -> Result<Channel, String> {
        let endpoint = Endpoint::try_from(format!("http://{}", node.address)).unwrap();
        Ok(endpoint.tcp_nodelay(true).connect_timeout(Duration::from_millis(200)).connect_lazy())
    }
}

/// A router in `here` before two nodes each in `eu` and `us`.
pub(super) struct Rig {
    pub(super) router: Router,
    pub(super) nodes: BTreeMap<String, FakeNode>,
    pub(super) http: reqwest::Client,
    minter: TokenMinter,
    tasks: Supervisor,
    _dir: tempfile::TempDir,
}

pub(super) async fn rig(here: &str, location: &str) -> Rig {
    rig_with(here, location, |_| {}).await
}

pub(super) async fn rig_with(
    here: &str,
    location: &str,
    change: impl FnOnce(&mut EdgeConfig),
) -> Rig {
    let tasks = Supervisor::new();
    let nodes = nodes(&tasks).await;
    let dir = tempfile::tempdir().unwrap();
    let issuer = "dev".parse().unwrap();
    let minter = TokenMinter::open(&dir.path().join("key.pem"), issuer, "bailiwick").unwrap();
    let jwks = dir.path().join("jwks.json");
    minter.write_jwks(&jwks).unwrap();
    let settings = TokenSettings {
        jwks,
        issuers: ["dev".parse().unwrap()].into(),
        audience: "bailiwick".into(),
        clients: [("demo".to_owned(), Service::General)].into(),
    };
    let mut edge = EdgeConfig {
        location: location.parse().unwrap(),
        seeds: nodes.values().map(|node| node.at.clone()).collect(),
        edges: BTreeMap::new(),
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
    };
    change(&mut edge);
    let local = || TcpListener::bind("127.0.0.1:0");
    let parts = Parts {
        here: here.parse().unwrap(),
        edge,
        tokens: Arc::new(TokenVerifier::open(settings).unwrap()),
        dial: Box::new(PlainTcp),
        tls: None,
        public: local().await.unwrap(),
        admin: local().await.unwrap(),
    };
    let router = Router::start(parts, &tasks).unwrap();
    let no_redirects = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().redirect(no_redirects).build().unwrap();
    let rig = Rig { router, nodes, http, minter, tasks, _dir: dir };
    rig.until(|rig| rig.router.pending().is_empty()).await;
    rig
}

async fn nodes(tasks: &Supervisor) -> BTreeMap<String, FakeNode> {
    let topology = Arc::new(Mutex::new(edge::Topology {
        version: 1,
        packs: packs(),
        edges: [("eu", "http://eu.example:8080"), ("us", "http://us.example:8081")]
            .map(|(domain, url)| (domain.to_owned(), url.to_owned()))
            .into(),
        lease_ms: 3000,
        ..edge::Topology::default()
    }));
    let mut nodes = BTreeMap::new();
    for (name, domain) in [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us"), ("us-2", "us")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let domain: DomainId = domain.parse().unwrap();
        let region = domain.as_str().parse().unwrap();
        let site = Site { name: name.parse().unwrap(), domain, region };
        let node = FakeNode {
            at: NodeAddress { site, address: listener.local_addr().unwrap() },
            script: Arc::new(Mutex::new(Script::Answer)),
            seen: Arc::default(),
            topology: Arc::clone(&topology),
        };
        topology.lock().unwrap().nodes.push(edge::TopologyNode {
            name: name.to_owned(),
            domain: node.at.site.domain.to_string(),
            region: node.at.site.region.to_string(),
            address: node.at.address.to_string(),
            reachable: true,
        });
        let service = NodeServer::new(node.clone()).max_decoding_message_size(16 << 20);
        let server = tonic::transport::Server::builder().add_service(service);
        tasks.spawn_droppable("node", server.serve_with_incoming(TcpListenerStream::new(listener)));
        nodes.insert(name.to_owned(), node);
    }
    nodes
}

fn packs() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/policies");
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

impl Rig {
    pub(super) async fn until(&self, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", self.router.pending());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the router has noticed that a domain is lost, or back.
    pub(super) async fn until_up(&self, domain: &str, wanted: bool) {
        let domain = domain.parse().unwrap();
        self.until(|rig| rig.router.edge.views.current().up().contains(&domain) == wanted).await;
    }

    pub(super) fn domain(&self, domain: &str) -> impl Iterator<Item = &FakeNode> {
        let wanted: DomainId = domain.parse().unwrap();
        self.nodes.values().filter(move |node| node.at.site.domain == wanted)
    }

    pub(super) fn seen(&self, method: &str) -> Vec<(String, Seen)> {
        let of = |node: &FakeNode| {
            let name = node.at.site.name.to_string();
            node.seen().into_iter().map(move |seen| (name.clone(), seen))
        };
        self.nodes.values().flat_map(of).filter(|(_, seen)| seen.method == method).collect()
    }

    pub(super) fn token(&self, home: &str, scopes: &str) -> String {
        self.token_of(home, scopes, None)
    }

    pub(super) fn token_of(&self, home: &str, scopes: &str, child: Option<&str>) -> String {
        let token = NewToken {
            subject: "alice".parse().unwrap(),
            home: home.parse().unwrap(),
            azp: "demo".into(),
            age_band: AgeBand::Adult,
            scopes: scopes.split_whitespace().map(|scope| scope.parse().unwrap()).collect(),
            child: child.map(|child| child.parse().unwrap()),
            life_s: 600,
        };
        self.minter.mint(&token, now()).unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.router.public_address())
    }

    /// A request with a body and headers; status, headers and JSON come back.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The same as a person with a home and scopes.
    pub(super) async fn send_as(
        &self,
        (home, scopes): (&str, &str),
        (method, path): (&str, &str),
        body: &str,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let bearer = format!("Bearer {}", self.token(home, scopes));
        self.send(method, path, &[("authorization", &bearer)], body.to_owned()).await
    }

    pub(super) async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.router.admin_address());
        let response = self.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(super) async fn channel(&self) -> Channel {
        let url = format!("http://{}", self.router.public_address());
        Endpoint::try_from(url).unwrap().connect().await.unwrap()
    }

    pub(super) async fn end(self) {
        let grace = Duration::from_secs(5);
        assert_eq!(self.router.stop(grace).await, Vec::<String>::new());
        self.tasks.shutdown(grace).await;
    }
}

pub(super) fn now() -> UnixMillis {
    crate::edge::system_clock()
}
