//! A person as an app sees them: a token, an edge, and what they may ask.

use std::time::Duration;

use bailiwick::client::{self, Client, Raw};
use bailiwick::dev::TokenArgs;
use bailiwick_core::ids::Subject;
use bailiwick_core::policy::AgeBand;
use bailiwick_proto::v1;
use bailiwick_proto::v1::recommendations_client::RecommendationsClient;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tonic::Request;

use crate::cluster::Cluster;
use crate::wait::eventually;

/// Whether the global privacy control is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpc {
    /// `Sec-GPC: 1`.
    Sent,
    /// No header.
    Absent,
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub struct Person<'a> {
    cluster: &'a Cluster,
    args: TokenArgs,
    gpc: Gpc,
    receipt: Option<String>,
}

impl<'a> Person<'a> {
    /// An adult at home in `home`, who uses a general app.
    #[must_use]
    pub fn new(cluster: &'a Cluster, subject: &str, home: &str) -> Self {
        Self { cluster, args: cluster.asking(subject, home), gpc: Gpc::Absent, receipt: None }
    }

    /// The same, of another age.
    #[must_use]
    pub fn aged(mut self, age: AgeBand) -> Self {
        self.args.age = age;
        self
    }

    /// The same, in another app: `demo-social`, `demo-vlop`.
    #[must_use]
    pub fn in_app(mut self, client: &str) -> Self {
        client.clone_into(&mut self.args.client);
        self
    }

    /// The same, with a browser that sends the global privacy control or does not.
    #[must_use]
    pub fn sending(mut self, gpc: Gpc) -> Self {
        self.gpc = gpc;
        self
    }

    /// The same, whose app carries a receipt and sends it with events.
    #[must_use]
    pub fn carrying(mut self, receipt: Option<&String>) -> Self {
        self.receipt = receipt.cloned();
        self
    }

    /// A token of theirs.
    #[must_use]
    pub fn token(&self) -> String {
        self.cluster.token(&self.args)
    }

    /// The domain that is their home.
    #[must_use]
    pub fn home(&self) -> String {
        self.args.home.as_str().split('-').next().unwrap_or_default().to_lowercase()
    }

    /// Asks the router of domain `at`.
    ///
    /// # Panics
    /// When the token is not well-formed.
    #[must_use]
    pub fn at(&self, at: &str) -> Client {
        let client = self.cluster.anyone(at).with_token(&self.token()).unwrap();
        match self.gpc {
            Gpc::Absent => client,
            Gpc::Sent => {
                client.with(HeaderName::from_static("sec-gpc"), HeaderValue::from_static("1"))
            }
        }
    }

    /// A ranked list from the router of domain `at`, over HTTP, with home in reach.
    ///
    /// # Panics
    /// When there is none.
    pub async fn list(&self, at: &str, request: &v1::RecommendRequest) -> v1::RecommendResponse {
        let client = self.at(at);
        with_home(|| async { client.post("/v1/recommendations", request).await.unwrap() }).await
    }

    /// The same over gRPC.
    ///
    /// # Panics
    /// When there is none.
    pub async fn list_grpc(
        &self,
        at: &str,
        request: &v1::RecommendRequest,
    ) -> v1::RecommendResponse {
        with_home(|| self.one_list_grpc(at, request)).await
    }

    async fn one_list_grpc(
        &self,
        at: &str,
        request: &v1::RecommendRequest,
    ) -> v1::RecommendResponse {
        let address = self.cluster.url(at);
        let mut client = RecommendationsClient::connect(address).await.unwrap();
        let mut request = Request::new(request.clone());
        let token = format!("Bearer {}", self.token());
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        if self.gpc == Gpc::Sent {
            request.metadata_mut().insert("sec-gpc", "1".parse().unwrap());
        }
        client.recommend(request).await.unwrap().into_inner()
    }

    /// Changes consent or switches at home.
    ///
    /// # Panics
    /// When the change is refused.
    pub async fn says(&self, change: Value) -> v1::Consent {
        self.at(&self.home()).put("/v1/me/consent", &change).await.unwrap()
    }

    /// A guardian consents for them, at home.
    ///
    /// # Panics
    /// When the change is refused.
    pub async fn parent_says(&self, change: Value) -> v1::Consent {
        let guardian = format!("guardian-of-{}", self.args.sub.as_str());
        let args = TokenArgs {
            sub: Subject::new(guardian).unwrap(),
            age: AgeBand::Adult,
            scope: "guardian".into(),
            child: Some(self.args.sub.clone()),
            ..self.args.clone()
        };
        let client = self.cluster.anyone(&self.home());
        let client = client.with_token(&self.cluster.token(&args)).unwrap();
        client.put("/v1/me/consent", &change).await.unwrap()
    }

    /// Sends events to the router of domain `at`; the answer may have any status.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn send_events(&self, at: &str, events: &Value) -> Result<Raw, String> {
        let mut body = json!({ "events": events });
        if let Some(receipt) = &self.receipt {
            body["receipt"] = json!(receipt);
        }
        let body = body.to_string();
        let sent = self.at(at).send(Method::POST, "/v1/events", Bytes::from(body)).await;
        sent.map_err(|error| error.to_string())
    }

    /// One event, taken at home.
    ///
    /// # Panics
    /// When it is not taken.
    pub async fn does(&self, id: &str, kind: &str, item: &str) -> v1::RecordEventsResponse {
        let events = json!([{ "id": id, "kind": kind, "item": item }]);
        client::read(&self.send_events(&self.home(), &events).await.unwrap()).unwrap()
    }

    /// Everything kept of them.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn export(&self) -> Result<v1::ExportResponse, String> {
        let answer = self.at(&self.home()).get("/v1/me/export").await;
        answer.map_err(|error| error.to_string())
    }
}

/// Asks until the answer does not say that home is out of reach: on a crowded machine a replica may not be
/// confirmed in time, and then it says so, lawfully.
async fn with_home<F>(mut ask: impl FnMut() -> F) -> v1::RecommendResponse
where
    F: Future<Output = v1::RecommendResponse>,
{
    let look = || {
        let asked = ask();
        async {
            let answer = asked.await;
            let codes = answer.decision.iter().flat_map(|decision| &decision.reason_codes);
            match codes.into_iter().any(|code| code == "HOME_UNREACHABLE") {
                true => Err(told(&answer)),
                false => Ok(answer),
            }
        }
    };
    eventually("home is in reach", Duration::from_secs(60), look).await.0
}

/// A decision in one line, as the case tables write it:
/// `variant,profile_read,event_store,third_party_data,reason_codes`.
#[must_use]
pub fn told(answer: &v1::RecommendResponse) -> String {
    let decision = answer.decision.clone().unwrap_or_default();
    let v1::Decision { variant, profile_read, event_store, third_party_data, .. } = &decision;
    let codes = decision.reason_codes.join(";");
    format!("{variant},{profile_read},{event_store},{third_party_data},{codes}")
}

/// The ids of a list, in order.
#[must_use]
pub fn ids(answer: &v1::RecommendResponse) -> Vec<&str> {
    answer.items.iter().map(|item| item.item.as_str()).collect()
}

/// A request for `limit` items.
#[must_use]
pub fn of(limit: u32) -> v1::RecommendRequest {
    v1::RecommendRequest { limit: Some(limit), ..v1::RecommendRequest::default() }
}
