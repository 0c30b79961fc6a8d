//! HTTP+JSON: one route an operation; the head decides before the body is read.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::routing::MethodFilter;
use bailiwick_core::kind::Kind;
use bailiwick_core::limits;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::{v1, validate};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderName, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::answer::{HttpFailure, json, message, redirect};
use crate::edge::{Admitted, Edge, Turned};
use crate::openapi;
use crate::operation::{Content, Operation};
use crate::serve::peer_of;
use crate::span::Spanned;
use crate::upload::{Lines, Upload};
use crate::visit::Visit;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes of the public port.
pub(crate) fn routes(edge: &Arc<Edge>) -> Router {
    let mut router = Router::new();
    for operation in Operation::ALL {
        let edge = Arc::clone(edge);
        let handler = move |request: Request| async move { handle(edge, operation, request).await };
        let Ok(filter) = MethodFilter::try_from(operation.method()) else { continue };
        router = router.route(operation.path(), axum::routing::on(filter, handler));
    }
    let document = Bytes::from(openapi::document().to_string());
    let document = move || async move { open(document) };
    router
        .route("/openapi.json", axum::routing::get(document))
        .method_not_allowed_fallback(|| async { HttpFailure::method().into_response() })
        .fallback(|| async {
            let missing = Failure::new(Kind::NotFound, "there is no such path; see /openapi.json");
            HttpFailure::from(missing).into_response()
        })
}

