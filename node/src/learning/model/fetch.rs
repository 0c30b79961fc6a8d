//! A model's file from node to node.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Lane, LaneKind, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{ModelOffer, Serving};
use bailiwick_proto::store::ModelManifest;
use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;

use super::shelf::content_of;
use crate::learning::learner::{FORMAT, Learner, MODEL, OFFER};

/// A peer may take this long to fetch a model.
const OFFER_WITHIN: Duration = Duration::from_secs(60);

fn lost(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Unavailable, error.to_string())
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

impl Learner {
    /// Sends the model's file that a peer asks for.
    pub async fn send_model(&self, tx: AnySender, rx: FrameReceiver) {
        self.exchange.send(self.models.folder(), tx, rx).await;
    }

    /// Fetches a model's file from the first peer that has it whole.
    pub(super) async fn fetch(&self, manifest: &ModelManifest) -> Result<(), Failure> {
        let content = content_of(manifest).map_err(|error| broken(&error))?;
        self.exchange.fetch(MODEL, content, self.models.folder(), None).await
    }

    /// Fetches the model that a run's coordinator has finished, from it.
    pub(in crate::learning) async fn take_offered(
        self: &Arc<Self>,
        from: &Peer,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let offer = ModelOffer::decode(body);
        let offer = offer.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
        self.expect_coordinator(from, &offer.run).await?;
        let ModelOffer { sha256, length, .. } = offer;
        let manifest = ModelManifest { sha256, length, ..ModelManifest::default() };
        let content = content_of(&manifest).map_err(|error| broken(&error))?;
        self.exchange.fetch_from(from.name(), MODEL, content, self.models.folder()).await?;
        self.check_taken(manifest.clone()).await?;
        Ok(Answer::wide(&Serving { sha256: manifest.sha256 }))
    }

    /// Has all other nodes fetch a finished model.
    ///
    /// # Errors
    /// That none did, though there are others: with this node the model would be lost.
    pub(in crate::learning) async fn spread(
        &self,
        manifest: &ModelManifest,
    ) -> Result<(), Failure> {
        let view = self.control.view();
        let offer = ModelOffer {
            format: FORMAT,
            run: manifest.run.clone(),
            sha256: manifest.sha256.clone(),
            length: manifest.length,
        };
        let offers = view.nodes.keys().filter(|name| **name != self.name).map(|name| async {
            let link = self.mesh.link(name).await.map_err(|error| lost(&error))?;
            let lane = Lane::plain(LaneKind::Custom(OFFER));
            let taken = link.call(lane, &offer, OFFER_WITHIN).await;
            taken.map(drop).map_err(|error| lost(&error))
        });
        let taken: Vec<Result<(), Failure>> = join_all(offers).await;
        match taken.iter().any(Result::is_ok) || taken.is_empty() {
            true => Ok(()),
            false => taken.into_iter().collect(),
        }
    }

    /// Whether what arrived is a model: one that is none would be served by nobody.
    async fn check_taken(self: &Arc<Self>, manifest: ModelManifest) -> Result<(), Failure> {
        let learner = Arc::clone(self);
        let read = self.offload.call(move || learner.models.read(&manifest)).await;
        let read = read.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
        read.map(drop).ok_or_else(|| Failure::new(Kind::Broken, "what was offered is no model"))
    }
}
