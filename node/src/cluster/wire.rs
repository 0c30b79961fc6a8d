//! Bytes of a group on a link: pinned groups only to peers at home, wide groups to all.

use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_core::pinned::{Pinned, clear};
use bailiwick_core::placement::admit;
use bailiwick_net::link::AnyLink;
use bailiwick_net::{
    Answer, AnySender, CallError, Domestic, Foreign, FrameReceiver, FrameSender, Lane, LaneKind,
    Mesh, StreamError,
};
use bailiwick_proto::export::WideFrame;
use bytes::Bytes;

/// The bytes of one message of a group, typed by where it may go.
pub(super) enum GroupFrame {
    Wide(WideFrame),
    Pinned(Pinned<Bytes>),
}

impl GroupFrame {
    pub(super) fn new(group: &GroupId, bytes: Bytes) -> Self {
        match (group.pinned_to(), WideFrame::new(group, bytes.clone())) {
            (None, Ok(frame)) => Self::Wide(frame),
            (Some(home), _) => Self::Pinned(Pinned::new(home.clone(), bytes)),
            // INVARIANT: `WideFrame::new` refuses pinned groups only.
            (None, Err(_)) => unreachable!("a group without a home is wide"),
        }
    }

    pub(super) fn answer(group: &GroupId, bytes: Bytes) -> Answer {
        match Self::new(group, bytes) {
            Self::Wide(frame) => Answer::wide(&frame),
            Self::Pinned(bytes) => Answer::Pinned(bytes),
        }
    }

    pub(super) async fn send(&self, sender: &mut AnySender) -> Result<(), StreamError> {
        match self {
            Self::Wide(frame) => sender.send(frame).await,
            Self::Pinned(bytes) => sender.send_pinned(bytes).await,
        }
    }
}

/// Calls `peer` in a lane of `group`.
pub(super) async fn call(
    mesh: &Mesh,
    peer: &NodeName,
    kind: LaneKind,
    group: &GroupId,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes, CallError> {
    let link = mesh.link(peer).await?;
    let lane = Lane::of(kind, group.clone());
    match (&*link, GroupFrame::new(group, body)) {
        (AnyLink::Domestic(link), GroupFrame::Wide(frame)) => {
            link.call(lane, &frame, timeout).await
        }
        (AnyLink::Foreign(link), GroupFrame::Wide(frame)) => link.call(lane, &frame, timeout).await,
        (AnyLink::Domestic(link), GroupFrame::Pinned(body)) => {
            let cleared = clear(&body, &link.peer().destination())?;
            link.call_pinned(lane, cleared, timeout).await
        }
        (AnyLink::Foreign(link), GroupFrame::Pinned(_)) => {
            Err(refusal(group, peer, link.peer().domain()))
        }
    }
}

fn refusal(group: &GroupId, peer: &NodeName, domain: &bailiwick_core::ids::DomainId) -> CallError {
    match admit(group, peer.as_str(), domain) {
        Err(refusal) => refusal.into(),
        // A foreign link to a domain that the group is pinned to: then this node stands outside.
        Ok(()) => CallError::Net(bailiwick_net::NetError::Unreachable {
            peer: peer.clone(),
            why: "this node stands outside the group's domain".into(),
        }),
    }
}

/// Opens a long-lived stream, or a bulk one on a connection of its own.
pub(super) async fn open(
    mesh: &Mesh,
    peer: &NodeName,
    kind: LaneKind,
    group: &GroupId,
) -> Result<(AnySender, FrameReceiver), CallError> {
    let lane = Lane::of(kind, group.clone());
    match (&*mesh.link(peer).await?, kind) {
        (AnyLink::Domestic(link), LaneKind::Snapshot) => link.bulk(lane).await.map(domestic),
        (AnyLink::Foreign(link), LaneKind::Snapshot) => link.bulk(lane).await.map(foreign),
        (AnyLink::Domestic(link), _) => link.open(lane).await.map(domestic),
        (AnyLink::Foreign(link), _) => link.open(lane).await.map(foreign),
    }
}

fn domestic((tx, rx): (FrameSender<Domestic>, FrameReceiver)) -> (AnySender, FrameReceiver) {
    (AnySender::Domestic(tx), rx)
}

fn foreign((tx, rx): (FrameSender<Foreign>, FrameReceiver)) -> (AnySender, FrameReceiver) {
    (AnySender::Foreign(tx), rx)
}