fn open(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

async fn handle(edge: Arc<Edge>, operation: Operation, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let span = Spanned::begin(&edge, operation);
    let admitted = edge.admit(operation, &parts.headers, peer_of(&parts.extensions));
    let Admitted { visit, permit } = match admitted {
        Ok(admitted) => admitted,
        Err(Turned::Elsewhere { edge: home }) => {
            discard(&edge, &parts, body);
            span.redirected();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            return redirect(&home, path);
        }
        Err(Turned::Away(failure)) => {
            discard(&edge, &parts, body);
            span.failed(failure.kind);
            return HttpFailure::from(failure).into_response();
        }
    };
    let answer = perform(&edge, &visit, &mut parts, body).await;
    drop(permit);
    let mut response = match answer {
        Ok(response) => {
            span.answered(&visit);
            response
        }
        Err(failure) => {
            span.failed(failure.kind());
            failure.into_response()
        }
    };
    if let Ok(id) = HeaderValue::from_str(&visit.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

type Answer = Result<Response<Body>, HttpFailure>;

/// Events that wait for their group were accepted, and no more.
fn recorded(answer: &v1::RecordEventsResponse) -> Answer {
    let mut response = message(answer)?;
    if answer.stored.starts_with("buffer@") {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// What goes on after the answer, and where it can be asked how far it is.
fn accepted(receipt: &v1::ErasureReceipt) -> Answer {
    let mut response = message(receipt)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/erasures/{}", receipt.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

async fn perform(edge: &Edge, visit: &Visit, parts: &mut Parts, body: Body) -> Answer {
    let operation = visit.operation;
    let query = Query::of(parts, operation)?;
    let text = match operation.content() {
        Content::Message => whole(edge, parts, body).await?,
        Content::Lines => return upload(edge, visit, parts, body).await,
        Content::Nothing => Bytes::new(),
    };
    let path = param(parts).await;
    match operation {
        Operation::Recommend => message(&edge.recommend(visit, read(&text)?).await?),
        Operation::RecordEvents => recorded(&edge.record_events(visit, read(&text)?).await?),
        Operation::GetConsent => {
            let request = v1::GetConsentRequest { revision: query.text("revision") };
            message(&edge.get_consent(visit, request).await?)
        }
        Operation::PutConsent => message(&edge.put_consent(visit, read(&text)?).await?),
        Operation::GetInterests => {
            let request = v1::GetInterestsRequest { revision: query.text("revision") };
            message(&edge.get_interests(visit, request).await?)
        }
        Operation::PutInterests => message(&edge.put_interests(visit, read(&text)?).await?),
        Operation::Export => message(&edge.export(visit).await?),
        Operation::Erase => accepted(&edge.erase(visit).await?),
        Operation::GetErasure => {
            message(&edge.get_erasure(visit, v1::GetErasureRequest { id: path? }).await?)
        }
        // Its body was taken above.
        Operation::PutItems => Err(Failure::new(Kind::Broken, "an upload without lines").into()),
        Operation::GetItem => {
            message(&edge.get_item(visit, v1::GetItemRequest { item: path? }).await?)
        }
        Operation::DeleteItem => {
            message(&edge.delete_item(visit, v1::DeleteItemRequest { item: path? }).await?)
        }
        Operation::ListPolicies => message(&edge.list_policies()?),
        Operation::GetPolicy => {
            let request = v1::GetPolicyRequest { pack: path?, version: query.number("version")? };
            message(&edge.get_policy(&request)?)
        }
        Operation::ClusterStatus => message(&edge.cluster_status(visit).await?),
        Operation::StartLearning => message(&edge.start_learning(visit, read(&text)?).await?),
        Operation::LearningStatus => message(&edge.learning_status(visit).await?),
        Operation::RollBackModel => {
            let v1::RollBackModelRequest {} = read(&text)?;
            message(&edge.roll_back_model(visit).await?)
        }
        Operation::Echo => message(&edge.echo(visit, read(&text)?).await?),
    }
}

/// An empty body is an empty message.
fn read<T: DeserializeOwned + Default>(text: &[u8]) -> Result<T, Failure> {
    if text.iter().all(u8::is_ascii_whitespace) {
        Ok(T::default())
    } else {
        validate::read_json(text)
    }
}

/// The one variable part of the path, percent-decoded.
async fn param(parts: &mut Parts) -> Result<String, Failure> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Failure::new(Kind::Invalid, "the path is not UTF-8"))?;
    let first = params.iter().next().map(|(_, value)| value.to_owned());
    first.ok_or_else(|| Failure::new(Kind::Broken, "the path has no variable part"))
}

/// The query's parameters, each of them known and given once.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(parts: &Parts, operation: Operation) -> Result<Self, Failure> {
        let found = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let found = found.map_err(|_| Failure::new(Kind::Invalid, "the query can't be read"))?.0;
        let mut known = operation.query().to_vec();
        for (name, _) in &found {
            let Some(at) = known.iter().position(|one| one == name) else {
                let short: String = name.chars().take(40).collect();
                let words = format!(
                    "the query parameter `{}` is unknown or repeated",
                    short.escape_debug()
                );
                return Err(Failure { field: Some(short), ..Failure::new(Kind::Invalid, words) });
            };
            known.swap_remove(at);
        }
        Ok(Self(found))
    }

    fn text(&self, wanted: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    }

    fn number(&self, wanted: &str) -> Result<Option<u32>, Failure> {
        let parse = |text: String| {
            let bad = |_| Failure::invalid(wanted, format!("{wanted} is not a whole number"));
            text.parse().map_err(bad)
        };
        self.text(wanted).map(parse).transpose()
    }
}

/// Bytes that a body says it has.
fn announced(parts: &Parts) -> usize {
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or_default()
}

async fn whole(edge: &Edge, parts: &Parts, mut body: Body) -> Result<Bytes, HttpFailure> {
    const MAX: usize = limits::BODY_BYTES_MAX;
    let wait = edge.config.limits.body_timeout;
    if announced(parts) > MAX {
        discard(edge, parts, body);
        return Err(HttpFailure::too_large(MAX));
    }
    match timeout(wait, Limited::new(&mut body, MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(edge, parts, body);
            Err(HttpFailure::too_large(MAX))
        }
        Ok(Err(_)) => Err(broken_off()),
        Err(_) => Err(HttpFailure::too_slow()),
    }
}

/// Reads on, within bounds, what nobody wants. A connection that is closed under a client that still sends is
/// reset, and the answer that was on its way may be lost. Who asked first whether to send needs none of it, nor
/// does a body so small that it came with its head.
fn discard(edge: &Edge, parts: &Parts, body: Body) {
    const MAX: usize = 16 << 20;
    const SMALL: usize = 4 << 10;
    let small = parts.headers.contains_key(CONTENT_LENGTH) && announced(parts) <= SMALL;
    if small || body.is_end_stream() || parts.headers.contains_key(EXPECT) {
        return;
    }
    let wait = edge.config.limits.body_timeout;
    edge.tasks.spawn_droppable("discard", async move {
        let mut body = Limited::new(body, MAX);
        let read = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = timeout(wait, read).await;
    });
}

fn broken_off() -> HttpFailure {
    Failure::new(Kind::Invalid, "the body broke off").into()
}

async fn upload(edge: &Edge, visit: &Visit, parts: &Parts, body: Body) -> Answer {
    const MAX: usize = limits::ITEMS_BODY_BYTES_MAX;
    if announced(parts) > MAX {
        discard(edge, parts, body);
        return Err(HttpFailure::too_large(MAX));
    }
    let mut body = Limited::new(body, MAX);
    let (mut lines, mut number) = (Lines::default(), 0);
    let mut upload = Upload::new(edge, visit);
    while let Some(frame) = next_frame(&mut body, edge.config.limits.body_timeout).await? {
        lines.push(&frame);
        while let Some(line) = lines.next() {
            number += 1;
            line.put(number, &mut upload).await?;
        }
    }
    if let Some(line) = lines.last() {
        line.put(number + 1, &mut upload).await?;
    }
    message(&upload.finish().await?)
}

/// The next bytes; none at the end.
async fn next_frame(
    body: &mut Limited<Body>,
    wait: Duration,
) -> Result<Option<Bytes>, HttpFailure> {
    loop {
        match timeout(wait, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(HttpFailure::too_large(limits::ITEMS_BODY_BYTES_MAX));
            }
            Ok(Some(Err(_))) => return Err(broken_off()),
            Err(_) => return Err(HttpFailure::too_slow()),
        }
    }
}

/// The routes of the admin port.
pub(crate) fn admin(edge: &Arc<Edge>) -> Router {
    let (ready, metered) = (Arc::clone(edge), Arc::clone(edge));
    Router::new()
        .route("/livez", axum::routing::get(|| async { "alive\n" }))
        .route("/readyz", axum::routing::get(move || async move { readiness(&ready) }))
        .route("/metrics", axum::routing::get(move || async move { metrics(&metered) }))
        .fallback(|| async {
            let missing = Failure::new(Kind::NotFound, "there is no such path");
            HttpFailure::from(missing).into_response()
        })
}

fn readiness(edge: &Edge) -> Response<Body> {
    let pending = edge.pending();
    let status = match pending.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &serde_json::json!({ "ready": pending.is_empty(), "pending": pending }))
}

fn metrics(edge: &Edge) -> Response<Body> {
    let text = edge.metrics_text();
    let mut response = Response::new(Body::from(text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
