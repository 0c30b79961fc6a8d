//! The bench against a small router of known behaviour.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json, Router};
use bailiwick_core::ids::Issuer;
use bailiwick_net::Supervisor;
use bailiwick_net::token::TokenMinter;
use bailiwick_proto::v1;
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn args(line: &str) -> Result<BenchArgs, clap::Error> {
    Cli::try_parse_from(["bench"].into_iter().chain(line.split_whitespace())).map(|cli| cli.bench)
}

/// How the router behaves, and what it was asked.
#[derive(Default)]
struct Behaviour {
    slates: AtomicU64,
    items: AtomicU64,
    /// This slate, counted from 1, makes all others wait behind it.
    stall_at: u64,
    lock: tokio::sync::Mutex<()>,
    refuse_events: bool,
}

type Shared = State<Arc<Behaviour>>;

async fn slate(State(behaviour): Shared) -> Json<v1::RecommendResponse> {
    let number = behaviour.slates.fetch_add(1, Ordering::SeqCst) + 1;
    let turn = behaviour.lock.lock().await;
    if number == behaviour.stall_at {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    drop(turn);
    let item = v1::RankedItem { item: "318".into(), ..v1::RankedItem::default() };
    Json(v1::RecommendResponse { items: vec![item; 20], ..v1::RecommendResponse::default() })
}

async fn events(
    State(behaviour): Shared,
    Json(request): Json<v1::RecordEventsRequest>,
) -> Result<Json<v1::RecordEventsResponse>, (StatusCode, &'static str)> {
    if behaviour.refuse_events && !request.events[0].id.ends_with("-0") {
        let body = r#"{"error": {"kind": "overloaded", "message": "later", "field": null}}"#;
        return Err((StatusCode::TOO_MANY_REQUESTS, body));
    }
    Ok(Json(v1::RecordEventsResponse { accepted: 1, ..v1::RecordEventsResponse::default() }))
}

async fn echo(Json(request): Json<v1::EchoRequest>) -> Json<v1::EchoResponse> {
    Json(v1::EchoResponse { payload: vec![0; request.answer_bytes as usize] })
}

async fn items(State(behaviour): Shared, body: String) -> Json<v1::PutItemsResponse> {
    let mut answer = v1::PutItemsResponse::default();
    for line in body.lines() {
        let item: v1::Item = serde_json::from_str(line).unwrap();
        assert_eq!(item.vector.len(), 8);
        answer.upserted += 1;
    }
    behaviour.items.fetch_add(answer.upserted.into(), Ordering::SeqCst);
    Json(answer)
}

async fn serve(behaviour: Arc<Behaviour>, supervisor: &Supervisor) -> String {
    let app = Router::new()
        .route("/v1/recommendations", post(slate))
        .route("/v1/events", post(events))
        .route("/v1/probe", post(echo))
        .route("/v1/me/consent", put(|| async { Json(v1::Consent::default()) }))
        .route("/v1/items", put(items))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(behaviour);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    supervisor.spawn_droppable("router", async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

async fn bench(behaviour: Behaviour, line: &str) -> (Arc<Behaviour>, Report, Vec<String>) {
    let (behaviour, supervisor) = (Arc::new(behaviour), Supervisor::new());
    let target = serve(behaviour.clone(), &supervisor).await;
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key.pem");
    TokenMinter::open(&key, Issuer::new("bailiwick-dev").unwrap(), "bailiwick").unwrap();
    let line = format!("--target {target} --key {} --people 3 {line}", key.display());
    let mut said = Vec::new();
    let report = run(&args(&line).unwrap(), |text| said.push(text.to_owned())).await.unwrap();
    (behaviour, report, said)
}

/// One request stalls the router for 0.4 s. A closed loop would show one slow request in 200; here every
/// request that was due meanwhile shows what it waited.
#[tokio::test]
async fn a_stall_is_seen_by_everything_it_delays() {
    let stalls = Behaviour { stall_at: 20, ..Behaviour::default() };
    let line = "--workload recommend --rate 200 --duration 1";
    let (_, report, _) = bench(stalls, line).await;
    assert_eq!(report.load.answered, 200, "{report}");
    assert_eq!(report.floor.answered, 200, "{report}");
    assert!(report.load.max_ms >= 380.0, "{report}");
    // A tenth of the second's load was due in the first half of the stall.
    assert!(report.load.p99_ms >= 300.0, "{report}");
    assert!(report.ratios.p99.is_some(), "{report}");
}

#[tokio::test]
async fn failures_under_load_are_counted_by_kind() {
    let refuses = Behaviour { refuse_events: true, ..Behaviour::default() };
    let (_, report, _) = bench(refuses, "--workload mix --rate 100 --duration 1").await;
    assert_eq!(report.load.answered, 90, "{report}");
    assert_eq!(report.load.errors.get("overloaded"), Some(&10), "{report}");
    assert!(report.floor.errors.is_empty(), "{report}");
    assert!(report.to_string().contains("load: 10 overloaded"), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["load"]["errors"]["overloaded"], 10);
    assert!(json["ratios"]["p999"].is_number());
}

#[tokio::test]
async fn made_up_items_are_put_first_and_said() {
    let line = "--items 4500 --dimensions 8 --rate 20 --duration 1";
    let (behaviour, report, said) = bench(Behaviour::default(), line).await;
    assert_eq!(behaviour.items.load(Ordering::SeqCst), 4500);
    assert_eq!(report.items_put, 4500);
    assert!(said[0].contains("4500 made-up items"), "{said:?}");
}

#[tokio::test]
async fn another_machine_is_not_loaded_by_mistake() {
    for target in ["http://192.0.2.1:8080", "nonsense"] {
        let line = format!("--target {target} --key /nowhere");
        let refused = run(&args(&line).unwrap(), |_| ()).await.unwrap_err();
        assert!(matches!(refused, BenchError::Remote { .. }), "{refused}");
    }
    let line = "--target http://[::1]:9 --key /nowhere";
    let error = run(&args(line).unwrap(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("no key file /nowhere"), "{error}");
}

#[test]
fn arguments_have_bounds() {
    for bad in [
        "",
        "--key k --tokens t",
        "--key k --rate 0",
        "--key k --rate 1000000",
        "--key k --duration 0",
        "--key k --people 0",
        "--key k --workload all",
        "--key k --home E_U",
    ] {
        assert!(args(bad).is_err(), "{bad}");
    }
}
