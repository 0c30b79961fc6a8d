//! Gentle stories on one cluster of three domains, all in one process.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use bailiwick_tests::catalogue::{self, id};
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::person::{Gpc, Person, ids, of, told};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::sync::OnceCell;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/policy/cases.csv");

async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(BINARY, Mode::Together);
        catalogue::load(&cluster).await;
        cluster
    };
    SHARED.get_or_init(start).await
}

/// A request that sees at least what `consent` came back from.
fn since(consent: &v1::Consent, limit: u32) -> v1::RecommendRequest {
    v1::RecommendRequest { revision: consent.revision.clone(), ..of(limit) }
}

/// Asks over both protocols; both must tell the same decision, and it must be the expected one.
async fn check(
    person: &Person<'_>,
    at: &str,
    request: &v1::RecommendRequest,
    expected: &str,
) -> v1::RecommendResponse {
    let (json, grpc) = (person.list(at, request).await, person.list_grpc(at, request).await);
    assert_eq!(told(&json), expected, "over HTTP at {at}");
    assert_eq!(told(&grpc), expected, "over gRPC at {at}");
    assert!(!json.items.is_empty() && !grpc.items.is_empty(), "{expected} shows something");
    json
}

#[tokio::test]
async fn the_variant_follows_consent_and_switch() {
    let cluster = cluster().await;
    let anna = Person::new(cluster, "anna", "EU-DE");
    let missing = "contextual,no,aggregate,no,CONSENT_MISSING";
    check(&anna, "eu", &of(5), missing).await;
    let steps = [
        (json!({"consent": "granted"}), "profile_std,edge,linked@eu,no,BASIS_CONSENT"),
        (json!({"toggle": "off"}), "contextual,no,aggregate,no,USER_OFF"),
        (json!({"toggle": "on"}), "profile_std,edge,linked@eu,no,BASIS_CONSENT"),
        (json!({"consent": "refused"}), "contextual,no,aggregate,no,CONSENT_REFUSED"),
        (json!({"consent": "granted"}), "profile_std,edge,linked@eu,no,BASIS_CONSENT"),
        (json!({"consent": "withdrawn"}), "contextual,no,aggregate,no,CONSENT_WITHDRAWN"),
    ];
    for (change, expected) in steps {
        let consent = anna.says(change).await;
        check(&anna, "eu", &since(&consent, 5), expected).await;
    }
}

#[tokio::test]
async fn sensitive_data_are_used_only_with_their_own_consent() {
    let cluster = cluster().await;
    let ines = Person::new(cluster, "ines", "EU-DE");
    let yes = ines.says(json!({"consent": "granted", "sensitive": "yes"})).await;
    check(&ines, "eu", &since(&yes, 5), "profile_full,edge,linked@eu,no,BASIS_CONSENT").await;
    let no = ines.says(json!({"sensitive": "no"})).await;
    let expected = "profile_std,edge,linked@eu,no,BASIS_CONSENT;SENSITIVE_EXCLUDED";
    check(&ines, "eu", &since(&no, 5), expected).await;
}

#[tokio::test]
async fn a_minor_needs_a_parent() {
    let cluster = cluster().await;
    let kim = Person::new(cluster, "kim", "EU-DE").aged("15".parse().unwrap());
    let own = kim.says(json!({"consent": "granted"})).await;
    let expected = "contextual,no,aggregate,no,MINOR_RULE;PARENTAL_REQUIRED";
    check(&kim, "eu", &since(&own, 5), expected).await;
    let parental = kim.parent_says(json!({"consent": "parental"})).await;
    let expected = "explicit_only,edge,aggregate,no,BASIS_PARENTAL;MINOR_RULE";
    check(&kim, "eu", &since(&parental, 5), expected).await;
    // A year later the same person speaks for themselves.
    let older = kim.clone().aged(AgeBand::Adult);
    let granted = older.says(json!({"consent": "granted"})).await;
    let expected = "profile_std,edge,linked@eu,no,BASIS_CONSENT";
    check(&older, "eu", &since(&granted, 5), expected).await;
}

