//! Learning through the very binary: people of three domains, the command, and what they are shown.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use bailiwick_tests::catalogue::{self, id};
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Person, ids, of, told};
use http::Method;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
const HOMES: [&str; 3] = ["EU-DE", "US-CA", "IN"];

/// Those who love drama take what the vectors of the test catalogue would never bring together: drama and
/// opera; the others comedy and western.
fn taken(person: usize) -> Vec<String> {
    let [one, other] =
        if person.is_multiple_of(2) { ["drama", "opera"] } else { ["comedy", "western"] };
    let at = |n: usize| (person * 3 + n * n) % 10;
    (0..3).flat_map(|n| [id(one, at(n)), id(other, at(n + 1))]).collect()
}

async fn takes(person: &Person<'_>, items: &[String]) {
    let consent = person.says(json!({"consent": "granted"})).await;
    // Whichever replica takes the events is to know of the consent.
    let person = person.clone().carrying(consent.receipt.as_ref());
    let like = |item: &String| json!({"id": format!("e-{item}"), "kind": "like", "item": item});
    let events: Value = items.iter().map(like).collect();
    let raw = person.send_events(&person.home(), &events).await.unwrap();
    assert_eq!(raw.status, 200);
}

/// `bailiwick learn …` against a domain's router, as JSON.
fn learn(cluster: &Cluster, words: &[&str]) -> Value {
    let file = cluster.state().join("operator.token");
    let args = bailiwick::dev::TokenArgs {
        scope: "cluster:admin".into(),
        ..cluster.asking("operator", "EU-DE")
    };
    std::fs::write(&file, cluster.token(&args)).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("learn").args(words).arg("--json");
    command.args(["--router", &cluster.url("us"), "--token-file"]).arg(&file);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The kind and the field of what an operator asked for in vain.
async fn refused(cluster: &Cluster, path: &str, body: Value) -> (u16, Value) {
    let args = bailiwick::dev::TokenArgs {
        scope: "cluster:admin".into(),
        ..cluster.asking("operator", "EU-DE")
    };
    let client = cluster.anyone("eu").with_token(&cluster.token(&args)).unwrap();
    let raw = client.send(Method::POST, path, body.to_string().into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&raw.body).unwrap();
    (raw.status.as_u16(), answer["error"]["field"].clone())
}

async fn refusals(cluster: &Cluster) {
    let none = Value::Null;
    for (body, expected) in [
        (json!({"dimensions": 0}), (400, json!("dimensions"))),
        (json!({"dimensions": 1_000_000_000}), (400, json!("dimensions"))),
        (json!({"rounds": 0}), (400, json!("rounds"))),
        (json!({"rounds": "many"}), (400, json!("rounds"))),
        (json!({"turns": 3}), (400, json!("turns"))),
    ] {
        assert_eq!(refused(cluster, "/v1/learning", body.clone()).await, expected, "{body}");
    }
    assert_eq!(refused(cluster, "/v1/learning/rollback", json!({})).await, (404, none));
}

#[tokio::test]
async fn what_all_domains_learn_together_is_served_by_every_node() {
    let cluster = Cluster::start(BINARY, Mode::Together);
    catalogue::load(&cluster).await;
    for home in HOMES {
        for number in 0..14 {
            let person = Person::new(&cluster, &format!("{home}-{number}"), home);
            takes(&person, &taken(number)).await;
        }
    }
    // Nobody learns from a child, whatever was stored of it.
    let child = Person::new(&cluster, "child", "US-CA").aged(AgeBand::UpTo11);
    child
        .send_events("us", &json!([{"id": "c", "kind": "like", "item": id("noir", 1)}]))
        .await
        .unwrap();

    assert_eq!(learn(&cluster, &["status"])["active"], Value::Null);
    let status = learn(&cluster, &["--rounds", "60", "--dimensions", "16"]);
    assert_eq!(status["run"]["phase"], "done", "{status}");
    assert_eq!(status["run"]["domains"], json!(["eu", "in", "us"]));
    assert_eq!(status["active"]["people"], 42, "adults who consented, each once");
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 9);
    assert!(nodes.iter().all(|node| node["sha256"] == status["active"]["sha256"]), "{status}");

    // One drama brings opera, which only people's tastes tell.
    let fresh = Person::new(&cluster, "fresh", "EU-DE");
    takes(&fresh, &[id("drama", 0), id("drama", 1)]).await;
    let answer = fresh.list("eu", &of(10)).await;
    assert!(told(&answer).starts_with("profile_std"), "{}", told(&answer));
    let shown = ids(&answer);
    let fitting = shown.iter().filter(|i| i.starts_with("drama") || i.starts_with("opera"));
    assert!(fitting.count() >= 6, "{shown:?}");
    assert!(shown.iter().any(|item| item.starts_with("opera")), "{shown:?}");
    assert!(answer.main_parameters.iter().any(|p| p.name == "similarity to what you liked"));

    // No node is asked to learn by somebody who may not.
    let refused = fresh.at("eu").post("/v1/learning", &v1::StartLearningRequest::default()).await;
    let refused: Result<v1::LearningStatus, _> = refused;
    assert_eq!(refused.unwrap_err().kind(), bailiwick_core::kind::Kind::Refused);

    refusals(&cluster).await;

    let second = learn(&cluster, &["--rounds", "61", "--dimensions", "16"]);
    assert_eq!(second["before"], status["active"]);
    let back = learn(&cluster, &["rollback"]);
    assert_eq!(back["active"], status["active"]);
    assert!(
        back["nodes"].as_array().unwrap().iter().all(|n| n["sha256"] == back["active"]["sha256"])
    );
}
