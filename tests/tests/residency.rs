//! No member of a users group stands outside its domain, and no byte of one leaves it, whatever papers,
//! configuration or messages are tried. On real processes, over real QUIC.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, GroupId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_net::pki::{self, CA_FILE, CA_KEY_FILE, Life, TRUST_DIR};
use bailiwick_net::{CallError, Identity, Lane, LaneKind};
use bailiwick_proto::export::WideFrame;
use bailiwick_proto::peer::Propose;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{ControlCommand, RegisterNode};
use bailiwick_proto::v1;
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::Person;
use bailiwick_tests::stranger::Stranger;
use bailiwick_tests::wait::eventually;
use prost::Message as _;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
const LONG: Duration = Duration::from_secs(120);

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// An identity of the kind that `bailiwick dev` gives out.
fn identity(domain: &str, node: &str) -> Identity {
    let region = node.rsplit_once('-').unwrap().0;
    format!("spiffe://dev/domain/{domain}/region/{region}/node/{node}").parse().unwrap()
}

fn config(cluster: &Cluster, node: &str) -> toml::Table {
    let path = cluster.layout().node(node).join("node.toml");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn peers(cluster: &Cluster, node: &str) -> SocketAddr {
    config(cluster, node)["listen"]["peers"].as_str().unwrap().parse().unwrap()
}

/// Who belongs to the users groups of the EU, and with which vote.
async fn members(cluster: &Cluster) -> BTreeMap<String, Vec<(String, String)>> {
    let look = || async {
        let status = cluster.status("eu").await?;
        assert_eq!(status.placement_violations, [""; 0]);
        let groups = status.groups.into_iter().filter(|g| g.group.starts_with("users-eu-"));
        let members = groups.map(|group| {
            let of = group.members.into_iter().map(|m| (m.node, m.role));
            let mut of: Vec<_> = of.collect();
            of.sort();
            (group.group, of)
        });
        let members: BTreeMap<_, _> = members.collect();
        let whole = members.len() == 2
            && members
                .values()
                .all(|of| of.iter().filter(|(_, role)| role == "voter").count() == 3);
        if whole { Ok(members) } else { Err(format!("{members:?}")) }
    };
    eventually("the groups are whole", LONG, look).await.0
}

/// The sum of a counter of a node.
async fn counter(cluster: &Cluster, node: &str, metric: &str) -> u64 {
    let client = bailiwick::client::Client::new(&cluster.node_admin(node)).unwrap();
    let raw = client.send(http::Method::GET, "/metrics", bytes::Bytes::new()).await.unwrap();
    let text = String::from_utf8(raw.body.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(metric));
    let value = |line: &str| line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
    let sum: f64 = lines.filter_map(value).sum();
    sum as u64
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Whether a node's log holds anything of the EU's users groups: records name their group.
fn holds_eu_records(cluster: &Cluster, node: &str) -> bool {
    let log = cluster.layout().node(node).join("data").join("log");
    let mark = b"users-eu-";
    files(&log)
        .iter()
        .any(|file| fs::read(file).unwrap().windows(mark.len()).any(|found| found == mark))
}

/// Papers for `eu-west-9` that `ca`, a folder with a CA of some kind, has signed.
fn papers(cluster: &Cluster, ca: &Path) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let eu = dir.path().join("eu");
    fs::create_dir(&eu).unwrap();
    fs::create_dir(dir.path().join(TRUST_DIR)).unwrap();
    for file in [CA_FILE, CA_KEY_FILE] {
        fs::copy(ca.join(file), eu.join(file)).unwrap();
    }
    for file in files(&cluster.layout().trust()) {
        fs::copy(&file, dir.path().join(TRUST_DIR).join(file.file_name().unwrap())).unwrap();
    }
    let out = dir.path().join("identity");
    pki::issue(dir.path(), &identity("eu", "eu-west-9"), &[], &out, Life::default()).unwrap();
    (dir, out)
}

/// A peer with papers that no CA of the EU has signed is not let in, and is not believed when it
/// listens in a member's place.
async fn forged_papers(cluster: &Cluster) {
    let elsewhere = tempfile::tempdir().unwrap();
    let domain = DomainId::new("eu").unwrap();
    let dev = identity("eu", "eu-west-9").cluster;
    pki::init(elsewhere.path(), &dev, &domain, Life::default()).unwrap();
    let others = [
        ("a CA that calls itself the EU's", elsewhere.path().join("eu")),
        ("the CA of the US", cluster.layout().pki().join("us")),
    ];
    for (what, ca) in others {
        let before = counter(cluster, "eu-west-1", "net_handshake_failures").await;
        let (_dir, papers) = papers(cluster, &ca);
        let stranger = Stranger::new(&papers, &cluster.layout().trust());
        let why = stranger.turned_away(&name("eu-west-1"), peers(cluster, "eu-west-1")).await;
        assert!(why.is_some(), "{what} opens the door");
        // The stranger may hear of it before the node has counted it.
        eventually(&format!("{what} is counted"), LONG, || async {
            let after = counter(cluster, "eu-west-1", "net_handshake_failures").await;
            if after > before { Ok(()) } else { Err(format!("{after}, {before} before")) }
        })
        .await;
    }
}

/// An honest US node's own papers do not open the lanes of the EU's groups, nor make it a member.
async fn foreign_messages(cluster: &Cluster) {
    let own = cluster.layout().node("us-east-1").join("identity");
    let stranger = Stranger::new(&own, &cluster.layout().trust());
    let before = counter(cluster, "eu-west-1", "net_placements_refused").await;
    for number in 0..2 {
        let group = GroupId::Users { domain: DomainId::new("eu").unwrap(), number };
        for answer in stranger.send_for(&group, peers(cluster, "eu-west-1")).await {
            assert!(answer.contains("pinned to eu"), "{answer}");
        }
        // Its own side refuses as well, before anything is sent.
        assert!(WideFrame::new(&group, "x".into()).is_err());
    }
    let after = counter(cluster, "eu-west-1", "net_placements_refused").await;
    assert_eq!(after, before + 6, "every attempt is counted");
    for claim in [("us-east-9", "eu"), ("us-east-1", "eu"), ("eu-west-9", "eu")] {
        let refused = register(cluster, &stranger, claim).await;
        assert_eq!(refused.kind(), Kind::Refused, "{claim:?}: {refused}");
    }
}

/// Proposes to control that `node` of `domain` joins.
async fn register(
    cluster: &Cluster,
    stranger: &Stranger,
    (node, domain): (&str, &str),
) -> CallError {
    let to = name("eu-west-1");
    stranger.mesh.book().set_node(&to, peers(cluster, "eu-west-1"));
    let command = ControlCommand {
        format: 1,
        at_ms: 0,
        change: Some(Change::RegisterNode(RegisterNode {
            name: node.into(),
            domain: domain.into(),
            region: "eu-west".into(),
            raft_id: 4711,
            peer_address: stranger.address().to_string(),
            edge_address: stranger.address().to_string(),
        })),
    };
    let propose = Propose { format: 1, command: command.encode_to_vec() };
    let frame = WideFrame::new(&GroupId::Control, propose.encode_to_vec().into()).unwrap();
    let link = stranger.mesh.link(&to).await.unwrap();
    let lane = Lane::of(LaneKind::Propose, GroupId::Control);
    link.call(lane, &frame, LONG).await.expect_err("a node registers another")
}

/// A node whose configuration says another thing than its papers does not start.
fn lying_processes(cluster: &Cluster) {
    let dir = tempfile::tempdir().unwrap();
    let layout = cluster.layout();
    let lie = |what: &str, change: &dyn Fn(&mut toml::Table), due: &str| {
        let mut table = config(cluster, "us-east-1");
        for port in ["peers", "edge", "admin"] {
            table["listen"][port] = "127.0.0.1:0".into();
        }
        table["data_dir"] = dir.path().join(what).display().to_string().into();
        change(&mut table);
        let path = dir.path().join(format!("{what}.toml"));
        fs::write(&path, table.to_string()).unwrap();
        let mut node = Command::new(BINARY);
        node.args(["node", "--config"]).arg(&path).stdin(Stdio::null());
        let output = node.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(due), "{what}: {said}");
    };
    let text = |path: PathBuf| toml::Value::from(path.display().to_string());
    lie("keys", &|t| t["keys_dir"] = text(layout.domain_keys("eu")), "not those of domain us");
    let member_data = text(layout.node("eu-west-1").join("data"));
    lie("data", &|t| t["data_dir"] = member_data.clone(), "eu-west-1");
    let domain = |t: &mut toml::Table| drop(t.insert("domain".into(), "eu".into()));
    lie("domain", &domain, "domain");
    let router = text(layout.router("us").join("identity"));
    lie("role", &|t| t["credentials_dir"] = router.clone(), "a router's");
}

