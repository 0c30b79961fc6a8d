//! Stories of loss, on a cluster whose nodes and routers are real processes.
//!
//! One cluster serves all of them, one after the other; each begins by making good what was done before.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_proto::v1;
use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Person, of, told};
use bailiwick_tests::wait::{eventually, percentile};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
/// For what is only waited for.
const LONG: Duration = Duration::from_secs(120);

async fn whole_cluster() -> (MutexGuard<'static, ()>, &'static Cluster) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let turn = ONE_AT_A_TIME.lock().await;
    let start = || async {
        let cluster = Cluster::start(BINARY, Mode::Processes);
        catalogue::load(&cluster).await;
        cluster
    };
    let cluster = SHARED.get_or_init(start).await;
    cluster.heal().await;
    (turn, cluster)
}

/// Somebody from Germany who has consented.
async fn german<'a>(cluster: &'a Cluster, name: &str) -> (Person<'a>, v1::Consent) {
    let person = Person::new(cluster, name, "EU-DE");
    let (consent, _) = eventually("consent is taken", LONG, || async {
        let put = person
            .at("eu")
            .put::<_, v1::Consent>("/v1/me/consent", &json!({"consent": "granted"}))
            .await;
        put.map_err(|error| error.to_string())
    })
    .await;
    (person.carrying(consent.receipt.as_ref()), consent)
}

/// The users group that a revision names.
fn group_of(revision: Option<&str>) -> String {
    revision.and_then(|text| text.split(':').next()).unwrap_or_default().to_owned()
}

fn event(id: &str) -> serde_json::Value {
    json!([{ "id": id, "item": "drama-1", "kind": "view" }])
}

/// Sends an event until it is acknowledged; the status of the acknowledgement, and when it came.
async fn acknowledged(person: &Person<'_>, id: &str) -> (u16, Duration) {
    let events = event(id);
    eventually("an event is acknowledged", LONG, || async {
        let raw = person.send_events("eu", &events).await?;
        match raw.status.as_u16() {
            status @ (200 | 202) => Ok(status),
            other => Err(format!("{other}: {}", String::from_utf8_lossy(&raw.body))),
        }
    })
    .await
}

/// How often each event stands in the person's export.
async fn kept(person: &Person<'_>) -> Result<BTreeMap<String, usize>, String> {
    let mut kept = BTreeMap::new();
    for event in person.export().await?.events {
        *kept.entry(event.id).or_default() += 1;
    }
    Ok(kept)
}

