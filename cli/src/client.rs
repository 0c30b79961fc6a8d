//! A small client of a router's HTTP+JSON interface: keep-alive, a bearer token, one deadline a request.

use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::v1;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a request brought no answer of the kind that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not `http://host:port`.
    #[error("`{address}` is not an address of the form http://host:port")]
    Address {
        /// What was given.
        address: String,
    },
    /// A token or header with characters that no header may have.
    #[error("the {what} has characters that no header may have")]
    Header {
        /// Which.
        what: &'static str,
    },
    /// No connection, or one that broke.
    #[error("no answer from {address}: {problem}")]
    Unreachable {
        /// The router.
        address: String,
        /// What happened, with its causes.
        problem: String,
    },
    /// The deadline passed.
    #[error("no answer within {} ms", after.as_millis())]
    Late {
        /// The deadline.
        after: Duration,
    },
    /// The router sends the request elsewhere.
    #[error("redirected to {to}")]
    Elsewhere {
        /// The address to ask.
        to: String,
    },
    /// The router answered with an error.
    #[error("{status}: {failure}")]
    Failed {
        /// The HTTP status.
        status: StatusCode,
        /// The error in its body.
        failure: Failure,
    },
    /// The answer or the request is not the JSON that it should be.
    #[error("{what} is not the JSON expected: {problem}")]
    Json {
        /// Which of the two.
        what: &'static str,
        /// Where it went wrong.
        problem: String,
    },
}

impl ClientError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } | Self::Header { .. } => Kind::Invalid,
            Self::Elsewhere { .. } => Kind::Refused,
            Self::Unreachable { .. } | Self::Late { .. } => Kind::Uncertain,
            Self::Failed { failure, .. } => failure.kind,
            Self::Json { .. } => Kind::Broken,
        }
    }
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// One router and who asks it. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: String,
    headers: HeaderMap,
    deadline: Duration,
}