/// A member that is told a stranger's address for its neighbours gives the stranger nothing, and finds
/// its neighbours all the same.
async fn lying_seeds(cluster: &Cluster) {
    let own = cluster.layout().node("us-east-1").join("identity");
    let stranger = Stranger::new(&own, &cluster.layout().trust());
    let mut table = config(cluster, "eu-north-2");
    for seed in table["seeds"].as_array_mut().unwrap() {
        if seed["name"].as_str().is_some_and(|name| name.starts_with("eu-")) {
            seed["peers"] = stranger.address().to_string().into();
        }
    }
    cluster.kill("eu-north-2").await;
    let path = cluster.layout().node("eu-north-2").join("node.toml");
    fs::write(path, table.to_string()).unwrap();
    cluster.revive("eu-north-2");
    cluster.ready("eu-north-2").await;
    let failures = counter(cluster, "eu-north-2", "net_dial_failures").await;
    assert!(failures > 0, "the stranger's address was never tried");
    assert_eq!(stranger.heard(), 0, "the stranger was spoken to");
}

#[tokio::test]
async fn nothing_of_a_users_group_leaves_its_domain() {
    let cluster = Cluster::start(BINARY, Mode::Processes);
    let person = Person::new(&cluster, "rita", "EU-DE");
    let (client, consent) = (person.at("eu"), json!({"consent": "granted"}));
    eventually("consent is taken", LONG, || async {
        let put = client.put::<_, v1::Consent>("/v1/me/consent", &consent).await;
        put.map_err(|error| error.to_string())
    })
    .await;
    let before = members(&cluster).await;
    forged_papers(&cluster).await;
    foreign_messages(&cluster).await;
    lying_processes(&cluster);
    lying_seeds(&cluster).await;
    assert_eq!(members(&cluster).await, before, "the groups have the members that they had");
    for node in cluster.nodes() {
        assert_eq!(holds_eu_records(&cluster, &node), node.starts_with("eu-"), "{node}");
    }
}
