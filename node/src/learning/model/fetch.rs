//! A model's file from node to node.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_core::kind::Kind;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Lane, LaneKind, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{ModelOffer, ModelPart, ModelRequest, Serving};
use bailiwick_proto::store::ModelManifest;
use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use tokio::time::timeout;

use crate::learning::learner::{FORMAT, Learner, MODEL, OFFER};
use crate::learning::seat::bulk;
use crate::learning::wire::PART_BYTES;

/// A peer that sends nothing for this long is given up.
const PART_WITHIN: Duration = Duration::from_secs(10);
/// A peer may take this long to fetch a model.
const OFFER_WITHIN: Duration = Duration::from_secs(60);

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

fn lost(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Unavailable, error.to_string())
}

/// Sends the file that a peer asks for.
pub async fn send(learner: &Arc<Learner>, mut tx: AnySender, mut rx: FrameReceiver) {
    match send_file(learner, &mut tx, &mut rx).await {
        Ok(()) => tx.finish(),
        Err(failure) => {
            let _ = tx.fail(&failure).await;
        }
    }
}

async fn send_file(
    learner: &Arc<Learner>,
    tx: &mut AnySender,
    rx: &mut FrameReceiver,
) -> Result<(), Failure> {
    let asked = rx.recv().await.map_err(|error| lost(&error))?;
    let asked = asked.ok_or_else(|| Failure::new(Kind::Invalid, "no model is asked for"))?;
    let request = ModelRequest::decode(asked);
    let request = request.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
    if request.sha256.len() != 32 {
        return Err(Failure::new(Kind::Invalid, "a model's hash has 32 bytes"));
    }
    let path = learner.models.file(&request.sha256);
    let opened = learner.offload.call(move || File::open(path)).await;
    let missing = |_| Failure::new(Kind::NotFound, "this node has no such model");
    let mut file = opened.map_err(|error| broken(&error))?.map_err(missing)?;
    loop {
        let read = learner.offload.call(move || read_part(file)).await;
        let (bytes, rest) = read.map_err(|error| broken(&error))?.map_err(|e| broken(&e))?;
        if bytes.is_empty() {
            return Ok(());
        }
        file = rest;
        tx.send(&ModelPart { bytes }).await.map_err(|error| lost(&error))?;
    }
}

/// The next bytes of a file, none at its end.
fn read_part(mut file: File) -> std::io::Result<(Vec<u8>, File)> {
    let mut bytes = Vec::new();
    let most = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    file.by_ref().take(most).read_to_end(&mut bytes)?;
    Ok((bytes, file))
}

impl Learner {
    /// Fetches a model's file from the first peer that has it whole, nodes of this domain first.
    pub(super) async fn fetch(self: &Arc<Self>, manifest: &ModelManifest) -> Result<(), Failure> {
        let view = self.control.view();
        let mut peers: Vec<_> = view.nodes.values().map(|node| &node.site).collect();
        peers.retain(|site| site.name != self.name);
        peers.sort_by_key(|site| (!self.mesh.reachable(&site.name), site.domain != *self.domain()));
        let mut last = Failure::new(Kind::Unavailable, "there is no other node");
        for site in peers {
            match self.fetch_from(&site.name, manifest).await {
                Ok(()) => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        Err(last)
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
        self.fetch_from(from.name(), &manifest).await?;
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

    async fn fetch_from(
        self: &Arc<Self>,
        node: &NodeName,
        manifest: &ModelManifest,
    ) -> Result<(), Failure> {
        let link = self.mesh.link(node).await.map_err(|error| lost(&error))?;
        let (mut tx, mut rx) = bulk(&link, Lane::plain(LaneKind::Custom(MODEL))).await?;
        let request = ModelRequest { format: FORMAT, sha256: manifest.sha256.clone() };
        tx.send(&request).await.map_err(|error| lost(&error))?;
        let most = usize::try_from(manifest.length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        loop {
            let part = timeout(PART_WITHIN, rx.recv()).await;
            let part = part.map_err(|_| lost(&"the peer sends nothing"))?;
            let Some(part) = part.map_err(|error| lost(&error))? else { break };
            let part = ModelPart::decode(part).map_err(|error| broken(&error))?;
            bytes.extend_from_slice(&part.bytes);
            if bytes.len() > most {
                return Err(Failure::new(Kind::Refused, format!("{node} sends too much")));
            }
        }
        tx.finish();
        let (learner, sha256) = (Arc::clone(self), manifest.sha256.clone());
        let put = self.offload.call(move || learner.models.put(&sha256, &bytes)).await;
        put.map_err(|error| broken(&error))?.map_err(|error| broken(&error))
    }
}
