//! gRPC and gRPC-Web: the same operations, let in by the same head before the message is read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::middleware::{Next, from_fn};
use bailiwick_core::kind::Kind;
use bailiwick_core::limits;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::v1;
use bailiwick_proto::v1::cluster_server::{Cluster, ClusterServer};
use bailiwick_proto::v1::events_server::{Events, EventsServer};
use bailiwick_proto::v1::items_server::{Items, ItemsServer};
use bailiwick_proto::v1::learning_server::{Learning, LearningServer};
use bailiwick_proto::v1::person_server::{Person, PersonServer};
use bailiwick_proto::v1::policies_server::{Policies, PoliciesServer};
use bailiwick_proto::v1::probe_server::{Probe, ProbeServer};
use bailiwick_proto::v1::recommendations_server::{Recommendations, RecommendationsServer};
use http::Response as HttpResponse;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::edge::{Admitted, Edge, Turned};
use crate::operation::{Content, Operation};
use crate::serve::peer_of;
use crate::span::Spanned;
use crate::upload::Upload;
use crate::visit::Visit;

/// Where the person's home takes requests, in the metadata of a status.
pub(crate) const HOME_EDGE: &str = "bailiwick-home-edge";

/// The gRPC services, behind gRPC-Web's translation.
pub(crate) fn routes(
    edge: &Arc<Edge>,
    health: HealthReporter,
) -> Result<axum::Router, tonic_reflection::server::Error> {
    let api = Api(Arc::clone(edge));
    let most = limits::BODY_BYTES_MAX;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let mut services = Routes::builder();
    services
        .add_service(RecommendationsServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(EventsServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(PersonServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(ItemsServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(PoliciesServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(ClusterServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(LearningServer::new(api.clone()).max_decoding_message_size(most))
        .add_service(ProbeServer::new(api).max_decoding_message_size(most + 1024))
        .add_service(HealthServer::new(HealthService::from_health_reporter(health)))
        .add_service(reflection);
    let edge = Arc::clone(edge);
    let gate = from_fn(move |request, next| gate(Arc::clone(&edge), request, next));
    let inner = services.routes().into_axum_router().layer(gate);
    let web = tower::Layer::layer(&tonic_web::GrpcWebLayer::new(), inner);
    Ok(axum::Router::new().fallback_service(web))
}

/// Lets the head of a call in, or answers it before its message is read.
async fn gate(edge: Arc<Edge>, mut request: HttpRequest, next: Next) -> HttpResponse<Body> {
    let Some(operation) = Operation::of_rpc(request.uri().path()) else {
        return next.run(request).await;
    };
    let span = Spanned::begin(&edge, operation);
    let peer = peer_of(request.extensions());
    let Admitted { visit, permit } = match edge.admit(operation, request.headers(), peer) {
        Ok(admitted) => admitted,
        Err(Turned::Elsewhere { edge: home }) => {
            span.redirected();
            return elsewhere(&home).into_http();
        }
        Err(Turned::Away(failure)) => {
            span.failed(failure.kind);
            return Status::from(failure).into_http();
        }
    };
    let visit = Arc::new(visit);
    request.extensions_mut().insert(Arc::clone(&visit));
    let wait = visit.patience + edge.config.limits.body_timeout;
    let response = match operation.content() {
        // A stream has a bound for each of its pauses instead.
        Content::Lines => Ok(next.run(request).await),
        Content::Message | Content::Nothing => timeout(wait, next.run(request)).await,
    };
    drop(permit);
    let Ok(response) = response else {
        span.failed(Kind::Invalid);
        return Status::from(Failure::new(Kind::Invalid, "the message did not come in time"))
            .into_http();
    };
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != tonic::Code::Ok => {
            span.failed(Failure::from(status).kind);
        }
        _ => span.answered(&visit),
    }
    response
}

fn elsewhere(home: &str) -> Status {
    let words = "this person's data lives elsewhere: ask the edge named in bailiwick-home-edge";
    let mut status = Status::from(Failure::new(Kind::Stale, words));
    if let Ok(value) = home.parse() {
        status.metadata_mut().insert(HOME_EDGE, value);
    }
    status
}

/// The services of `bailiwick.v1`.
#[derive(Clone)]
struct Api(Arc<Edge>);

fn visit<T>(request: &Request<T>) -> Result<Arc<Visit>, Status> {
    let found = request.extensions().get::<Arc<Visit>>();
    found.cloned().ok_or_else(|| Status::internal("the request was not let in"))
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Recommendations for Api {
    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Answered<v1::RecommendResponse> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.recommend(&visit, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl Events for Api {
    async fn record(
        &self,
        request: Request<v1::RecordEventsRequest>,
    ) -> Answered<v1::RecordEventsResponse> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.record_events(&visit, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl Person for Api {
    async fn get_consent(&self, request: Request<v1::GetConsentRequest>) -> Answered<v1::Consent> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.get_consent(&visit, request.into_inner()).await?))
    }

    async fn put_consent(&self, request: Request<v1::PutConsentRequest>) -> Answered<v1::Consent> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.put_consent(&visit, request.into_inner()).await?))
    }

    async fn get_interests(
        &self,
        request: Request<v1::GetInterestsRequest>,
    ) -> Answered<v1::Interests> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.get_interests(&visit, request.into_inner()).await?))
    }

    async fn put_interests(
        &self,
        request: Request<v1::PutInterestsRequest>,
    ) -> Answered<v1::Interests> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.put_interests(&visit, request.into_inner()).await?))
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Answered<v1::ExportResponse> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.export(&visit).await?))
    }

    async fn erase(&self, request: Request<v1::EraseRequest>) -> Answered<v1::ErasureReceipt> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.erase(&visit).await?))
    }

    async fn get_erasure(&self, request: Request<v1::GetErasureRequest>) -> Answered<v1::Erasure> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.get_erasure(&visit, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl Items for Api {
    async fn put(&self, request: Request<Streaming<v1::Item>>) -> Answered<v1::PutItemsResponse> {
        let visit = visit(&request)?;
        let mut items = request.into_inner();
        let mut upload = Upload::new(&self.0, &visit);
        let wait = self.0.config.limits.body_timeout;
        let late = |_| Failure::new(Kind::Invalid, "the next item did not come in time");
        let mut number = 0;
        while let Some(item) = timeout(wait, items.message()).await.map_err(late)?? {
            number += 1;
            upload.item(number, item).await?;
        }
        Ok(Response::new(upload.finish().await?))
    }

    async fn get(&self, request: Request<v1::GetItemRequest>) -> Answered<v1::Item> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.get_item(&visit, request.into_inner()).await?))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteItemRequest>,
    ) -> Answered<v1::DeleteItemResponse> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.delete_item(&visit, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl Policies for Api {
    async fn list(
        &self,
        _: Request<v1::ListPoliciesRequest>,
    ) -> Answered<v1::ListPoliciesResponse> {
        Ok(Response::new(self.0.list_policies()?))
    }

    async fn get(&self, request: Request<v1::GetPolicyRequest>) -> Answered<v1::Policy> {
        Ok(Response::new(self.0.get_policy(request.get_ref())?))
    }
}

#[tonic::async_trait]
impl Cluster for Api {
    async fn status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Answered<v1::ClusterStatus> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.cluster_status(&visit).await?))
    }
}

#[tonic::async_trait]
impl Learning for Api {
    async fn start(
        &self,
        request: Request<v1::StartLearningRequest>,
    ) -> Answered<v1::LearningStatus> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.start_learning(&visit, request.into_inner()).await?))
    }

    async fn status(
        &self,
        request: Request<v1::LearningStatusRequest>,
    ) -> Answered<v1::LearningStatus> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.learning_status(&visit).await?))
    }

    async fn roll_back(
        &self,
        request: Request<v1::RollBackModelRequest>,
    ) -> Answered<v1::LearningStatus> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.roll_back_model(&visit).await?))
    }
}

#[tonic::async_trait]
impl Probe for Api {
    async fn echo(&self, request: Request<v1::EchoRequest>) -> Answered<v1::EchoResponse> {
        let visit = visit(&request)?;
        Ok(Response::new(self.0.echo(&visit, request.into_inner()).await?))
    }
}