#[tokio::test]
async fn parental_consent_is_refused_from_the_child() {
    let cluster = cluster().await;
    let child = Person::new(cluster, "noa", "EU-DE").aged("15".parse().unwrap());
    let body = Bytes::from(r#"{"consent": "parental"}"#);
    let raw = child.at("eu").send(Method::PUT, "/v1/me/consent", body).await.unwrap();
    assert_eq!(raw.status.as_u16(), 403, "{:?}", raw.body);
}

#[tokio::test]
async fn abroad_a_german_is_scored_at_home_and_nothing_tells_their_history() {
    let cluster = cluster().await;
    let max = Person::new(cluster, "max", "EU-DE");
    max.says(json!({"consent": "granted"})).await;
    let liked = max.does("like-1", "like", &id("noir", 0)).await;
    assert_eq!(liked.stored, "linked@eu");
    let request = v1::RecommendRequest { revision: liked.revision, ..of(10) };
    let home = "profile_std,edge,linked@eu,no,BASIS_CONSENT";
    let at_home = check(&max, "eu", &request, home).await;
    let from = |answer: &v1::RecommendResponse| -> BTreeSet<String> {
        answer.items.iter().flat_map(|i| &i.why).filter_map(|why| why.from.clone()).collect()
    };
    assert!(from(&at_home).contains(&id("noir", 0)), "at home the reason is named");
    let expected = "profile_std,home,linked@eu,no,BASIS_CONSENT;JUR_STRICTEST;SCORED_AT_HOME";
    let abroad = check(&max, "us", &request, expected).await;
    assert_eq!(abroad.served_by.as_ref().unwrap().domain, "eu");
    assert!(abroad.items.iter().any(|item| item.item.starts_with("noir")), "as good as at home");
    assert_eq!(from(&abroad), BTreeSet::new());
    let text = serde_json::to_string(&abroad.items).unwrap();
    assert!(!text.contains(&id("noir", 0)) && !text.contains("noir number 0"), "{text}");
    assert_eq!(abroad.home_edge, Some(cluster.url("eu")));
}

#[tokio::test]
async fn a_californian_may_send_the_privacy_control() {
    let cluster = cluster().await;
    let joe = Person::new(cluster, "joe", "US-CA");
    let plain = told(&joe.list("us", &of(5)).await);
    assert!(plain.starts_with("profile_std,edge,linked@us,yes,BASIS_FREE"), "{plain}");
    let controlled = joe.clone().sending(Gpc::Sent);
    let expected = "profile_std,edge,linked@us,no,BASIS_FREE;GPC_HONOURED";
    check(&controlled, "us", &of(5), expected).await;
}

#[tokio::test]
async fn who_is_unknown_gets_what_needs_no_knowledge() {
    let cluster = cluster().await;
    let request = of(5);
    let anyone = cluster.anyone("eu");
    let answer: v1::RecommendResponse = anyone.post("/v1/recommendations", &request).await.unwrap();
    assert_eq!(told(&answer), "contextual,no,aggregate,no,CONSENT_MISSING");
    assert!(!answer.items.is_empty() && answer.receipt.is_none());
    let stranger = Person::new(cluster, "stranger", "ZZ");
    let strict = "editorial,no,none,no,JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN";
    for at in ["eu", "us", "in"] {
        check(&stranger, at, &of(5), strict).await;
    }
}

#[tokio::test]
async fn an_acknowledged_event_is_in_the_next_answer() {
    let cluster = cluster().await;
    let eva = Person::new(cluster, "eva", "EU-DE");
    eva.says(json!({"consent": "granted"})).await;
    for (at, genre) in catalogue::GENRES.into_iter().rev().enumerate() {
        let event = format!("like-{at}");
        let liked = id(genre, 4);
        let answer = eva.does(&event, "like", &liked).await;
        assert_eq!((answer.accepted, answer.duplicates), (1, 0));
        let request = v1::RecommendRequest { revision: answer.revision, ..of(70) };
        let list = eva.list("eu", &request).await;
        let shown = ids(&list);
        assert!(!shown.contains(&liked.as_str()), "{liked} was liked, so it is seen: {shown:?}");
        let named = list.items.iter().flat_map(|item| &item.why);
        let mut named = named.filter_map(|why| why.from.as_deref());
        assert!(named.any(|from| from == liked), "{liked} brings something at once");
        if at == 0 {
            assert!(shown[0].starts_with(genre), "a neighbour comes first: {shown:?}");
        }
    }
    let again = eva.does("like-0", "like", &id(catalogue::GENRES[5], 4)).await;
    assert_eq!((again.accepted, again.duplicates), (0, 1), "an id counts once");
    let kept = eva.export().await.unwrap();
    assert_eq!(kept.events.len(), catalogue::GENRES.len());
}

#[tokio::test]
async fn a_blocked_item_is_never_shown_again() {
    let cluster = cluster().await;
    let ben = Person::new(cluster, "ben", "EU-DE");
    let granted = ben.says(json!({"consent": "granted"})).await;
    let all = v1::RecommendRequest { revision: granted.revision, ..of(1000) };
    let bad = id("comedy", 1);
    assert!(ids(&ben.list("eu", &all).await).contains(&bad.as_str()), "before, it is shown");
    let blocked = ben.does("block-1", "block", &bad).await;
    let all = v1::RecommendRequest { revision: blocked.revision, ..all };
    for at in ["eu", "us"] {
        assert!(!ids(&ben.list(at, &all).await).contains(&bad.as_str()), "at {at}");
    }
    // Blocks hold where nothing else of the person may be used.
    let off = ben.says(json!({"toggle": "off"})).await;
    let list = ben.list("eu", &since(&off, 1000)).await;
    assert_eq!(told(&list), "contextual,no,aggregate,no,USER_OFF");
    assert!(!ids(&list).contains(&bad.as_str()), "with the switch off");
    assert_eq!(ben.export().await.unwrap().blocked, [bad]);
}

#[tokio::test]
async fn a_change_of_the_catalogue_is_in_the_next_answer() {
    let cluster = cluster().await;
    let ida = Person::new(cluster, "ida", "EU-DE");
    ida.says(json!({"consent": "granted"})).await;
    ida.does("like-1", "like", &id("opera", 1)).await;
    let fresh = v1::Item {
        item: "opera-new".into(),
        title: "New".into(),
        vector: catalogue::vector(4, 1),
        ..v1::Item::default()
    };
    let operator = cluster.operator("eu");
    let put = operator.put_items(&[fresh]).await.unwrap();
    assert_eq!((put.upserted, put.errors), (1, vec![]));
    let request = v1::RecommendRequest { revision: put.revision, ..of(70) };
    let list = ida.list("eu", &request).await;
    assert!(ids(&list).contains(&"opera-new"), "{:?}", ids(&list));
    let raw = operator.send(Method::DELETE, "/v1/items/opera-new", Bytes::new()).await.unwrap();
    let gone: v1::DeleteItemResponse = bailiwick::client::read(&raw).unwrap();
    let request = v1::RecommendRequest { revision: Some(gone.revision), ..of(70) };
    assert!(!ids(&ida.list("eu", &request).await).contains(&"opera-new"));
    let raw = operator.send(Method::DELETE, "/v1/items/opera-new", Bytes::new()).await.unwrap();
    assert_eq!(raw.status.as_u16(), 404);
}

#[tokio::test]
async fn filters_hold_in_every_variant() {
    let cluster = cluster().await;
    let granted = Person::new(cluster, "gus", "EU-DE");
    granted.says(json!({"consent": "granted"})).await;
    let refused = Person::new(cluster, "rex", "EU-DE");
    refused.says(json!({"consent": "refused"})).await;
    let child = Person::new(cluster, "lea", "EU-DE").aged("15".parse().unwrap());
    child.parent_says(json!({"consent": "parental"})).await;
    let californian = Person::new(cluster, "cal", "US-CA");
    let stranger = Person::new(cluster, "zoe", "ZZ");
    let everybody = [&granted, &refused, &child, &californian, &stranger];
    let mut variants = BTreeSet::new();
    for (person, at) in everybody.into_iter().flat_map(|p| ["eu", "us"].map(|at| (p, at))) {
        let list = person.list(at, &of(1000)).await;
        let (shown, decision) = (ids(&list), list.decision.clone().unwrap());
        let here = match at {
            "eu" => catalogue::BARRED_IN_GERMANY,
            _ => catalogue::BARRED_IN_US,
        };
        for never in [here, catalogue::UNAVAILABLE, catalogue::EXPIRED] {
            assert!(!shown.contains(&never), "{never} in {} at {at}", decision.variant);
        }
        variants.insert(decision.variant);
    }
    assert!(variants.len() >= 4, "{variants:?}");
    for person in [&granted, &child, &stranger] {
        let list = person.list("eu", &of(1000)).await;
        let adult = std::ptr::eq(person, &raw const granted) || person.home() == "zz";
        let shown = ids(&list).contains(&catalogue::FOR_ADULTS);
        assert_eq!(shown, adult, "{}", told(&list));
        // The same that is barred in one place is shown in another, so this test can fail.
        assert!(ids(&list).contains(&catalogue::BARRED_IN_US));
    }
}

#[tokio::test]
async fn what_the_request_rules_out_is_not_shown() {
    let cluster = cluster().await;
    let granted = Person::new(cluster, "ole", "EU-DE");
    granted.says(json!({"consent": "granted"})).await;
    let refused = Person::new(cluster, "ulf", "EU-DE");
    refused.says(json!({"consent": "refused"})).await;
    for person in [&granted, &refused] {
        let plain = person.list("eu", &of(10)).await;
        let exclude: Vec<String> = ids(&plain).into_iter().map(str::to_owned).collect();
        assert!(!exclude.is_empty());
        let request = v1::RecommendRequest { exclude: exclude.clone(), ..of(1000) };
        let list = person.list("eu", &request).await;
        assert!(!list.items.is_empty());
        assert!(ids(&list).iter().all(|shown| !exclude.iter().any(|no| no == shown)));
        let filter = v1::Filter { category: vec!["western".into()], ..v1::Filter::default() };
        let request = v1::RecommendRequest { filter: Some(filter), ..of(1000) };
        let list = person.list("eu", &request).await;
        assert!(!list.items.is_empty(), "{}", told(&list));
        assert!(ids(&list).iter().all(|id| id.starts_with("western")), "{:?}", ids(&list));
    }
}

#[tokio::test]
async fn events_and_controls_abroad_are_sent_home() {
    let cluster = cluster().await;
    let tim = Person::new(cluster, "tim", "EU-DE");
    let event = r#"{"events": [{"id": "1", "item": "drama-1", "kind": "view"}]}"#;
    for (method, path, body) in [
        (Method::POST, "/v1/events", event),
        (Method::PUT, "/v1/me/consent", r#"{"consent": "granted"}"#),
        (Method::GET, "/v1/me/consent", ""),
        (Method::GET, "/v1/me/interests", ""),
        (Method::GET, "/v1/me/export", ""),
        (Method::DELETE, "/v1/me", ""),
        // The body is not looked at.
        (Method::POST, "/v1/events", "{"),
    ] {
        let sent = tim.at("us").send(method.clone(), path, Bytes::from(body)).await.unwrap();
        assert_eq!(sent.status.as_u16(), 307, "{method} {path}");
        let to = sent.headers["location"].to_str().unwrap();
        assert_eq!(to, format!("{}{path}", cluster.url("eu")));
    }
    assert_eq!(tim.export().await.unwrap().events, []);
}

/// The rows of the case table that this cluster can be brought into, with today's date: their location
/// has a router here, their home has nodes here or is unknown, home is reachable.
fn eligible(case: &[String]) -> bool {
    let (home, location, reachable) = (case[2].as_str(), case[3].as_str(), case[10].as_str());
    let here = ["EU-DE", "US-CA", "IN"].contains(&location);
    let near = ["EU-", "US-", "IN", "unknown"].iter().any(|prefix| home.starts_with(prefix));
    here && near && reachable == "1"
}

/// Cuts a line of the table; quotes hold commas together.
fn fields(line: &str) -> Vec<String> {
    let mut quoted = false;
    let cut = |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    };
    line.split(cut).map(str::to_owned).collect()
}

/// What the command line decides for the table's rows as of `day`: the last columns, by case.
fn decided(cluster: &Cluster, table: &str, day: Option<&str>) -> Vec<(String, String)> {
    let file = cluster.state().join(format!("cases-{}.csv", day.unwrap_or("own")));
    let rows = table.lines().enumerate().map(|(at, line)| {
        let mut fields: Vec<&str> = line.splitn(3, ',').collect();
        if let (Some(day), true) = (day, at > 0) {
            fields[1] = day;
        }
        fields.join(",")
    });
    std::fs::write(&file, rows.collect::<Vec<_>>().join("\n")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["policy", "decide", "--packs"]).arg(cluster.layout().policies());
    let out = command.arg("--cases").arg(&file).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let cut = |line: &str| line.split_once(',').map(|(id, rest)| (id.to_owned(), rest.to_owned()));
    text.lines().skip(1).filter_map(cut).collect()
}

#[tokio::test]
async fn cases_hold_in_the_running_cluster() {
    let Ok(table) = std::fs::read_to_string(Path::new(CASES)) else {
        println!("SKIP cases_hold_in_the_running_cluster: ../shared is absent");
        return;
    };
    let cluster = cluster().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let today = bailiwick_core::ids::UnixMillis(i64::try_from(now.as_millis()).unwrap());
    let today = today.day().unwrap().to_string();
    let law: Vec<_> = decided(cluster, &table, Some(&today));
    let (mut ran, mut left) = (Vec::new(), Vec::new());
    for case in table.lines().skip(1).map(fields).filter(|case| eligible(case)) {
        let expected = case[11..16].join(",");
        // Dated packs: the cluster decides by today's law, the table says as of when its row holds.
        if !law.contains(&(case[0].clone(), expected.clone())) {
            left.push(case[0].clone());
            continue;
        }
        run_case(cluster, &case, &expected).await;
        ran.push(case[0].clone());
    }
    println!("{} cases hold end to end: {}", ran.len(), ran.join(" "));
    println!("as of another day, so left to the command line: {}", left.join(" "));
    assert!(ran.len() + left.len() >= 12 && ran.len() >= 8, "{ran:?}");
}

async fn run_case(cluster: &Cluster, case: &[String], expected: &str) {
    let [id, _, home, location, service, age, consent, toggle, gpc, sensitive, ..] = case else {
        panic!("a row of {} fields", case.len());
    };
    let at = location.split('-').next().unwrap_or_default().to_lowercase();
    let app = match service.as_str() {
        "social" => "demo-social",
        "vlop" => "demo-vlop",
        _ => "demo",
    };
    let gpc = if gpc == "1" { Gpc::Sent } else { Gpc::Absent };
    let person = Person::new(cluster, &format!("case-{id}"), home);
    let person = person.aged(age.parse().unwrap()).in_app(app).sending(gpc);
    let mut request = of(5);
    let mut change = serde_json::Map::new();
    if consent != "none" && consent != "parental" {
        change.insert("consent".into(), consent.as_str().into());
    }
    if toggle != "unset" {
        change.insert("toggle".into(), toggle.as_str().into());
    }
    if sensitive != "na" {
        change.insert("sensitive".into(), sensitive.as_str().into());
    }
    // Nothing is kept of somebody whose home is unknown; the case must hold all the same.
    if !change.is_empty() && home != "unknown" {
        request.revision = person.says(change.into()).await.revision;
    }
    if consent == "parental" {
        request.revision = person.parent_says(json!({"consent": "parental"})).await.revision;
    }
    let answer = person.list(&at, &request).await;
    assert_eq!(told(&answer), expected, "case {id} over HTTP");
    assert_eq!(told(&person.list_grpc(&at, &request).await), expected, "case {id} over gRPC");
    if person.home() == at {
        let event = person.does("e", "view", &catalogue::id("drama", 5)).await;
        assert_eq!(
            event.stored,
            answer.decision.unwrap().event_store,
            "case {id}: where events go"
        );
    }
}
