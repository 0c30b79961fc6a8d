use super::rig::{Script, rig, rig_with};
use std::time::{Duration, Instant};

use serde_json::json;

const EVENT: &str = r#"{"events": [{"id": "e1", "item": "318", "kind": "view"}]}"#;
const RECOMMEND: (&str, &str) = ("POST", "/v1/recommendations");
const EVENTS: (&str, &str) = ("POST", "/v1/events");

#[tokio::test]
async fn a_request_goes_where_it_may_be_answered() {
    let rig = rig("us", "US-NY").await;
    let check = async |home: &str, call: (&str, &str), body: &str, expected: &str| {
        let (status, headers, found) =
            rig.send_as((home, "recommend events person"), call, body).await;
        let shown = match (status, headers.get("location")) {
            (307, Some(to)) => format!("-> {}", to.to_str().unwrap()),
            (200, _) => found["served_by"]["domain"]
                .as_str()
                .or(found["stored"].as_str())
                .unwrap_or("ok")
                .to_owned(),
            _ => format!("{status} {found}"),
        };
        assert_eq!(shown, expected, "{home} {call:?}");
    };
    // A German's profile may be read at home only; a New Yorker's here.
    check("EU-DE", RECOMMEND, "{}", "eu").await;
    check("US-NY", RECOMMEND, "{}", "us").await;
    check("XX", RECOMMEND, "{}", "us").await;
    check("EU-DE", EVENTS, EVENT, "-> http://eu.example:8080/v1/events").await;
    check("US-NY", EVENTS, EVENT, "linked@us").await;
    let consent = ("GET", "/v1/me/consent?revision=users-eu-0%3A7");
    let home = "-> http://eu.example:8080/v1/me/consent?revision=users-eu-0%3A7";
    check("EU-DE", consent, "", home).await;
    check("US-NY", consent, "", "ok").await;
    // Erasing is asked of home, and so is what became of it.
    check("EU-DE", ("DELETE", "/v1/me"), "", "-> http://eu.example:8080/v1/me").await;
    let id = "0123456789abcdef0123456789abcdef";
    let (place, home) = (format!("/v1/erasures/{id}"), "-> http://eu.example:8080/v1/erasures/");
    check("EU-DE", ("GET", &place), "", &format!("{home}{id}")).await;
    assert!(rig.seen("record_events").iter().all(|(node, _)| node.starts_with("us")));
    rig.end().await;
}

/// The union's packs keep what is collected there: an American's event in Germany stays.
#[tokio::test]
async fn an_event_that_must_stay_is_stored_at_its_location() {
    let rig = rig("eu", "EU-DE").await;
    let (status, _, found) = rig.send_as(("US-NY", "events"), EVENTS, EVENT).await;
    assert_eq!((status, &found["stored"]), (200, &json!("linked@eu")));
    rig.end().await;
}

#[tokio::test]
async fn a_silent_home_costs_half_the_deadline_until_it_is_known_and_nothing_after() {
    let rig = rig("us", "US-NY").await;
    rig.domain("eu").for_each(|node| node.set(Script::Hang));
    let bearer = format!("Bearer {}", rig.token("EU-DE", "recommend"));
    let headers = [("authorization", bearer.as_str()), ("x-request-timeout-ms", "400")];
    let began = Instant::now();
    let (status, _, found) = rig.send("POST", RECOMMEND.1, &headers, "{}").await;
    let took = began.elapsed();
    assert_eq!((status, &found["served_by"]["domain"]), (200, &json!("us")), "{found}");
    assert!((190..350).contains(&took.as_millis()), "{took:?}");
    let told = rig.seen("recommend").pop().unwrap();
    assert!(told.0.starts_with("us") && told.1.caller.home_unreachable, "{told:?}");

    rig.until_up("eu", false).await;
    let mut times = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        let (status, _, _) = rig.send("POST", RECOMMEND.1, &headers, "{}").await;
        times.push(began.elapsed());
        assert_eq!(status, 200);
    }
    times.sort();
    // Nobody waits for what is known to be lost. The tail is the machine's, so it has a wider bound here.
    assert!(times[25] < Duration::from_millis(50), "{:?}", times[25]);
    assert!(times[49] < Duration::from_millis(150), "{:?}", times[49]);

    // Nothing of that person is stored anywhere; the app is told when to come back.
    let (status, headers, found) = rig.send_as(("EU-DE", "events"), EVENTS, EVENT).await;
    assert_eq!((status, &found["error"]["kind"]), (503, &json!("unavailable")));
    assert!(headers.contains_key("retry-after"));
    assert!(rig.seen("record_events").is_empty());

    rig.domain("eu").for_each(|node| node.set(Script::Answer));
    rig.until_up("eu", true).await;
    let (_, _, found) = rig.send_as(("EU-DE", "recommend"), RECOMMEND, "{}").await;
    assert_eq!(found["served_by"]["domain"], "eu");
    rig.end().await;
}