/// Waits until exactly the events of `ids` are kept, each once.
async fn all_kept_once(person: &Person<'_>, ids: &[String]) -> Duration {
    let (_, took) = eventually("acknowledged events are kept", LONG, || async {
        let kept = kept(person).await?;
        let twice: Vec<_> = kept.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "kept more than once: {twice:?}");
        let missing: Vec<_> = ids.iter().filter(|id| !kept.contains_key(*id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await;
    took
}

/// Kills the leader of `group` and waits for another; says how long there was none.
async fn lose_leader(cluster: &Cluster, group: &str) -> (String, Duration) {
    let (old, _) = eventually("a leader", LONG, || cluster.leads(group)).await;
    cluster.kill(&old).await;
    let began = Instant::now();
    let (new, _) = eventually("another leader", LONG, || async {
        match cluster.leads(group).await? {
            leader if leader == old => Err(format!("{leader} is still said to lead")),
            leader => Ok(leader),
        }
    })
    .await;
    let took = began.elapsed();
    println!("{group}: {old} killed, {new} leads after {:.2} s", took.as_secs_f64());
    (old, took)
}

async fn bring_back(cluster: &Cluster, node: &str) {
    cluster.revive(node);
    let took = cluster.ready(node).await;
    println!("{node} is ready {:.2} s after its start", took.as_secs_f64());
}

/// Erased stays erased: the leader that took it is killed, and what was sent before is sent again to whoever leads then.
#[tokio::test]
#[ignore = "kills processes: run in release, alone"]
async fn a_killed_leader_brings_nobody_back() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, consent) = german(cluster, "erased-1").await;
    let group = group_of(consent.revision.as_deref());
    acknowledged(&person, "before").await;
    let ask = async |method: http::Method, path: &str| {
        person.at("eu").send(method, path, bytes::Bytes::new()).await.map_err(|e| e.to_string())
    };
    let (receipt, _) = eventually("the erasure is accepted", LONG, || async {
        let raw = ask(http::Method::DELETE, "/v1/me").await?;
        match raw.status.as_u16() {
            202 => Ok(serde_json::from_slice::<v1::ErasureReceipt>(&raw.body).unwrap()),
            other => Err(format!("{other}: {:?}", raw.body)),
        }
    })
    .await;
    let (old, _) = lose_leader(cluster, &group).await;
    let (person, _) = german(cluster, "erased-1").await;
    acknowledged(&person, "before").await;
    bring_back(cluster, &old).await;
    let path = format!("/v1/erasures/{}", receipt.id);
    let everywhere = || async {
        let raw = ask(http::Method::GET, &path).await?;
        let found: v1::Erasure =
            bailiwick::client::read(&raw).map_err(|error| error.to_string())?;
        let over = |member: &v1::MemberErasure| {
            let gone = |store: &&v1::StoreErasure| ["rows", "keys"].contains(&&*store.store);
            member.reachable && member.stores.iter().filter(gone).all(|store| store.done)
        };
        if found.members.iter().all(over) { Ok(found) } else { Err(format!("{found:?}")) }
    };
    let (told, _) = eventually("every member has erased", LONG, everywhere).await;
    assert_eq!(told.members.len(), cluster.nodes_of("eu").len());
    assert_eq!(kept(&person).await.unwrap(), BTreeMap::new(), "it came back");
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn a_killed_leader_costs_no_acknowledged_event() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, consent) = german(cluster, "kill-1").await;
    let group = group_of(consent.revision.as_deref());
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(format!("before-{at}"));
        acknowledged(&person, &format!("before-{at}")).await;
    }
    let writing = async {
        let (mut ids, mut longest) = (Vec::new(), Duration::ZERO);
        for at in 0..60 {
            let id = format!("during-{at}");
            longest = longest.max(acknowledged(&person, &id).await.1);
            ids.push(id);
        }
        (ids, longest)
    };
    let ((during, longest), (old, took)) = tokio::join!(writing, lose_leader(cluster, &group));
    println!("the longest wait for an acknowledgement was {:.2} s", longest.as_secs_f64());
    ids.extend(during);
    all_kept_once(&person, &ids).await;
    assert!(took < Duration::from_secs(3), "{group} had no leader for {took:?}");
    bring_back(cluster, &old).await;
    all_kept_once(&person, &ids).await;
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn control_and_catalogue_find_another_leader() {
    let (_turn, cluster) = whole_cluster().await;
    for group in ["control", "catalog-0"] {
        let (old, took) = lose_leader(cluster, group).await;
        // An item that is put now is acknowledged by the new leader, and survives it too.
        let item = v1::Item { item: format!("by-{group}"), ..v1::Item::default() };
        eventually("an item is taken", LONG, || async {
            let put = cluster.operator("in").put_items(std::slice::from_ref(&item)).await;
            put.map_err(|error| error.to_string())
        })
        .await;
        assert!(took < Duration::from_secs(7), "{group} had no leader for {took:?}");
        bring_back(cluster, &old).await;
        let path = format!("/v1/items/{}", item.item);
        let (found, _) = eventually("the item is there", LONG, || async {
            let found = cluster.operator("eu").get::<v1::Item>(&path).await;
            found.map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(found.item, item.item);
    }
}

fn delete(state: &Path) {
    fs::remove_dir_all(state).unwrap();
}

fn empty(state: &Path) {
    delete(state);
    fs::create_dir(state).unwrap();
}

/// Overwrites the middle of every file.
fn damage(state: &Path) {
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut bytes = fs::read(&path).unwrap();
            let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
            bytes[from..to].fill(0xA5);
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn a_node_comes_back_without_its_applied_state() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, _) = german(cluster, "sled-1").await;
    let mut ids = Vec::new();
    for (at, (how, hurt)) in
        [("deleted", delete as fn(&Path)), ("emptied", empty), ("damaged", damage)]
            .into_iter()
            .enumerate()
    {
        let nodes = cluster.nodes_of("eu");
        let (node, other) = (&nodes[at % nodes.len()], &nodes[(at + 1) % nodes.len()]);
        ids.push(format!("before-{how}"));
        acknowledged(&person, &format!("before-{how}")).await;
        cluster.kill(node).await;
        hurt(&cluster.layout().node(node).join("data").join("state"));
        println!("{how}:");
        bring_back(cluster, node).await;
        // With another node gone a quorum needs the one that was hurt.
        cluster.kill(other).await;
        ids.push(format!("after-{how}"));
        acknowledged(&person, &format!("after-{how}")).await;
        all_kept_once(&person, &ids).await;
        bring_back(cluster, other).await;
    }
    all_kept_once(&person, &ids).await;
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn a_node_whose_disk_is_full_or_read_only_says_so_and_costs_nothing() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, consent) = german(cluster, "disk-1").await;
    let group = group_of(consent.revision.as_deref());
    let (leader, _) = eventually("a leader", LONG, || cluster.leads(&group)).await;
    let Some(disk) = cluster.to_small_disk(&leader).await else {
        println!("SKIP a_node_whose_disk_is_full_or_read_only: mounting needs root");
        return;
    };
    let mut ids = Vec::new();
    for how in ["full", "read-only"] {
        if how == "full" {
            disk.fill();
        } else {
            cluster.kill(&leader).await;
            disk.set_read_only(true).await;
            cluster.revive(&leader);
        }
        for at in 0..20 {
            let id = format!("{how}-{at}");
            acknowledged(&person, &id).await;
            ids.push(id);
        }
        all_kept_once(&person, &ids).await;
        // It ends by itself and says why.
        eventually("the node has ended", Duration::from_secs(30), || async {
            let words = || format!("{leader} runs: {}", cluster.last_words(&leader));
            if cluster.runs(&leader) { Err(words()) } else { Ok(()) }
        })
        .await;
        let words = cluster.last_words(&leader);
        let words = words.lines().rfind(|line| line.starts_with("bailiwick: ")).unwrap_or_default();
        println!("{how}: {words}");
        let due = if how == "full" { "No space left" } else { "Read-only file system" };
        assert!(words.contains(due), "{words}");
        if how == "full" {
            disk.clear();
        } else {
            disk.set_read_only(false).await;
        }
        bring_back(cluster, &leader).await;
        all_kept_once(&person, &ids).await;
    }
    cluster.from_small_disk(&leader, disk).await;
    all_kept_once(&person, &ids).await;
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn a_node_whose_clock_is_off_is_not_ready_and_says_by_how_much() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, _) = german(cluster, "clock-1").await;
    let node = cluster.nodes_of("eu").remove(0);
    for seconds in [600, -600] {
        cluster.kill(&node).await;
        cluster.revive_ahead(&node, seconds);
        let wanted = if seconds > 0 { "clock is 6" } else { "clock is -6" };
        let (words, _) = eventually("it says that its clock is off", LONG, || async {
            let words = cluster.readiness(&node).await.err().unwrap_or_default();
            if words.contains(wanted) { Ok(words) } else { Err(words) }
        })
        .await;
        println!("{seconds} s ahead: {words}");
        let id = format!("ahead-{seconds}");
        acknowledged(&person, &id).await;
        all_kept_once(&person, &[id]).await;
        assert!(cluster.readiness(&node).await.is_err(), "it stays out");
    }
    cluster.kill(&node).await;
    bring_back(cluster, &node).await;
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn without_a_quorum_events_wait_sealed_and_arrive_once() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, _) = german(cluster, "quorum-1").await;
    let mut ids = vec!["before".to_owned()];
    acknowledged(&person, "before").await;
    let nodes = cluster.nodes_of("eu");
    for node in &nodes[1..] {
        cluster.kill(node).await;
    }
    for at in 0..10 {
        let id = format!("buffered-{at}");
        let events = event(&id);
        let (raw, took) = eventually("an event is buffered", LONG, || async {
            let raw = person.send_events("eu", &events).await?;
            let body = String::from_utf8_lossy(&raw.body).into_owned();
            if raw.status.as_u16() == 202 {
                Ok(raw)
            } else {
                Err(format!("{}: {body}", raw.status))
            }
        })
        .await;
        let answer: v1::RecordEventsResponse = bailiwick::client::read(&raw).unwrap();
        assert_eq!(answer.stored, "buffer@eu");
        if at == 0 {
            println!("the first event was buffered after {:.2} s", took.as_secs_f64());
        }
        ids.push(id);
    }
    sealed_in_buffer(cluster, &nodes[0], "drama-1");
    for node in &nodes[1..] {
        cluster.revive(node);
    }
    let took = all_kept_once(&person, &ids).await;
    println!("buffered events arrived {:.2} s after the nodes' start", took.as_secs_f64());
    for node in &nodes {
        cluster.ready(node).await;
    }
    all_kept_once(&person, &ids).await;
    assert_eq!(kept(&person).await.unwrap().len(), ids.len(), "nothing else arrived");
}

