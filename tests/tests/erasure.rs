//! Erasure over the public interface, on one cluster of three domains, all in one process.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bailiwick::client::{self, Raw};
use bailiwick::dev::TokenArgs;
use bailiwick_proto::v1;
use bailiwick_tests::catalogue::{self, id};
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Person, of, told};
use bailiwick_tests::wait::eventually;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
/// For what is only waited for.
const LONG: Duration = Duration::from_secs(60);

async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(BINARY, Mode::Together);
        catalogue::load(&cluster).await;
        cluster
    };
    SHARED.get_or_init(start).await
}

async fn ask(person: &Person<'_>, at: &str, method: Method, path: &str) -> Raw {
    person.at(at).send(method, path, Bytes::new()).await.unwrap()
}

/// Erases a person at home; the receipt.
async fn erase(person: &Person<'_>) -> v1::ErasureReceipt {
    let raw = ask(person, &person.home(), Method::DELETE, "/v1/me").await;
    assert_eq!(raw.status.as_u16(), 202, "{:?}", raw.body);
    let receipt: v1::ErasureReceipt = serde_json::from_slice(&raw.body).unwrap();
    assert_eq!(raw.headers["location"], format!("/v1/erasures/{}", receipt.id).as_str());
    receipt
}

async fn status(person: &Person<'_>, id: &str) -> v1::Erasure {
    person.at(&person.home()).get(&format!("/v1/erasures/{id}")).await.unwrap()
}

/// Waits until every member says that a store is done.
async fn done_everywhere(person: &Person<'_>, id: &str, stores: &[&str]) -> v1::Erasure {
    let look = || async {
        let found = status(person, id).await;
        let undone = |member: &v1::MemberErasure| {
            let store = |name: &&str| member.stores.iter().find(|store| store.store == *name);
            stores.iter().any(|name| !store(name).unwrap().done)
        };
        match found.members.iter().find(|member| undone(member)) {
            None => Ok(found),
            Some(member) => Err(format!("{member:?}")),
        }
    };
    eventually("the erasure is done", LONG, look).await.0
}

/// Sends events at home; what became of them.
async fn send(person: &Person<'_>, events: Value) -> v1::RecordEventsResponse {
    let raw = person.send_events(&person.home(), &events).await.unwrap();
    client::read(&raw).unwrap()
}

/// Sends events in Germany until they are stored there.
async fn stored_abroad(person: &Person<'_>, events: &Value) -> v1::RecordEventsResponse {
    let look = || async {
        let raw = person.send_events("eu", events).await?;
        let answer: v1::RecordEventsResponse =
            client::read(&raw).map_err(|error| error.to_string())?;
        if answer.stored == "linked@eu" { Ok(answer) } else { Err(format!("{answer:?}")) }
    };
    eventually("events are stored in Germany", LONG, look).await.0
}

#[tokio::test]
async fn an_erased_person_is_gone_and_comes_back_as_somebody_new() {
    let cluster = cluster().await;
    let max = Person::new(cluster, "max", "EU-DE");
    max.says(json!({"consent": "granted"})).await;
    let interests = json!({"categories": ["noir"]});
    let _: v1::Interests = max.at("eu").put("/v1/me/interests", &interests).await.unwrap();
    let happened = "2026-01-02T03:04:05Z";
    let liked = json!([
        {"id": "like-1", "kind": "like", "item": id("noir", 0)},
        {"id": "like-2", "kind": "like", "item": id("noir", 1), "at": happened},
        {"id": "block-1", "kind": "block", "item": id("comedy", 1)},
    ]);
    assert_eq!(send(&max, liked.clone()).await.accepted, 3);
    assert_eq!(max.export().await.unwrap().events.len(), 3);

    let receipt = erase(&max).await;
    let told_of = done_everywhere(&max, &receipt.id, &["rows", "keys", "counters", "buffer"]).await;
    assert_eq!(told_of.members.len(), cluster.nodes_of("eu").len());
    assert!(told_of.members.iter().all(|member| member.reachable));
    let open: Vec<_> = told_of.members[0].stores.iter().filter(|store| !store.done).collect();
    assert!(open.iter().all(|store| store.pending.is_some() != store.kept.is_some()), "{open:?}");
    assert!(open.iter().any(|store| store.store == "log_and_snapshots"), "{open:?}");
    assert!(!told_of.done, "the log is sealed under an epoch that is still there");

    let empty = max.export().await.unwrap();
    assert_eq!((empty.events, empty.blocked, empty.facts), (vec![], vec![], None));
    assert_eq!(empty.interests.unwrap().categories, Vec::<String>::new());
    assert_eq!(empty.consent.unwrap().consent, "none");
    let list = max.list("eu", &of(10)).await;
    assert_eq!(told(&list), "contextual,no,aggregate,no,CONSENT_MISSING");

    // What was sent before is sent again, without consent and with it: nothing of it comes back.
    let again = send(&max, liked.clone()).await;
    assert_eq!((again.accepted, again.duplicates, again.past), (0, 0, 3));
    max.says(json!({"consent": "granted"})).await;
    let again = send(&max, liked).await;
    assert_eq!((again.accepted, again.duplicates, again.past), (0, 0, 3));
    let late = json!([{"id": "new-1", "kind": "like", "item": id("noir", 2), "at": happened}]);
    assert_eq!(send(&max, late).await.past, 1, "it happened before");
    assert_eq!(max.export().await.unwrap().events, vec![]);
    let new = json!([{"id": "new-2", "kind": "like", "item": id("opera", 2)}]);
    let new = send(&max, new).await;
    assert_eq!((new.accepted, new.past, new.stored.as_str()), (1, 0, "linked@eu"));
    let request = v1::RecommendRequest { revision: new.revision, ..of(70) };
    let list = max.list("eu", &request).await;
    let from: Vec<_> =
        list.items.iter().flat_map(|i| &i.why).filter_map(|w| w.from.clone()).collect();
    assert!(from.iter().all(|item| *item == id("opera", 2)), "{from:?}");
    let blocked_once = list.items.iter().any(|item| item.item == id("comedy", 1));
    let liked_once = list.items.iter().any(|item| item.item == id("noir", 0));
    assert!(blocked_once && liked_once, "neither blocks nor what was seen are remembered");
}