#[tokio::test]
async fn one_lost_node_is_replaced_by_another_of_its_domain() {
    let rig = rig("eu", "EU-DE").await;
    let failure = bailiwick_proto::failure::Failure::new(
        bailiwick_core::kind::Kind::Unavailable,
        "no quorum here",
    );
    rig.nodes["eu-1"].set(Script::Fail(failure));
    for _ in 0..10 {
        let (status, _, found) = rig.send_as(("EU-DE", "recommend"), RECOMMEND, "{}").await;
        assert_eq!((status, &found["served_by"]["node"]), (200, &json!("eu-2")), "{found}");
        let (status, _, _) = rig.send_as(("EU-DE", "events"), EVENTS, EVENT).await;
        assert_eq!(status, 200, "an event is sent again where the first node did nothing");
    }
    let told = rig.seen("recommend");
    assert!(told.iter().all(|(_, seen)| !seen.caller.home_unreachable));
    rig.end().await;
}

#[tokio::test]
async fn a_write_is_never_sent_twice_while_its_outcome_is_unknown() {
    let rig = rig("eu", "EU-DE").await;
    rig.domain("eu").for_each(|node| node.set(Script::Slow(Duration::from_millis(250))));
    let bearer = format!("Bearer {}", rig.token("EU-DE", "events"));
    let headers = [("authorization", bearer.as_str()), ("x-request-timeout-ms", "100")];
    let (status, _, found) = rig.send("POST", EVENTS.1, &headers, EVENT).await;
    assert_eq!((status, &found["error"]["kind"]), (504, &json!("uncertain")), "{found}");
    assert_eq!(rig.seen("record_events").len(), 1);
    rig.end().await;
}

#[tokio::test]
async fn without_a_lease_everything_is_strict_and_nobodys_data_is_touched() {
    let rig = rig("us", "US-NY").await;
    rig.nodes.values().for_each(|node| node.set(Script::NoLease));
    rig.until(|rig| rig.router.pending().contains(&"no lease on the packs")).await;
    assert_eq!(rig.admin("/readyz").await.0, 503);
    let (status, _, found) = rig.send_as(("EU-DE", "recommend"), RECOMMEND, "{}").await;
    assert_eq!((status, &found["served_by"]["domain"]), (200, &json!("us")), "{found}");
    let (status, _, _) = rig.send_as(("US-NY", "events"), EVENTS, EVENT).await;
    assert_eq!(status, 503);
    let (status, _, _) = rig.send_as(("US-NY", "policy:read"), ("GET", "/v1/policies"), "").await;
    assert_eq!(status, 503);
    rig.end().await;
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_request_is_made() {
    let strict = rig("us", "US-NY").await;
    let trusting = rig_with("us", "US-NY", |edge| {
        edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let headers = [("x-client-jurisdiction", "US-CA"), ("sec-gpc", "1")];
    for (rig, expected) in [(&strict, "US-NY"), (&trusting, "US-CA")] {
        let (status, _, _) = rig.send("POST", RECOMMEND.1, &headers, "").await;
        assert_eq!(status, 200);
        let (_, seen) = rig.seen("recommend").pop().unwrap();
        assert_eq!(seen.caller.location, expected);
        assert!(seen.caller.gpc && seen.caller.token.is_none());
    }
    let bad = [("x-client-jurisdiction", "U S")];
    let (status, _, found) = trusting.send("POST", RECOMMEND.1, &bad, "").await;
    assert_eq!((status, &found["error"]["field"]), (400, &json!("x-client-jurisdiction")));
    assert_eq!(strict.send("POST", RECOMMEND.1, &bad, "").await.0, 200);
    strict.end().await;
    trusting.end().await;
}
