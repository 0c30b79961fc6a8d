//! Homes elsewhere: their nodes are asked for a receipt, and told of a visitor's slice.

use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Lane, LaneKind, Mesh, Peer};
use bailiwick_proto::export::Exportable;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{
    ErasureRequest, ReceiptAnswer, ReceiptRequest, SliceErasureAnswer, SliceErasureRequest,
    SliceNotice, SliceNoticeAnswer,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message as _;

use super::State;
use crate::cluster::PeerServices;
use crate::generations::GENERATION;
use crate::learning;

/// A fresh receipt, from home.
const RECEIPT: u8 = 1;
/// A visitor's slice exists.
const SLICE: u8 = 2;
/// How a node's groups are.
const STATUS: u8 = 3;
// Lanes 4 to 8, 10 and 11 are learning's, lane 9 is the item index's.
/// How far a member is with an erasure.
const ERASURE: u8 = 12;
/// A visitor's slice is to be erased.
const SLICE_ERASURE: u8 = 13;

const RECEIPT_LANE: LaneKind = LaneKind::Custom(RECEIPT);
const SLICE_LANE: LaneKind = LaneKind::Custom(SLICE);
const SLICE_ERASURE_LANE: LaneKind = LaneKind::Custom(SLICE_ERASURE);
pub(super) const STATUS_LANE: LaneKind = LaneKind::Custom(STATUS);
pub(super) const ERASURE_LANE: LaneKind = LaneKind::Custom(ERASURE);

/// Version of these messages.
pub(super) const FORMAT: u32 = 1;

/// How nodes of other domains are asked.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// An answer from abroad may take this long in a recommendation.
    pub within: Duration,
}

impl Default for Away {
    fn default() -> Self {
        Self { within: Duration::from_millis(250) }
    }
}

impl Away {
    /// A fresh receipt of the token's person from their home; none when home does not answer.
    pub(super) async fn receipt(
        &self,
        state: &State,
        home: &DomainId,
        token: &str,
    ) -> Option<String> {
        let request = ReceiptRequest { format: FORMAT, token: token.to_owned() };
        let answer = self.ask(state, home, RECEIPT_LANE, &request).await?;
        ReceiptAnswer::decode(answer).ok().map(|answer| answer.receipt)
    }

    /// Tells home that this domain holds a slice; whether home has taken note of it.
    pub(super) async fn note_slice(&self, state: &State, home: &DomainId, token: &str) -> bool {
        let notice = SliceNotice { format: FORMAT, token: token.to_owned() };
        self.ask(state, home, SLICE_LANE, &notice).await.is_some()
    }

    /// Has a domain erase its slice of the token's person; whether it has done so.
    pub(super) async fn erase_slice(
        &self,
        state: &State,
        domain: &DomainId,
        request: &SliceErasureRequest,
    ) -> bool {
        self.ask(state, domain, SLICE_ERASURE_LANE, request).await.is_some()
    }

    /// Asks the nodes of a domain in turn, those that were heard of lately first.
    async fn ask<M: Exportable>(
        &self,
        state: &State,
        domain: &DomainId,
        lane: LaneKind,
        message: &M,
    ) -> Option<Bytes> {
        let asking = async {
            for node in nodes_of(state, domain) {
                if let Some(answer) = ask_one(&state.mesh, &node, lane, message, self.within).await
                {
                    return Some(answer);
                }
            }
            None
        };
        tokio::time::timeout(self.within, asking).await.ok().flatten()
    }
}

fn nodes_of(state: &State, domain: &DomainId) -> Vec<NodeName> {
    let view = state.control.view();
    let mut nodes: Vec<NodeName> = view
        .nodes
        .values()
        .filter(|node| node.site.domain == *domain)
        .map(|node| node.site.name.clone())
        .collect();
    nodes.sort_by_key(|name| !state.mesh.reachable(name));
    nodes
}

/// Asks one node in a lane that belongs to no group.
pub(super) async fn ask_one<M: Exportable>(
    mesh: &Mesh,
    node: &NodeName,
    lane: LaneKind,
    message: &M,
    within: Duration,
) -> Option<Bytes> {
    let link = mesh.link(node).await.ok()?;
    link.call(Lane::plain(lane), message, within).await.ok()
}

fn unreadable(error: &prost::DecodeError) -> Failure {
    Failure::new(Kind::Invalid, error.to_string())
}

impl State {
    async fn answer_peer(&self, from: &Peer, number: u8, body: Bytes) -> Result<Answer, Failure> {
        match number {
            RECEIPT => {
                let request = ReceiptRequest::decode(body).map_err(|e| unreadable(&e))?;
                let receipt = self.receipt_for_token(&request.token).await?;
                Ok(Answer::wide(&ReceiptAnswer { receipt }))
            }
            SLICE => {
                let notice = SliceNotice::decode(body).map_err(|e| unreadable(&e))?;
                // The domain is the one in the sender's certificate, not one that it names.
                self.note_slice(&notice.token, from.domain()).await?;
                Ok(Answer::wide(&SliceNoticeAnswer {}))
            }
            ERASURE => {
                let request = ErasureRequest::decode(body).map_err(|e| unreadable(&e))?;
                Ok(Answer::wide(&self.own_erasure(&request)?))
            }
            SLICE_ERASURE => {
                let request = SliceErasureRequest::decode(body).map_err(|e| unreadable(&e))?;
                self.erase_slice(from, &request).await?;
                Ok(Answer::wide(&SliceErasureAnswer {}))
            }
            STATUS => Ok(Answer::wide(&self.own_status())),
            other => self.learning.answer(from, other, &body).await.unwrap_or_else(|| {
                Err(Failure::new(Kind::Invalid, format!("there is no lane {other}")))
            }),
        }
    }
}

impl PeerServices for State {
    fn answer<'a>(
        &'a self,
        from: &'a Peer,
        number: u8,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(self.answer_peer(from, number, body))
    }

    fn transfer<'a>(
        &'a self,
        from: &'a Peer,
        number: u8,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match number {
                learning::SESSION => self.learning.serve(from, tx, rx).await,
                learning::CHECKPOINT => self.learning.send_checkpoint(tx, rx).await,
                learning::MODEL => self.learning.send_model(tx, rx).await,
                GENERATION => self.generations.send(tx, rx).await,
                other => {
                    let words = format!("there is no bulk lane {other}");
                    let _ = tx.fail(&Failure::new(Kind::Invalid, words)).await;
                }
            }
        })
    }
}
