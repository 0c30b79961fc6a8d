use super::rig::{Rig, rig};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::v1;
use bailiwick_proto::v1::events_client::EventsClient;
use bailiwick_proto::v1::items_client::ItemsClient;
use bailiwick_proto::v1::person_client::PersonClient;
use bailiwick_proto::v1::recommendations_client::RecommendationsClient;
use prost::Message as _;
use tonic::{Code, Request};

use crate::grpc_api::HOME_EDGE;

fn asked<T>(rig: &Rig, (home, scopes): (&str, &str), message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", rig.token(home, scopes));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    request
}

#[tokio::test]
async fn the_same_answers_come_over_grpc() {
    let rig = rig("eu", "EU-DE").await;
    let mut client = RecommendationsClient::new(rig.channel().await);
    let mut request = asked(&rig, ("EU-DE", "recommend"), v1::RecommendRequest::default());
    request.metadata_mut().insert("sec-gpc", "1".parse().unwrap());
    let answer = client.recommend(request).await.unwrap().into_inner();
    assert_eq!(answer.served_by.unwrap().domain, "eu");
    assert_eq!(answer.home_edge.unwrap(), "http://eu.example:8080");
    assert!(rig.seen("recommend")[0].1.caller.gpc);
    client.recommend(v1::RecommendRequest::default()).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn failures_have_the_same_kinds_and_fields() {
    let rig = rig("eu", "EU-DE").await;
    let mut client = RecommendationsClient::new(rig.channel().await);
    let bad = v1::RecommendRequest { limit: Some(0), ..Default::default() };
    let status = client.recommend(asked(&rig, ("EU-DE", "recommend"), bad)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(Failure::from(status).field.as_deref(), Some("limit"));
    let mut forged = Request::new(v1::RecommendRequest::default());
    forged.metadata_mut().insert("authorization", "Bearer x".parse().unwrap());
    assert_eq!(client.recommend(forged).await.unwrap_err().code(), Code::Unauthenticated);
    let request = asked(&rig, ("EU-DE", "person"), v1::RecommendRequest::default());
    let status = client.recommend(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("`recommend`"));

    let event = |value| v1::Event {
        id: "1".into(),
        item: "1".into(),
        kind: "rate".into(),
        value: Some(value),
        ..Default::default()
    };
    let mut events = EventsClient::new(rig.channel().await);
    let batch = v1::RecordEventsRequest { events: vec![event(f64::NAN)], receipt: None };
    let status = events.record(asked(&rig, ("EU-DE", "events"), batch)).await.unwrap_err();
    assert_eq!(Failure::from(status).field.as_deref(), Some("events[0].value"));
    let large = v1::Event { log_id: Some("x".repeat(2 << 20)), ..event(1.0) };
    let batch = v1::RecordEventsRequest { events: vec![large], receipt: None };
    let status = events.record(asked(&rig, ("EU-DE", "events"), batch)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    rig.end().await;
}

#[tokio::test]
async fn a_foreign_edge_names_the_home_edge() {
    let rig = rig("us", "US-NY").await;
    let mut client = PersonClient::new(rig.channel().await);
    let request = asked(&rig, ("EU-DE", "person"), v1::GetConsentRequest::default());
    let status = client.get_consent(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.metadata().get(HOME_EDGE).unwrap(), "http://eu.example:8080");
    assert!(rig.seen("get_consent").is_empty());
    rig.end().await;
}

#[tokio::test]
async fn items_are_streamed() {
    let rig = rig("eu", "EU-DE").await;
    let mut client = ItemsClient::new(rig.channel().await);
    let item = |n: u32| v1::Item { item: n.to_string(), ..Default::default() };
    let bad = v1::Item { vector: vec![f32::NAN], ..item(3) };
    let items = tokio_stream::iter([item(1), item(2), bad, item(4)]);
    let answer = client.put(asked(&rig, ("EU-DE", "items:write"), items)).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.upserted, 3);
    assert_eq!(answer.errors[0].line, 3);
    rig.end().await;
}

/// A frame of a message, as gRPC-Web carries it in a body.
fn framed(message: &impl prost::Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    frame
}

#[tokio::test]
async fn a_browser_speaks_grpc_web_over_http_1() {
    let rig = rig("eu", "EU-DE").await;
    let call = async |limit: u32| {
        let body = framed(&v1::RecommendRequest { limit: Some(limit), ..Default::default() });
        let request = rig
            .http
            .post(rig.url("/bailiwick.v1.Recommendations/Recommend"))
            .header("content-type", "application/grpc-web+proto")
            .header("origin", "https://app.example")
            .body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let status = response.headers().get("grpc-status").cloned();
        (status, response.bytes().await.unwrap())
    };
    let (_, body) = call(5).await;
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    let answer = v1::RecommendResponse::decode(&body[5..5 + length]).unwrap();
    assert_eq!(answer.served_by.unwrap().domain, "eu");
    let trailers = String::from_utf8_lossy(&body[5 + length + 5..]).into_owned();
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let (status, body) = call(0).await;
    let refused = status.is_some_and(|status| status == "3")
        || String::from_utf8_lossy(&body).contains("grpc-status:3");
    assert!(refused, "{body:?}");
    rig.end().await;
}

#[tokio::test]
async fn health_and_unknown_methods_are_answered() {
    let rig = rig("eu", "EU-DE").await;
    let channel = rig.channel().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status, tonic_health::ServingStatus::Serving as i32);
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = "/bailiwick.v1.Nothing/Here".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<v1::EchoRequest, v1::EchoResponse>::default();
    let found = grpc.unary(Request::new(v1::EchoRequest::default()), path, codec).await;
    assert_eq!(found.unwrap_err().code(), Code::Unimplemented);
    rig.end().await;
}
