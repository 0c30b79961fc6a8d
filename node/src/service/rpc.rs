//! The service as tonic calls it.

use std::sync::Arc;

use bailiwick_net::grpc::PeerInfo;
use bailiwick_proto::edge::node_server::Node;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::{edge, v1};
use tonic::{Request, Response, Status};

use super::State;

/// Answers routers.
#[derive(Clone)]
pub struct NodeService(Arc<State>);

impl NodeService {
    /// A service over `state`.
    #[must_use]
    pub fn new(state: Arc<State>) -> Self {
        Self(state)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    result.map(Response::new).map_err(Status::from)
}

#[tonic::async_trait]
impl Node for NodeService {
    async fn recommend(
        &self,
        request: Request<edge::RecommendCall>,
    ) -> Answer<v1::RecommendResponse> {
        answer(self.0.recommend(request.into_inner()).await)
    }

    async fn record_events(
        &self,
        request: Request<edge::RecordEventsCall>,
    ) -> Answer<v1::RecordEventsResponse> {
        answer(self.0.record_events(request.into_inner()).await)
    }

    async fn get_consent(&self, request: Request<edge::GetConsentCall>) -> Answer<v1::Consent> {
        answer(self.0.get_consent(request.into_inner()).await)
    }

    async fn put_consent(&self, request: Request<edge::PutConsentCall>) -> Answer<v1::Consent> {
        answer(self.0.put_consent(request.into_inner()).await)
    }

    async fn get_interests(
        &self,
        request: Request<edge::GetInterestsCall>,
    ) -> Answer<v1::Interests> {
        answer(self.0.get_interests(request.into_inner()).await)
    }

    async fn put_interests(
        &self,
        request: Request<edge::PutInterestsCall>,
    ) -> Answer<v1::Interests> {
        answer(self.0.put_interests(request.into_inner()).await)
    }

    async fn export(&self, request: Request<edge::ExportCall>) -> Answer<v1::ExportResponse> {
        answer(self.0.export(request.into_inner()).await)
    }

    async fn erase(&self, request: Request<edge::EraseCall>) -> Answer<v1::ErasureReceipt> {
        answer(self.0.erase(request.into_inner()).await)
    }

    async fn get_erasure(&self, request: Request<edge::GetErasureCall>) -> Answer<v1::Erasure> {
        answer(self.0.get_erasure(request.into_inner()).await)
    }

    async fn issue_receipt(
        &self,
        request: Request<edge::IssueReceiptCall>,
    ) -> Answer<edge::Receipt> {
        let token = request.into_inner().caller.and_then(|caller| caller.token).unwrap_or_default();
        let receipt = self.0.receipt_for_token(&token).await;
        answer(receipt.map(|receipt| edge::Receipt { receipt }))
    }

    async fn note_slice(
        &self,
        request: Request<edge::NoteSliceCall>,
    ) -> Answer<edge::NoteSliceAnswer> {
        let domain = peer_domain(&request)?;
        let token = request.into_inner().caller.and_then(|caller| caller.token).unwrap_or_default();
        let noted = self.0.note_slice(&token, &domain).await;
        answer(noted.map(|()| edge::NoteSliceAnswer {}))
    }

    async fn put_items(
        &self,
        request: Request<edge::PutItemsCall>,
    ) -> Answer<v1::PutItemsResponse> {
        answer(self.0.put_items(request.into_inner()).await)
    }

    async fn get_item(&self, request: Request<edge::GetItemCall>) -> Answer<v1::Item> {
        answer(self.0.get_item(request.into_inner()))
    }

    async fn delete_item(
        &self,
        request: Request<edge::DeleteItemCall>,
    ) -> Answer<v1::DeleteItemResponse> {
        answer(self.0.delete_item(request.into_inner()).await)
    }

    async fn cluster_status(
        &self,
        request: Request<edge::ClusterStatusCall>,
    ) -> Answer<v1::ClusterStatus> {
        answer(self.0.cluster_status(request.into_inner()).await)
    }

    async fn start_learning(
        &self,
        request: Request<edge::StartLearningCall>,
    ) -> Answer<v1::LearningStatus> {
        answer(self.0.start_learning(request.into_inner()).await)
    }

    async fn learning_status(
        &self,
        request: Request<edge::LearningStatusCall>,
    ) -> Answer<v1::LearningStatus> {
        answer(self.0.learning_status(request.into_inner()).await)
    }

    async fn roll_back_model(
        &self,
        request: Request<edge::RollBackModelCall>,
    ) -> Answer<v1::LearningStatus> {
        answer(self.0.roll_back_model(request.into_inner()).await)
    }

    async fn get_topology(
        &self,
        request: Request<edge::GetTopologyCall>,
    ) -> Answer<edge::Topology> {
        answer(Ok(self.0.topology(request.get_ref())))
    }

    async fn echo(&self, request: Request<v1::EchoRequest>) -> Answer<v1::EchoResponse> {
        answer(Ok(State::echo(request.get_ref())))
    }
}

/// The domain in the calling peer's certificate.
fn peer_domain<T>(request: &Request<T>) -> Result<bailiwick_core::ids::DomainId, Status> {
    let info = request.extensions().get::<PeerInfo>();
    info.map(|info| info.identity.domain.clone())
        .ok_or_else(|| Status::unauthenticated("the peer has no certificate"))
}