impl std::fmt::Debug for Client {
    /// Without the headers: one of them is the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// A client without a token. `address` is `http://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(address: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::Address { address: address.chars().take(200).collect() };
        let uri: Uri = address.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() || uri.path() != "/" {
            return Err(bad());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool =
            Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { pool, address, headers: HeaderMap::new(), deadline: DEADLINE })
    }

    /// The same router, asked by the holder of `token`.
    ///
    /// # Errors
    /// [`ClientError::Header`].
    pub fn with_token(&self, token: &str) -> Result<Self, ClientError> {
        let what = "token";
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| ClientError::Header { what })?;
        value.set_sensitive(true);
        Ok(self.with(header::AUTHORIZATION, value))
    }

    /// The same, with one more header: `sec-gpc`, for example.
    #[must_use]
    pub fn with(&self, name: HeaderName, value: HeaderValue) -> Self {
        let mut same = self.clone();
        same.headers.insert(name, value);
        same
    }

    /// The same, with another deadline a request (30 s unless told).
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The router's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        read(&self.send(Method::GET, path, Bytes::new()).await?)
    }

    /// `POST path` with a message.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<Q, A>(&self, path: &str, message: &Q) -> Result<A, ClientError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        read(&self.send(Method::POST, path, to_json(message)?).await?)
    }

    /// `PUT path` with a message.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put<Q, A>(&self, path: &str, message: &Q) -> Result<A, ClientError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        read(&self.send(Method::PUT, path, to_json(message)?).await?)
    }

    /// Uploads items, one a line. The whole must stay below
    /// [`ITEMS_BODY_BYTES_MAX`](bailiwick_core::limits::ITEMS_BODY_BYTES_MAX): a few thousand items a call.
    ///
    /// # Errors
    /// [`ClientError`]; lines that were refused are no error but stand in the answer.
    pub async fn put_items(&self, items: &[v1::Item]) -> Result<v1::PutItemsResponse, ClientError> {
        let mut lines = Vec::new();
        for item in items {
            lines.extend_from_slice(&to_json(item)?);
            lines.push(b'\n');
        }
        read(&self.send(Method::PUT, "/v1/items", lines.into()).await?)
    }

    /// Sends `body` as it is; the answer may have any status.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::Late`].
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Raw, ClientError> {
        let address = format!("{}{path}", self.address);
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() =
            address.parse().map_err(|_| ClientError::Address { address: address.clone() })?;
        *request.method_mut() = method;
        *request.headers_mut() = self.headers.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
        match tokio::time::timeout(self.deadline, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Late { after: self.deadline }),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Raw, ClientError> {
        let answer = self.pool.request(request).await.map_err(|error| self.unreachable(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(error.as_ref()))?.to_bytes();
        Ok(Raw { status: head.status, headers: head.headers, body })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ClientError {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let problem = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        ClientError::Unreachable { address: self.address.clone(), problem }
    }
}

fn to_json<Q: Serialize>(message: &Q) -> Result<Bytes, ClientError> {
    let json = serde_json::to_vec(message)
        .map_err(|error| ClientError::Json { what: "the request", problem: error.to_string() })?;
    Ok(json.into())
}

/// Reads a message out of an answer, or the error that stands in it.
///
/// # Errors
/// [`ClientError`].
pub fn read<A: DeserializeOwned>(raw: &Raw) -> Result<A, ClientError> {
    if raw.status.is_success() {
        return serde_json::from_slice(&raw.body)
            .map_err(|error| ClientError::Json { what: "the answer", problem: error.to_string() });
    }
    let to = raw.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    match to.filter(|_| raw.status.is_redirection()) {
        Some(to) => Err(ClientError::Elsewhere { to: to.to_owned() }),
        None => Err(ClientError::Failed { status: raw.status, failure: failure(raw) }),
    }
}

#[derive(serde::Deserialize)]
struct Body {
    error: Detail,
}

#[derive(serde::Deserialize)]
struct Detail {
    kind: String,
    message: String,
    field: Option<String>,
    retry_after_ms: Option<u64>,
}

/// The failure in an answer; one without a readable body is known by its status alone.
fn failure(raw: &Raw) -> Failure {
    let Ok(Body { error }) = serde_json::from_slice(&raw.body) else {
        let text = String::from_utf8_lossy(&raw.body).chars().take(200).collect::<String>();
        return Failure::new(kind_of(raw.status), text);
    };
    let named = Kind::ALL.into_iter().find(|kind| kind.as_str() == error.kind);
    Failure {
        kind: named.unwrap_or_else(|| kind_of(raw.status)),
        message: error.message,
        field: error.field,
        retry_after: error.retry_after_ms.map(Duration::from_millis),
    }
}

fn kind_of(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::Refused,
        404 => Kind::NotFound,
        409 => Kind::Stale,
        429 => Kind::Overloaded,
        503 => Kind::Unavailable,
        504 => Kind::Uncertain,
        400..=499 => Kind::Invalid,
        _ => Kind::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for address in ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:80"] {
            assert!(Client::new(address).is_ok(), "{address}");
        }
        for address in ["", "127.0.0.1", "https://a", "http://a/v1", "ftp://a"] {
            assert!(Client::new(address).is_err(), "{address}");
        }
    }

    #[test]
    fn answers_become_messages_or_failures() {
        let answer = |status: u16, body: &'static str| Raw {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let consent: v1::Consent = read(&answer(200, r#"{"consent": "granted"}"#)).unwrap();
        assert_eq!(consent.consent, "granted");
        let kind = |raw: Raw| read::<v1::Consent>(&raw).unwrap_err().kind();
        let body = r#"{"error": {"kind": "stale", "message": "m", "retry_after_ms": 5}}"#;
        assert_eq!(kind(answer(409, body)), Kind::Stale);
        assert_eq!(kind(answer(503, "<html>")), Kind::Unavailable);
        assert_eq!(kind(answer(200, "{}}")), Kind::Broken);
        let mut moved = answer(307, "");
        moved.headers.insert(header::LOCATION, HeaderValue::from_static("http://home/"));
        assert!(
            matches!(read::<v1::Consent>(&moved), Err(ClientError::Elsewhere { to }) if to == "http://home/")
        );
    }

    #[test]
    fn the_token_does_not_show() {
        let client = Client::new("http://localhost").unwrap().with_token("secret").unwrap();
        assert!(!format!("{client:?} {:?}", client.headers).contains("secret"));
        assert!(client.with_token("a\nb").is_err());
    }
}
