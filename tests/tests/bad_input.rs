//! What is wrong is refused, with the status, the kind and the field at fault, and nothing is lost.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bailiwick::client::{self, Client, Raw};
use bailiwick::dev::TokenArgs;
use bailiwick_proto::v1;
use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Person, of};
use bailiwick_tests::wait::eventually;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");

async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(BINARY, Mode::Together);
        catalogue::load(&cluster).await;
        cluster
    };
    SHARED.get_or_init(start).await
}

/// `status kind field` of an answer.
fn refusal(raw: &Raw) -> String {
    let body: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
    let error = &body["error"];
    let word = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
    assert!(error["message"].as_str().is_some_and(|m| m.len() < 1000), "a message, not a copy");
    format!("{} {} {}", raw.status.as_u16(), word("kind"), word("field"))
}

async fn check(client: &Client, method: Method, path: &str, body: impl Into<Bytes>, due: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body).chars().take(120).collect::<String>();
    let raw = client.send(method.clone(), path, body).await.unwrap();
    assert_eq!(refusal(&raw), due, "{method} {path} {shown}");
}

#[tokio::test]
async fn bad_requests_for_lists_name_their_field() {
    let cluster = cluster().await;
    let client = Person::new(cluster, "anna", "EU-DE").at("eu");
    let long = "x".repeat(1_000_000);
    let many = json!({ "exclude": vec!["a"; 1001] }).to_string();
    for (body, due) in [
        ("{", "400 invalid -"),
        ("[]", "400 invalid -"),
        ("nonsense", "400 invalid -"),
        ("{} {}", "400 invalid -"),
        ("\u{0}", "400 invalid -"),
        (r#"{"limt": 5}"#, "400 invalid limt"),
        (r#"{"context": {"itm": "a"}}"#, "400 invalid context.itm"),
        (r#"{"limit": "five"}"#, "400 invalid limit"),
        (r#"{"limit": 1.5}"#, "400 invalid limit"),
        (r#"{"limit": -1}"#, "400 invalid limit"),
        (r#"{"limit": 0}"#, "400 invalid limit"),
        (r#"{"limit": 1001}"#, "400 invalid limit"),
        (r#"{"limit": 1000000000}"#, "400 invalid limit"),
        (r#"{"limit": 100000000000000000000}"#, "400 invalid limit"),
        (r#"{"session": "318"}"#, "400 invalid session"),
        (r#"{"session": [""]}"#, "400 invalid session[0]"),
        (r#"{"session": ["a\u0000b"]}"#, "400 invalid session[0]"),
        (r#"{"session": ["a", 5]}"#, "400 invalid session[1]"),
        (r#"{"context": {"item": ""}}"#, "400 invalid context.item"),
        (r#"{"filter": {"category": "Drama"}}"#, "400 invalid filter.category"),
        (&format!(r#"{{"session": ["{long}"]}}"#), "400 invalid session[0]"),
        (&many, "400 invalid exclude"),
        (r#"{"revision": "users-eu-0:5"}"#, "400 invalid revision"),
        (r#"{"revision": ""}"#, "400 invalid revision"),
    ] {
        check(&client, Method::POST, "/v1/recommendations", body.to_owned(), due).await;
    }
    let answer: v1::RecommendResponse = client.post("/v1/recommendations", &of(5)).await.unwrap();
    assert!(!answer.items.is_empty(), "the router is none the worse for it");
}

#[tokio::test]
async fn bad_events_name_their_field_and_store_nothing() {
    let cluster = cluster().await;
    let person = Person::new(cluster, "emma", "EU-DE");
    person.says(json!({"consent": "granted"})).await;
    let good = json!({"id": "good", "item": "drama-1", "kind": "view"});
    let with = |bad: Value| json!({ "events": [good, bad] }).to_string();
    let event =
        |id: &str, item: &str, kind: &str| with(json!({"id": id, "item": item, "kind": kind}));
    let long = "x".repeat(900_000);
    let client = person.at("eu");
    for (body, due) in [
        (r#"{"events": []}"#.to_owned(), "400 invalid events"),
        ("{}".to_owned(), "400 invalid events"),
        (r#"{"event": []}"#.to_owned(), "400 invalid event"),
        (event("", "a", "view"), "400 invalid events[1].id"),
        (event("e", "", "view"), "400 invalid events[1].item"),
        (event("e\u{0}", "a", "view"), "400 invalid events[1].id"),
        (event("e", "a\u{0}", "view"), "400 invalid events[1].item"),
        (event(&long, "a", "view"), "400 invalid events[1].id"),
        (event("e", &long, "view"), "400 invalid events[1].item"),
        (event("e", "a", "glance"), "400 invalid events[1].kind"),
        (event("good", "a", "view"), "400 invalid events[1].id"),
        (
            with(json!({"id": "e", "item": "a", "kind": "rate", "value": "5"})),
            "400 invalid events[1].value",
        ),
        (
            with(json!({"id": "e", "item": "a", "kind": "view", "at": "now"})),
            "400 invalid events[1].at",
        ),
        (
            with(json!({"id": "e", "item": "a", "kind": "view", "who": "b"})),
            "400 invalid events[1].who",
        ),
        (
            with(json!({"id": "e", "item": "a", "kind": "view", "position": -1})),
            "400 invalid events[1].position",
        ),
    ] {
        check(&client, Method::POST, "/v1/events", body, due).await;
    }
    let huge = r#"{"events": [{"id": "e", "item": "a", "kind": "rate", "value": 1e999}]}"#;
    let raw = client.send(Method::POST, "/v1/events", huge.into()).await.unwrap();
    assert_eq!(raw.status.as_u16(), 400, "an infinite value");
    assert_eq!(person.export().await.unwrap().events, [], "not even the good ones of a bad batch");
}

#[tokio::test]
async fn bad_choices_name_their_field() {
    let cluster = cluster().await;
    let client = Person::new(cluster, "carl", "EU-DE").at("eu");
    for (path, body, due) in [
        ("/v1/me/consent", "{}", "400 invalid consent"),
        ("/v1/me/consent", r#"{"consent": "maybe"}"#, "400 invalid consent"),
        ("/v1/me/consent", r#"{"toggle": "half"}"#, "400 invalid toggle"),
        ("/v1/me/consent", r#"{"sensitive": "na"}"#, "400 invalid sensitive"),
        ("/v1/me/consent", r#"{"consent": true}"#, "400 invalid consent"),
        ("/v1/me/interests", r#"{"categories": [""]}"#, "400 invalid categories[0]"),
        ("/v1/me/interests", r#"{"category": ["a"]}"#, "400 invalid category"),
    ] {
        check(&client, Method::PUT, path, body, due).await;
    }
    check(&client, Method::GET, "/v1/nowhere", "", "404 not_found -").await;
    check(&client, Method::DELETE, "/v1/events", "", "405 invalid -").await;
}

#[tokio::test]
async fn bad_items_are_told_by_line_and_good_ones_go_in() {
    let cluster = cluster().await;
    let operator = cluster.operator("eu");
    let long = "x".repeat(1_000_000);
    let lines = [
        (r#"{"item": "good-1", "title": "a", "vector": [0,0,0,0,0,0,0,1]}"#.to_owned(), None),
        ("{".to_owned(), Some("EOF")),
        (r#"{"item": "", "title": "a"}"#.to_owned(), Some("empty")),
        (format!(r#"{{"item": "{long}"}}"#), Some("bytes")),
        (r#"{"item": "a\u0000b"}"#.to_owned(), Some("not allowed")),
        (r#"{"item": "b1", "vector": [NaN]}"#.to_owned(), Some("expected value")),
        (r#"{"item": "b2", "vector": [0,0,0,0,0,0,0,1e99]}"#.to_owned(), Some("finite")),
        (r#"{"item": "b3", "vector": [1,2,3]}"#.to_owned(), Some("dimensions")),
        (r#"{"item": "b4", "vector": ["1"]}"#.to_owned(), Some("invalid type")),
        (r#"{"item": "b5", "colour": "red"}"#.to_owned(), Some("colour")),
        (r#"{"item": "b6", "min_age": 99}"#.to_owned(), Some("min_age")),
        (r#"{"item": "b7", "barred_in": ["germany!"]}"#.to_owned(), Some("barred_in[0]")),
        (r#"{"item": "b8", "expires_at": "soon"}"#.to_owned(), Some("expires_at")),
        (r#"{"item": "good-2", "title": "a"}"#.to_owned(), None),
        // The same id again is the same item, with the later title.
        (r#"{"item": "good-2", "title": "b"}"#.to_owned(), None),
    ];
    let body = lines.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n");
    let raw = operator.send(Method::PUT, "/v1/items", body.into()).await.unwrap();
    let answer: v1::PutItemsResponse = client::read(&raw).unwrap();
    for (number, (line, due)) in (1..).zip(&lines) {
        let found = answer.errors.iter().find(|error| error.line == number);
        let shown: String = line.chars().take(80).collect();
        match (found, due) {
            (None, None) => {}
            (Some(error), Some(due)) => {
                assert!(error.error.contains(due), "line {number} {shown}: {}", error.error);
            }
            (found, _) => panic!("line {number} {shown}: {found:?}"),
        }
    }
    assert!((2..=3).contains(&answer.upserted), "{} of 3 good lines", answer.upserted);
    for (id, title) in [("good-1", "a"), ("good-2", "b")] {
        // Reading an item takes no revision: the replica that is asked may be behind for a moment.
        eventually("a good item is there", Duration::from_secs(30), || async {
            let item = operator.get::<v1::Item>(&format!("/v1/items/{id}")).await;
            let item = item.map_err(|error| error.to_string())?;
            if item.title == title { Ok(()) } else { Err(item.title) }
        })
        .await;
    }
    check(&operator, Method::GET, "/v1/items/b3", "", "404 not_found -").await;
}

#[tokio::test]
async fn bodies_have_a_size() {
    let cluster = cluster().await;
    let client = Person::new(cluster, "dora", "EU-DE").at("eu");
    let fits = format!("{{}}{}", " ".repeat((1 << 20) - 2));
    let raw = client.send(Method::POST, "/v1/recommendations", fits.clone().into()).await.unwrap();
    assert_eq!(raw.status.as_u16(), 200, "1 MiB is taken");
    let over = format!("{fits} ");
    for path in ["/v1/recommendations", "/v1/events"] {
        let raw = client.send(Method::POST, path, over.clone().into()).await.unwrap();
        assert_eq!(refusal(&raw), "413 invalid -", "{path}");
    }
}

fn changed(token: &str, part: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[part] = change(&parts[part]);
    parts.join(".")
}

#[tokio::test]
async fn tokens_are_believed_only_when_all_of_them_holds() {
    let cluster = cluster().await;
    let good = cluster.asking("tina", "EU-DE");
    let token = cluster.token(&good);
    let (body, path) = ("{}", "/v1/recommendations");
    // {"alg":"none","typ":"JWT"}
    let none = changed(&token, 0, |_| "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0".into());
    let flipped = |text: &str| {
        let first = if text.starts_with('A') { 'B' } else { 'A' };
        format!("{first}{}", &text[1..])
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = bailiwick::dev::Layout::new(elsewhere.path());
    let forged = bailiwick::dev::Tokens::open(&foreign).unwrap().mint(&good).unwrap();
    for (bad, what) in [
        (none.clone(), "alg none with a signature"),
        (changed(&none, 2, |_| String::new()), "alg none"),
        (changed(&token, 2, |_| String::new()), "no signature"),
        (changed(&token, 2, flipped), "another signature"),
        (changed(&token, 1, flipped), "other claims"),
        (forged, "another key"),
        ("x".repeat(7000), "no token at all"),
        ("a.b.c".to_owned(), "three letters"),
    ] {
        let client = cluster.anyone("eu").with_token(&bad).unwrap();
        let raw = client.send(Method::POST, path, body.into()).await.unwrap();
        assert_eq!(refusal(&raw), "401 unauthenticated -", "{what}");
    }
    let brief = cluster.token(&TokenArgs { life: 1, ..good });
    let client = cluster.anyone("eu").with_token(&brief).unwrap();
    eventually("a token expires", Duration::from_secs(30), || async {
        let raw = client.send(Method::POST, path, body.into()).await.unwrap();
        match raw.status.as_u16() {
            401 => Ok(()),
            other => Err(format!("{other}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_scope_that_is_missing_is_refused() {
    let cluster = cluster().await;
    let with = |scope: &str| {
        let args = TokenArgs { scope: scope.into(), ..cluster.asking("sam", "EU-DE") };
        cluster.anyone("eu").with_token(&cluster.token(&args)).unwrap()
    };
    let (post, put, get) = (Method::POST, Method::PUT, Method::GET);
    let due = "403 refused -";
    check(&with("events person"), post.clone(), "/v1/recommendations", "{}", due).await;
    check(&with("recommend person"), post, "/v1/events", "{}", due).await;
    check(&with("recommend events"), put.clone(), "/v1/me/consent", "{}", due).await;
    check(&with("recommend events"), get.clone(), "/v1/me/export", "", due).await;
    check(&with("recommend events person"), put, "/v1/items", "{}", due).await;
    check(&with("recommend events person"), get.clone(), "/v1/cluster", "", due).await;
    check(&with("recommend events person"), get.clone(), "/v1/policies", "", due).await;
    let nobody = cluster.anyone("eu");
    check(&nobody, get, "/v1/me/export", "", "401 unauthenticated -").await;
}

#[tokio::test]
async fn nothing_is_kept_of_who_has_no_known_home() {
    let cluster = cluster().await;
    let lost = Person::new(cluster, "lost", "ZZ");
    let body = r#"{"consent": "granted"}"#;
    check(&lost.at("eu"), Method::PUT, "/v1/me/consent", body, "403 refused -").await;
}
