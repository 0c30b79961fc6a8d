//! The two interfaces under measurement, with the same questions.

use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::v1;
use bytes::Bytes;
use http::Method;
use prost::Message as _;
use serde::Serialize;
use tonic::transport::{Channel, Endpoint};

use super::{BenchError, Over};
use crate::client::{self, Client, ClientError};

/// Why a request under load failed: the kind, for the table.
pub(super) type Failed = &'static str;

/// A connection to the target. Clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    Http(Box<Client>),
    Grpc(Channel),
}

impl Wire {
    pub(super) async fn open(over: Over, client: &Client) -> Result<Self, BenchError> {
        if over == Over::Http {
            return Ok(Self::Http(Box::new(client.clone())));
        }
        let target = client.address().to_owned();
        let bad = |error: tonic::transport::Error| BenchError::Grpc {
            target: target.clone(),
            problem: error.to_string(),
        };
        let endpoint = Endpoint::from_shared(target.clone()).map_err(bad)?;
        Ok(Self::Grpc(endpoint.tcp_nodelay(true).connect().await.map_err(bad)?))
    }

    /// Bytes of the answer's body.
    pub(super) async fn recommend(
        &self,
        token: &str,
        request: &v1::RecommendRequest,
    ) -> Result<usize, Failed> {
        match self {
            Self::Http(client) => post(client, token, "/v1/recommendations", request).await,
            Self::Grpc(channel) => {
                let mut service =
                    v1::recommendations_client::RecommendationsClient::new(channel.clone());
                let answer = service.recommend(signed(token, request.clone())?).await;
                answer.map(|answer| answer.get_ref().encoded_len()).map_err(named)
            }
        }
    }

    /// Bytes of the answer's body.
    pub(super) async fn record(
        &self,
        token: &str,
        request: &v1::RecordEventsRequest,
    ) -> Result<usize, Failed> {
        match self {
            Self::Http(client) => post(client, token, "/v1/events", request).await,
            Self::Grpc(channel) => {
                let mut service = v1::events_client::EventsClient::new(channel.clone());
                let answer = service.record(signed(token, request.clone())?).await;
                answer.map(|answer| answer.get_ref().encoded_len()).map_err(named)
            }
        }
    }

    /// Bytes of the answer's body.
    pub(super) async fn echo(&self, token: &str, echo: &v1::EchoRequest) -> Result<usize, Failed> {
        match self {
            Self::Http(client) => post(client, token, "/v1/probe", echo).await,
            Self::Grpc(channel) => {
                let mut service = v1::probe_client::ProbeClient::new(channel.clone());
                let answer = service.echo(signed(token, echo.clone())?).await;
                answer.map(|answer| answer.get_ref().encoded_len()).map_err(named)
            }
        }
    }

    /// Bytes that a message takes on this interface.
    pub(super) fn size<M: Serialize + prost::Message>(&self, message: &M) -> usize {
        match self {
            Self::Http(_) => serde_json::to_vec(message).map_or(0, |json| json.len()),
            Self::Grpc(_) => message.encoded_len(),
        }
    }

    /// An echo of about as many bytes there and back.
    pub(super) fn echo_of(&self, request_bytes: usize, answer_bytes: usize) -> v1::EchoRequest {
        let payload = |bytes: usize| match self {
            // In JSON a zero byte of a payload takes two characters.
            Self::Http(_) => bytes.saturating_sub(r#"{"payload":[]}"#.len()) / 2,
            Self::Grpc(_) => bytes.saturating_sub(4),
        };
        let there = payload(request_bytes.saturating_sub(r#","answer_bytes":9999"#.len()));
        let back = u32::try_from(payload(answer_bytes)).unwrap_or(u32::MAX);
        v1::EchoRequest { payload: vec![0; there], answer_bytes: back }
    }
}

async fn post<M: Serialize>(
    client: &Client,
    token: &str,
    path: &str,
    message: &M,
) -> Result<usize, Failed> {
    let body: Bytes = serde_json::to_vec(message).map_err(|_| Kind::Broken.as_str())?.into();
    let client = client.with_token(token).map_err(|error| label(&error))?;
    let raw = client.send(Method::POST, path, body).await.map_err(|error| label(&error))?;
    if raw.status.is_success() {
        return Ok(raw.body.len());
    }
    Err(client::read::<serde_json::Value>(&raw).err().map_or("broken", |error| label(&error)))
}

fn label(error: &ClientError) -> Failed {
    match error {
        ClientError::Unreachable { .. } => "unreachable",
        ClientError::Late { .. } => "late",
        ClientError::Elsewhere { .. } => "redirected",
        other => other.kind().as_str(),
    }
}

fn named(status: tonic::Status) -> Failed {
    Failure::from(status).kind.as_str()
}

fn signed<M>(token: &str, message: M) -> Result<tonic::Request<M>, Failed> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(super::drive::DEADLINE);
    let value = format!("Bearer {token}").parse().map_err(|_| Kind::Invalid.as_str())?;
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}