#[tokio::test]
async fn an_erasure_is_asked_of_home_by_the_person_alone() {
    let cluster = cluster().await;
    let eva = Person::new(cluster, "eva", "EU-DE");
    eva.says(json!({"consent": "granted"})).await;
    let away = ask(&eva, "us", Method::DELETE, "/v1/me").await;
    assert_eq!(away.status.as_u16(), 307);
    assert_eq!(away.headers["location"], format!("{}/v1/me", cluster.url("eu")).as_str());
    let anyone = cluster.anyone("eu").send(Method::DELETE, "/v1/me", Bytes::new()).await.unwrap();
    assert_eq!(anyone.status.as_u16(), 401);
    for scope in ["recommend events", "cluster:admin"] {
        let args = TokenArgs { scope: scope.into(), ..cluster.asking("eva", "EU-DE") };
        let other = cluster.anyone("eu").with_token(&cluster.token(&args)).unwrap();
        let raw = other.send(Method::DELETE, "/v1/me", Bytes::new()).await.unwrap();
        assert_eq!(raw.status.as_u16(), 403, "{scope}");
    }
    assert_eq!(eva.export().await.unwrap().consent.unwrap().consent, "granted", "still there");

    let receipt = erase(&eva).await;
    let path = format!("/v1/erasures/{}", receipt.id);
    let bob = Person::new(cluster, "bob", "EU-DE");
    let none = format!("/v1/erasures/{}", "0".repeat(32));
    for (person, at, path, expected) in [
        (&eva, "eu", &path, 200),
        (&eva, "us", &path, 307),
        (&eva, "eu", &none, 404),
        (&bob, "eu", &path, 404),
        (&eva, "eu", &"/v1/erasures/none".to_owned(), 400),
    ] {
        let raw = ask(person, at, Method::GET, path).await;
        assert_eq!(raw.status.as_u16(), expected, "{path} at {at}: {:?}", raw.body);
    }
    let raw = cluster.anyone("eu").send(Method::GET, &path, Bytes::new()).await.unwrap();
    assert_eq!(raw.status.as_u16(), 401);
}

/// An American's event in Germany stays there; home knows that the domain has a slice, and tells it.
#[tokio::test]
async fn an_erasure_reaches_the_slice_that_another_domain_holds() {
    let cluster = cluster().await;
    let joe = Person::new(cluster, "joe", "US-CA");
    let consent = joe.says(json!({"consent": "granted"})).await;
    let joe = joe.carrying(consent.receipt.as_ref());
    let liked = json!([{"id": "abroad-1", "kind": "like", "item": id("noir", 0)}]);
    let stored = stored_abroad(&joe, &liked).await;
    assert_eq!((stored.accepted + stored.duplicates, stored.past), (1, 0));
    assert_eq!(joe.export().await.unwrap().visitor_slices, ["eu"]);

    let receipt = erase(&joe).await;
    let told = || async {
        let found = status(&joe, &receipt.id).await.slices;
        if found.iter().all(|slice| slice.done) { Ok(found) } else { Err(format!("{found:?}")) }
    };
    let (slices, _) = eventually("the slice is erased", LONG, told).await;
    assert_eq!(slices.iter().map(|slice| slice.domain.as_str()).collect::<Vec<_>>(), ["eu"]);
    assert!(slices[0].at.is_some());
    // What was in the slice is of a life that is over there as well.
    let consent = joe.says(json!({"consent": "granted"})).await;
    let joe = joe.carrying(consent.receipt.as_ref());
    let again = stored_abroad(&joe, &liked).await;
    assert_eq!((again.accepted, again.duplicates, again.past), (0, 0, 1));
}

/// Somebody of whom nothing is kept may ask as well, and twice.
#[tokio::test]
async fn who_is_unknown_may_be_erased_too() {
    let cluster = cluster().await;
    let ghost = Person::new(cluster, "ghost", "EU-DE");
    let (one, two) = (erase(&ghost).await, erase(&ghost).await);
    assert_ne!(one.id, two.id);
    for receipt in [one, two] {
        done_everywhere(&ghost, &receipt.id, &["rows", "keys", "counters"]).await;
    }
}