/// No file of a node's buffer has the text in the clear; there is one file at least.
fn sealed_in_buffer(cluster: &Cluster, node: &str, text: &str) {
    let mut folders = vec![cluster.layout().node(node).join("data").join("buffer")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{} has {text} in the clear", path.display());
        }
    }
    assert!(files > 0, "the buffer is on disk");
}

/// What the routers of the other domains say of a German whose home is gone.
async fn abroad(
    person: &Person<'_>,
    at: &str,
    receipt: Option<&String>,
    deadline: Duration,
) -> (v1::RecommendResponse, Duration) {
    let request = v1::RecommendRequest { receipt: receipt.cloned(), ..of(10) };
    let client = person.at(at).with(
        HeaderName::from_static("x-request-timeout-ms"),
        HeaderValue::from(u32::try_from(deadline.as_millis()).unwrap()),
    );
    let began = Instant::now();
    let answer = client.post("/v1/recommendations", &request).await.unwrap();
    (answer, began.elapsed())
}

#[tokio::test]
#[ignore = "kills processes and holds them against times: run in release, alone"]
async fn with_home_gone_its_people_are_answered_lawfully_and_nothing_is_stored() {
    let (_turn, cluster) = whole_cluster().await;
    let (person, consent) = german(cluster, "gone-1").await;
    acknowledged(&person, "before").await;
    let deadline = Duration::from_millis(500);
    for at in ["us", "in"] {
        let (answer, _) = abroad(&person, at, consent.receipt.as_ref(), deadline).await;
        let expected = "profile_std,home,linked@eu,no,BASIS_CONSENT;JUR_STRICTEST;SCORED_AT_HOME";
        assert_eq!(told(&answer), expected, "at {at}, with home in order");
    }
    let nodes = cluster.nodes_of("eu");
    tokio::join!(cluster.kill(&nodes[0]), cluster.kill(&nodes[1]), cluster.kill(&nodes[2]));
    for at in ["us", "in"] {
        let (first, took) = abroad(&person, at, consent.receipt.as_ref(), deadline).await;
        println!("{at}: first answer after {:.1} ms: {}", took.as_secs_f64() * 1e3, told(&first));
        lawful(&first, "session_only");
        assert!(took < deadline / 2, "{at} took {took:?}");
    }
    // The loss has been detected when answers come at once; until then each takes its time.
    let detected = || async {
        let (_, took) = abroad(&person, "us", None, deadline).await;
        if took < Duration::from_millis(50) { Ok(()) } else { Err(format!("{took:?}")) }
    };
    let (_, took) = eventually("the loss is detected", LONG, detected).await;
    println!("detected after a further {:.2} s", took.as_secs_f64());
    for at in ["us", "in"] {
        let mut times = Vec::new();
        for _ in 0..200 {
            let (answer, took) = abroad(&person, at, consent.receipt.as_ref(), deadline).await;
            lawful(&answer, "session_only");
            times.push(took);
        }
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        println!("{at}: after detection p50 {p50:?}, p99 {p99:?}");
        assert!(p99 <= Duration::from_millis(50), "{at}: p99 {p99:?}");
        let (without, _) = abroad(&person, at, None, deadline).await;
        println!("{at}: without a receipt {}", told(&without));
        lawful(&without, "contextual");
    }
    let lost = person.send_events("eu", &event("lost")).await.unwrap();
    assert_eq!(lost.status.as_u16(), 503, "{}", String::from_utf8_lossy(&lost.body));
    cluster.heal().await;
    all_kept_once(&person, &["before".to_owned()]).await;
    assert_eq!(kept(&person).await.unwrap().len(), 1, "what got 503 was stored nowhere");
}

fn lawful(answer: &v1::RecommendResponse, variant: &str) {
    let decision = answer.decision.as_ref().unwrap();
    assert_eq!((decision.variant.as_str(), decision.profile_read.as_str()), (variant, "no"));
    let says = |code: &str| decision.reason_codes.iter().any(|found| found == code);
    assert!(says("HOME_UNREACHABLE"), "{}", told(answer));
    assert_ne!(answer.served_by.as_ref().unwrap().domain, "eu");
    assert!(!answer.items.is_empty(), "{}", told(answer));
}
