//! What each operation does once it was let in, whatever the transport.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_core::policy::Consent;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::{edge, v1, validate};
use tonic::Request;
use tonic::transport::Channel;

use crate::call::{Calling, Effect};
use crate::edge::{DOWN_RETRY, Edge};
use crate::metrics::VariantLabels;
use crate::view::{HeldPack, View};
use crate::visit::Visit;

type Node = bailiwick_proto::edge::node_client::NodeClient<Channel>;
type Answer<T> = Result<T, Failure>;

/// Calls one method of the node with one message, telling it how long it has.
macro_rules! calling {
    ($method:ident, $message:expr) => {
        move |mut node: Node, caller: edge::Caller, left: Duration| -> Calling<_> {
            let make = $message;
            let mut request = Request::new(make(caller));
            request.set_timeout(left);
            Box::pin(async move { node.$method(request).await })
        }
    };
}

impl Edge {
    pub(crate) async fn recommend(
        &self,
        visit: &Visit,
        request: v1::RecommendRequest,
    ) -> Answer<v1::RecommendResponse> {
        validate::recommend(request.clone())?;
        let call = calling!(recommend, |caller| edge::RecommendCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        let mut answer = self.ask(visit, Effect::Read, call).await?;
        if answer.home_edge.is_none() {
            answer.home_edge.clone_from(&visit.home_edge);
        }
        if let Some(decision) = &answer.decision {
            let labels = VariantLabels { variant: decision.variant.clone() };
            self.metrics.variants.get_or_create(&labels).inc();
        }
        Ok(answer)
    }

    pub(crate) async fn record_events(
        &self,
        visit: &Visit,
        request: v1::RecordEventsRequest,
    ) -> Answer<v1::RecordEventsResponse> {
        validate::events(request.clone())?;
        let call = calling!(record_events, |caller| edge::RecordEventsCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn get_consent(
        &self,
        visit: &Visit,
        request: v1::GetConsentRequest,
    ) -> Answer<v1::Consent> {
        validate::revision(request.revision.clone())?;
        let call = calling!(get_consent, |caller| edge::GetConsentCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn put_consent(
        &self,
        visit: &Visit,
        request: v1::PutConsentRequest,
    ) -> Answer<v1::Consent> {
        let change = validate::consent(&request)?;
        if change.consent == Some(Consent::Parental) {
            by_guardian(visit)?;
        }
        let call = calling!(put_consent, |caller| edge::PutConsentCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn get_interests(
        &self,
        visit: &Visit,
        request: v1::GetInterestsRequest,
    ) -> Answer<v1::Interests> {
        validate::revision(request.revision.clone())?;
        let call = calling!(get_interests, |caller| edge::GetInterestsCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn put_interests(
        &self,
        visit: &Visit,
        request: v1::PutInterestsRequest,
    ) -> Answer<v1::Interests> {
        validate::interests(&request)?;
        let call = calling!(put_interests, |caller| edge::PutInterestsCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn export(&self, visit: &Visit) -> Answer<v1::ExportResponse> {
        let call = calling!(export, |caller| edge::ExportCall { caller: Some(caller) });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn erase(&self, visit: &Visit) -> Answer<v1::ErasureReceipt> {
        let call = calling!(erase, |caller| edge::EraseCall { caller: Some(caller) });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn get_erasure(
        &self,
        visit: &Visit,
        request: v1::GetErasureRequest,
    ) -> Answer<v1::Erasure> {
        validate::erasure_id(&request.id)?;
        let call = calling!(get_erasure, |caller| edge::GetErasureCall {
            caller: Some(caller),
            request: Some(request.clone()),
        });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn get_item(
        &self,
        visit: &Visit,
        request: v1::GetItemRequest,
    ) -> Answer<v1::Item> {
        validate::item_id(&request.item)?;
        let call = calling!(get_item, |caller| edge::GetItemCall {
            caller: Some(caller),
            item: request.item.clone(),
        });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn delete_item(
        &self,
        visit: &Visit,
        request: v1::DeleteItemRequest,
    ) -> Answer<v1::DeleteItemResponse> {
        validate::item_id(&request.item)?;
        let call = calling!(delete_item, |caller| edge::DeleteItemCall {
            caller: Some(caller),
            item: request.item.clone(),
        });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn cluster_status(&self, visit: &Visit) -> Answer<v1::ClusterStatus> {
        let call =
            calling!(cluster_status, |caller| edge::ClusterStatusCall { caller: Some(caller) });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn start_learning(
        &self,
        visit: &Visit,
        request: v1::StartLearningRequest,
    ) -> Answer<v1::LearningStatus> {
        let call = calling!(start_learning, |caller| edge::StartLearningCall {
            caller: Some(caller),
            request: Some(request),
        });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn learning_status(&self, visit: &Visit) -> Answer<v1::LearningStatus> {
        let call =
            calling!(learning_status, |caller| edge::LearningStatusCall { caller: Some(caller) });
        self.ask(visit, Effect::Read, call).await
    }

    pub(crate) async fn roll_back_model(&self, visit: &Visit) -> Answer<v1::LearningStatus> {
        let call =
            calling!(roll_back_model, |caller| edge::RollBackModelCall { caller: Some(caller) });
        self.ask(visit, Effect::Write, call).await
    }

    pub(crate) async fn echo(
        &self,
        visit: &Visit,
        request: v1::EchoRequest,
    ) -> Answer<v1::EchoResponse> {
        validate::echo(&request)?;
        let call = calling!(echo, |_| request.clone());
        self.ask(visit, Effect::Read, call).await
    }

    /// Answered from the packs that this router holds, since those are what it enforces.
    pub(crate) fn list_policies(&self) -> Answer<v1::ListPoliciesResponse> {
        let view = self.leased()?;
        let policies = view.held.iter().map(summary).collect();
        Ok(v1::ListPoliciesResponse { policies })
    }

    pub(crate) fn get_policy(&self, request: &v1::GetPolicyRequest) -> Answer<v1::Policy> {
        let wanted = validate::pack(&request.pack)?;
        let view = self.leased()?;
        let found = view
            .held
            .iter()
            .filter(|pack| *pack.file.pack() == wanted)
            .filter(|pack| request.version.is_none_or(|version| version == pack.file.version()))
            .max_by_key(|pack| pack.file.version());
        let missing = || Failure::new(Kind::NotFound, "there is no such pack, or no such version");
        let pack = found.ok_or_else(missing)?;
        Ok(v1::Policy { summary: Some(summary(pack)), source: pack.source.clone() })
    }

    fn leased(&self) -> Answer<Arc<View>> {
        let view = self.views.current();
        match view.lease_left(tokio::time::Instant::now()) {
            Some(_) => Ok(view),
            None => {
                let words = "the packs' lease has run out; every jurisdiction counts as STRICT";
                Err(Failure::new(Kind::Unavailable, words).retry_after(DOWN_RETRY))
            }
        }
    }

    /// Sends one batch of an upload; it has a deadline of its own.
    pub(crate) async fn put_batch(
        &self,
        visit: &Visit,
        items: Vec<v1::Item>,
    ) -> Answer<v1::PutItemsResponse> {
        let call = calling!(put_items, |caller| edge::PutItemsCall {
            caller: Some(caller),
            items: items.clone(),
        });
        let deadline = tokio::time::Instant::now() + visit.patience;
        self.ask_until(visit, Effect::Write, deadline, call).await
    }
}

/// A child can't consent for its parents.
fn by_guardian(visit: &Visit) -> Answer<()> {
    let verified = visit.verified.as_deref();
    match verified.filter(|verified| verified.child.is_some()) {
        Some(verified) => verified.allows(Scope::Guardian),
        None => {
            let words =
                "consent `parental` needs a token with the scope `guardian` and the claim `child`";
            Err(Failure::new(Kind::Refused, words))
        }
    }
}

fn summary(pack: &HeldPack) -> v1::PolicySummary {
    let file = &pack.file;
    v1::PolicySummary {
        pack: file.pack().to_string(),
        version: file.version(),
        title: file.title().to_owned(),
        hash: file.hash().to_string(),
        effective_from: file.effective_from().to_string(),
        effective_to: file.effective_to().map(|day| day.to_string()),
    }
}
