//! An app in a simulation: asks a router, as over HTTP.

use std::sync::Arc;

use axum::body::Body;
use bailiwick_router::Desk;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An answer: its status and its body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The message, if it is one of success.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let fine = self.status.is_success();
        fine.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// The kind of failure that it names; empty when it names none.
    #[must_use]
    pub fn kind(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = value.pointer("/error/kind").and_then(Value::as_str);
        kind.unwrap_or_default().to_owned()
    }

    /// Whether the request is proved to have done nothing.
    #[must_use]
    pub fn did_nothing(&self) -> bool {
        !self.status.is_success() && !matches!(self.kind().as_str(), "uncertain" | "broken" | "")
    }

    /// The message that a failure gives.
    #[must_use]
    pub fn words(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = value.pointer("/error/message").and_then(Value::as_str);
        format!("{} {}", self.status.as_u16(), words.unwrap_or_default())
    }
}

/// Somebody with a token, before one router.
#[derive(Clone)]
pub struct Client {
    desk: Arc<Desk>,
    bearer: String,
}

impl Client {
    /// A client with this token.
    #[must_use]
    pub fn new(desk: &Arc<Desk>, token: &str) -> Self {
        Self { desk: Arc::clone(desk), bearer: format!("Bearer {token}") }
    }

    /// Sends JSON, or nothing where it is null.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send_text(method, path, "application/json", text).await
    }

    /// Sends text of any kind.
    pub async fn send_text(&self, method: Method, path: &str, kind: &str, text: String) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::AUTHORIZATION, &self.bearer)
            .header(http::header::CONTENT_TYPE, kind)
            .header(http::header::CONTENT_LENGTH, text.len())
            .body(Body::from(text));
        let request = request.unwrap_or_default();
        let (head, body) = self.desk.ask(request).await.into_parts();
        let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        Answer { status: head.status, body }
    }

    /// Asks for something.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &Value::Null).await
    }
}
