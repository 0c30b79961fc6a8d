use super::rig::{Rig, rig};
use serde_json::{Value, json};

use crate::Operation;

const ALL: &str = "recommend events person items:write policy:read cluster:admin";

/// Sends as a person with every scope; `expected` is the status, the error's field and a part of its words.
async fn check(rig: &Rig, call: (&str, &str), body: &str, expected: (u16, &str, &str)) {
    let (status, _, found) = rig.send_as(("EU-DE", ALL), call, body).await;
    let short: String = body.chars().take(80).collect();
    assert_eq!(status, expected.0, "{call:?} {short}: {found}");
    if status != 200 {
        let field = found["error"]["field"].as_str().unwrap_or("-");
        let words = found["error"]["message"].as_str().unwrap();
        assert_eq!(field, expected.1, "{call:?} {short}: {words}");
        assert!(words.contains(expected.2), "{call:?} {short}: {words}");
    }
}

#[tokio::test]
async fn bad_requests_are_refused_in_words_and_by_field() {
    let rig = rig("eu", "EU-DE").await;
    let list = ("POST", "/v1/recommendations");
    check(&rig, list, "", (200, "", "")).await;
    check(&rig, list, r#"{"limit": 5}"#, (200, "", "")).await;
    check(&rig, list, r#"{"limit": 0}"#, (400, "limit", "1 to 1000")).await;
    check(&rig, list, r#"{"limit": 1000000000}"#, (400, "limit", "1 to 1000")).await;
    check(&rig, list, r#"{"limits": 5}"#, (400, "limits", "unknown field")).await;
    check(&rig, list, "{", (400, "-", "EOF")).await;
    check(&rig, list, "limit=5", (400, "-", "JSON object")).await;
    check(&rig, list, r#"{"session": ["a\u0000"]}"#, (400, "session[0]", "")).await;
    check(&rig, ("POST", "/v1/events"), "{}", (400, "events", "empty")).await;
    let event = r#"{"events": [{"id": "1", "item": "1", "kind": "seen"}]}"#;
    check(&rig, ("POST", "/v1/events"), event, (400, "events[0].kind", "allowed")).await;
    let consent = ("PUT", "/v1/me/consent");
    check(&rig, consent, r#"{"consent": "yes"}"#, (400, "consent", "granted")).await;
    check(&rig, consent, r#"{"consent": "parental"}"#, (403, "-", "guardian")).await;
    check(&rig, consent, r#"{"consent": "granted"}"#, (200, "", "")).await;
    check(&rig, ("GET", "/v1/me/consent?rev=1"), "", (400, "rev", "unknown")).await;
    check(&rig, ("GET", "/v1/policies/EU-DE?version=x"), "", (400, "version", "number")).await;
    check(&rig, ("GET", "/v1/policies/EU_DE"), "", (400, "pack", "")).await;
    check(&rig, ("GET", "/v1/policies/ZZ"), "", (404, "-", "no such pack")).await;
    check(&rig, ("GET", "/v1/items/a%00b"), "", (400, "item", "character")).await;
    check(&rig, ("GET", "/v1/items/318"), "", (200, "", "")).await;
    check(&rig, ("DELETE", "/v1/items/318"), "", (200, "", "")).await;
    check(&rig, ("GET", "/v1/cluster"), "", (200, "", "")).await;
    check(&rig, ("POST", "/v1/probe"), r#"{"answer_bytes": 2000000}"#, (400, "answer_bytes", ""))
        .await;
    check(&rig, ("GET", "/v1/nothing"), "", (404, "-", "no such path")).await;
    check(&rig, ("GET", "/v1/events"), "", (405, "-", "method")).await;
    rig.end().await;
}

#[tokio::test]
async fn who_may_ask_is_decided_before_anything_else() {
    let rig = rig("eu", "EU-DE").await;
    let anonymous = async |call: (&str, &str), headers: &[(&str, &str)]| {
        let (status, _, found) = rig.send(call.0, call.1, headers, "").await;
        (status, found["error"]["kind"].as_str().unwrap_or("ok").to_owned())
    };
    let list = ("POST", "/v1/recommendations");
    assert_eq!(anonymous(list, &[]).await, (200, "ok".into()));
    assert_eq!(anonymous(list, &[("authorization", "Bearer x")]).await.0, 401);
    assert_eq!(anonymous(list, &[("authorization", "Basic x")]).await.0, 401);
    for operation in Operation::ALL.into_iter().filter(|op| *op != Operation::Recommend) {
        let path = real(operation.path());
        let call = (operation.method().as_str().to_owned(), path);
        let found = anonymous((&call.0, &call.1), &[]).await;
        assert_eq!(found, (401, "unauthenticated".into()), "{operation:?}");
        let (status, _, found) = rig.send_as(("EU-DE", "guardian"), (&call.0, &call.1), "").await;
        let open = path_is_open(operation);
        assert!(open || status == 403 && names_a_scope(&found), "{operation:?} {status} {found}");
    }
    rig.end().await;
}

/// A path with its variable parts filled in.
fn real(path: &str) -> String {
    path.replace("{item}", "1").replace("{pack}", "EU").replace("{id}", &"0".repeat(32))
}

/// Guardians have a person's controls; one item is shown to any token.
fn path_is_open(operation: Operation) -> bool {
    let own = ["/v1/me", "/v1/erasures/"].iter().any(|start| operation.path().starts_with(start));
    own || operation == Operation::GetItem
}

fn names_a_scope(found: &Value) -> bool {
    found["error"]["message"].as_str().is_some_and(|words| words.contains("scope `"))
}

#[tokio::test]
async fn a_guardian_consents_for_a_child() {
    let rig = rig("eu", "EU-DE").await;
    let bearer = format!("Bearer {}", rig.token_of("EU-DE", "guardian", Some("kim")));
    let body = r#"{"consent": "parental"}"#;
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(rig.send("PUT", "/v1/me/consent", &headers, body).await.0, 200);
    rig.end().await;
}

#[tokio::test]
async fn an_erasure_is_accepted_and_can_be_asked_about() {
    let rig = rig("eu", "EU-DE").await;
    let id = "0123456789abcdef0123456789abcdef";
    let (status, headers, found) = rig.send_as(("EU-DE", "person"), ("DELETE", "/v1/me"), "").await;
    assert_eq!((status, found["id"].as_str()), (202, Some(id)));
    let place = headers["location"].to_str().unwrap().to_owned();
    let (status, _, found) = rig.send_as(("EU-DE", "person"), ("GET", &place), "").await;
    assert_eq!((status, found["id"].as_str()), (200, Some(id)));
    check(&rig, ("GET", "/v1/erasures/0123"), "", (400, "id", "hexadecimal")).await;
    rig.end().await;
}

#[tokio::test]
async fn answers_leave_absent_fields_out_and_carry_a_request_id() {
    let rig = rig("eu", "EU-DE").await;
    let call = ("GET", "/v1/me/consent");
    let (status, headers, found) = rig.send_as(("EU-DE", "person"), call, "").await;
    assert_eq!(status, 200);
    assert_eq!(found, json!({"consent": "none", "sensitive": "", "toggle": ""}));
    let id = headers["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(rig.seen("get_consent").pop().unwrap().1.caller.request_id, id);
    let revised = ("GET", "/v1/me/consent?revision=r7");
    let (_, _, found) = rig.send_as(("EU-DE", "person"), revised, "").await;
    assert_eq!(found["revision"], "r7");
    let (_, _, found) = rig.send("POST", "/v1/recommendations", &[], "").await;
    assert!(found.get("home_edge").is_none(), "{found}");
    rig.end().await;
}

#[tokio::test]
async fn an_upload_is_cut_into_batches_and_its_errors_into_lines() {
    let rig = rig("eu", "EU-DE").await;
    let mut lines: Vec<String> =
        (1..=450).map(|n| format!(r#"{{"item": "{n}", "title": "t"}}"#)).collect();
    lines[6] = r#"{"item": "7", "vector": ["x"]}"#.to_owned();
    lines[10] = String::new();
    lines[299] = r#"{"item": "300", "title": "refused by the node"}"#.to_owned();
    lines.push("x".repeat(70_000));
    lines.push(r#"{"item": "last"}"#.to_owned());
    let body = lines.join("\n");
    let (status, _, found) =
        rig.send_as(("US-NY", "items:write"), ("PUT", "/v1/items"), &body).await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["upserted"], 448);
    assert_eq!(found["revision"], "catalog:1");
    let wrong: Vec<_> =
        found["errors"].as_array().unwrap().iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(wrong, [7, 300, 451]);
    let batches: Vec<_> = rig.seen("put_items").iter().map(|(_, seen)| seen.items).collect();
    assert_eq!(batches.iter().sum::<usize>(), 449);
    assert!(batches.iter().all(|items| *items <= 200), "{batches:?}");
    rig.end().await;
}

#[tokio::test]
async fn packs_are_shown_as_they_are_enforced() {
    let rig = rig("eu", "EU-DE").await;
    let call = ("GET", "/v1/policies");
    let (status, _, found) = rig.send_as(("EU-DE", "policy:read"), call, "").await;
    let listed = found["policies"].as_array().unwrap();
    assert!(status == 200 && listed.iter().any(|pack| pack["pack"] == "EU-DE"), "{found}");
    let call = ("GET", "/v1/policies/EU-DE?version=1");
    let (_, _, found) = rig.send_as(("EU-DE", "policy:read"), call, "").await;
    assert!(found["source"].as_str().unwrap().contains(r#"pack = "EU-DE""#));
    assert!(found["summary"]["hash"].as_str().unwrap().starts_with("sha256:"));
    rig.end().await;
}

/// Every route of the document is served, with the method it names, and nothing is served that is not in it.
#[tokio::test]
async fn the_document_and_the_routes_are_one() {
    let rig = rig("eu", "EU-DE").await;
    let (status, headers, document) = rig.send("GET", "/openapi.json", &[], "").await;
    assert_eq!((status, &headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        let real = real(path);
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let (status, _, found) = rig.send(method, &real, &[], "").await;
            let described = methods.get(method.to_lowercase()).is_some();
            assert_eq!(status == 405, !described, "{method} {path}: {status} {found}");
            assert_ne!(status, 404, "{path}");
        }
    }
    rig.end().await;
}

#[tokio::test]
async fn the_admin_port_tells_no_persons() {
    let rig = rig("eu", "EU-DE").await;
    rig.send_as(("EU-DE", ALL), ("POST", "/v1/recommendations"), r#"{"session": ["item-9"]}"#)
        .await;
    assert_eq!(rig.admin("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(rig.admin("/readyz").await.0, 200);
    let (status, text) = rig.admin("/metrics").await;
    assert_eq!(status, 200);
    for due in [
        "bailiwick_router_requests_total{operation=\"recommend\",outcome=\"ok\"} 1",
        "bailiwick_router_request_seconds_bucket",
        "bailiwick_router_nodes_up 4",
        "# EOF",
    ] {
        assert!(text.contains(due), "{due} is not in\n{text}");
    }
    for secret in ["alice", "item-9", "EU-DE", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    assert_eq!(rig.admin("/v1/recommendations").await.0, 404);
    rig.end().await;
}

#[tokio::test]
async fn a_browser_may_ask_from_any_page() {
    let rig = rig("eu", "EU-DE").await;
    let headers = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let (status, headers, _) = rig.send("OPTIONS", "/v1/recommendations", &headers, "").await;
    assert_eq!(status, 200);
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
    rig.end().await;
}
