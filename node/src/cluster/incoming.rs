//! What peers ask of this node. Identity and placement were checked before any of this runs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_core::ids::GroupId;
use bailiwick_core::kind::Kind;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Handler, Lane, LaneKind, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{Hello, Propose, ProposeAnswer, ReadIndexAnswer, SnapshotHeader};
use bailiwick_proto::store::ControlCommand;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;
use openraft::entry::RaftPayload as _;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use prost::Message as _;

use super::wire::GroupFrame;
use super::{Group, Groups};
use crate::catalog;
use crate::control::{ControlState, may_propose};
use crate::mutant::{Mutant, planted};
use crate::raft::address;
use crate::raft::codec::{CodecError, Wire};
use crate::raft::guard::placement_guard;
use crate::raft::types::{Snapshot, SnapshotMeta, TypeConfig, Vote};
use crate::store::StoreError;

/// A forwarded command or read may take this long here.
const WITHIN: Duration = Duration::from_secs(5);

/// Takes note of what a peer said of itself.
pub type Heed = Box<dyn Fn(&Peer, Hello) + Send + Sync>;

/// What nodes ask of each other besides Raft.
pub trait PeerServices: Send + Sync + 'static {
    /// Answers a call in a lane of a custom kind.
    fn answer<'a>(
        &'a self,
        from: &'a Peer,
        number: u8,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Serves a bulk transfer in a lane of a custom kind.
    fn transfer<'a>(
        &'a self,
        from: &'a Peer,
        number: u8,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()>;
}

/// Answers peers.
pub struct Incoming {
    /// Set once the groups run; peers are told to come back until then.
    pub groups: OnceLock<Groups>,
    /// What is asked in lanes that are not Raft's; set once it runs.
    pub services: OnceLock<Arc<dyn PeerServices>>,
    /// For the check of control commands.
    pub control: Arc<ControlState>,
    /// What this node says of itself.
    pub hello: Box<dyn Fn() -> Hello + Send + Sync>,
    /// What a peer said of itself.
    pub heard: Heed,
}

fn unreadable(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Invalid, error.to_string())
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl Incoming {
    fn group(&self, lane: &Lane) -> Result<&Arc<Group>, Failure> {
        let id = lane.group.as_ref().ok_or_else(|| unreadable(&"the lane names no group"))?;
        let group = self.groups.get().and_then(|groups| groups.get(id));
        group.ok_or_else(|| Failure::new(Kind::Unavailable, format!("{id} does not run here")))
    }

    async fn raft_call(&self, from: &Peer, lane: Lane, body: Bytes) -> Result<Answer, Failure> {
        let group = self.group(&lane)?;
        let raft = group.raft();
        let broken = |error: &dyn std::fmt::Display| Failure::new(Kind::Broken, error.to_string());
        if !matches!(lane.kind, LaneKind::Propose | LaneKind::ReadIndex) {
            meant_for(group, &body)?;
        }
        let bytes = match lane.kind {
            LaneKind::Append => {
                let request = AppendEntriesRequest::<TypeConfig>::decode(body)?;
                lawful(group, &request)?;
                raft.append_entries(request).await.map_err(|e| broken(&e))?.encode()
            }
            LaneKind::Vote => {
                let request = VoteRequest::<TypeConfig>::decode(body)?;
                let asked = request.vote;
                let mut answer = raft.vote(request).await.map_err(|e| broken(&e))?;
                if planted(Mutant::GrantTwice) {
                    (answer.vote, answer.vote_granted) = (asked, true);
                }
                answer.encode()
            }
            LaneKind::PreVote => {
                let request = VoteRequest::<TypeConfig>::decode(body)?;
                raft.pre_vote(request).await.map_err(|e| broken(&e))?.encode()
            }
            LaneKind::Transfer => {
                let request = TransferLeaderRequest::<TypeConfig>::decode(body)?;
                raft.handle_transfer_leader(request).await.map_err(|e| broken(&e))?.encode()
            }
            LaneKind::Propose => self.propose(from, group, body).await?,
            LaneKind::ReadIndex => read_index(group).await?,
            _ => return Err(unreadable(&"this lane takes no calls")),
        };
        Ok(GroupFrame::answer(group.id(), bytes))
    }

    async fn propose(&self, from: &Peer, group: &Group, body: Bytes) -> Result<Bytes, Failure> {
        let propose = Propose::decode(body).map_err(|error| unreadable(&error))?;
        if *group.id() == GroupId::Control {
            let command = ControlCommand::decode(propose.command.as_slice());
            let command = command.map_err(|error| unreadable(&error))?;
            may_propose(&from.identity().site(), &command, &self.control.view())
                .map_err(|why| Failure::new(Kind::Refused, why))?;
        }
        if matches!(group.id(), GroupId::Catalog(_)) {
            catalog::may_propose(from.name(), &propose.command)
                .map_err(|why| Failure::new(Kind::Refused, why))?;
        }
        let done = group.propose_here(propose.command.into(), WITHIN).await?;
        let answer = ProposeAnswer { log_index: done.log_index, outcome: done.outcome.into() };
        Ok(answer.encode_to_vec().into())
    }

    async fn append_stream(
        &self,
        lane: Lane,
        mut tx: AnySender,
        mut rx: FrameReceiver,
    ) -> Result<(), Failure> {
        let group = Arc::clone(self.group(&lane)?);
        let Some(first) = next(&mut rx).await? else { return Ok(()) };
        meant_for(&group, &first)?;
        let here = Arc::clone(&group);
        let requests = stream::unfold((Some(first), rx), move |(first, mut rx)| {
            let here = Arc::clone(&here);
            async move {
                // A stream that is lost, garbled or unlawful just ends: the leader opens another.
                let frame = match first {
                    Some(first) => first,
                    None => rx.recv().await.ok()??,
                };
                let request = AppendEntriesRequest::<TypeConfig>::decode(frame).ok()?;
                lawful(&here, &request).ok()?;
                Some((request, (None, rx)))
            }
        });
        let mut results = Box::pin(group.raft().stream_append(Box::pin(requests)));
        while let Some(result) = results.next().await {
            let result = result.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
            let frame = GroupFrame::new(group.id(), result.encode());
            if frame.send(&mut tx).await.is_err() {
                return Ok(());
            }
        }
        tx.finish();
        Ok(())
    }

    async fn snapshot(
        &self,
        lane: &Lane,
        tx: &mut AnySender,
        mut rx: FrameReceiver,
    ) -> Result<(), Failure> {
        let group = self.group(lane)?;
        let short = || unreadable(&"the transfer ended early");
        let vote = next(&mut rx).await?.ok_or_else(short)?;
        meant_for(group, &vote)?;
        let vote = Vote::decode(vote)?;
        let meta = SnapshotMeta::decode(next(&mut rx).await?.ok_or_else(short)?)?;
        let header = SnapshotHeader::decode(next(&mut rx).await?.ok_or_else(short)?);
        let header = header.map_err(|error| unreadable(&error))?;
        let sha256 =
            header.sha256.try_into().map_err(|_| unreadable(&"the hash is not 32 bytes"))?;
        let mut sink = group.machine().receive_snapshot(header.length).map_err(storage)?;
        while let Some(chunk) = next(&mut rx).await? {
            sink = blocking(group, move || sink.write(&chunk).map(|()| sink)).await?;
        }
        let snapshot = blocking(group, move || sink.finish(sha256)).await?;
        let installed = group.raft().install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
        let answer = installed.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        let frame = GroupFrame::new(group.id(), answer.encode());
        frame.send(tx).await.map_err(|error| Failure::new(error.kind(), error.to_string()))
    }
}

/// Refuses what is meant for another member: an earlier self of this node.
fn meant_for(group: &Group, message: &Bytes) -> Result<(), Failure> {
    match address::is_for(*group.raft().node_id(), message) {
        true => Ok(()),
        false => Err(Failure::new(Kind::Stale, "this node is another member of the group now")),
    }
}

/// Refuses entries that would let somebody abroad in, before Raft sees them: its storage would refuse them too, but
/// a storage that refuses ends the node, and a leader that errs must not end its followers.
fn lawful(group: &Group, request: &AppendEntriesRequest<TypeConfig>) -> Result<(), Failure> {
    let guard = placement_guard(group.id().clone());
    let memberships = request.entries.iter().filter_map(|entry| entry.payload.get_membership());
    memberships.into_iter().try_for_each(|membership| guard(&membership)).map_err(|refusal| {
        tracing::error!(group = %group.id(), %refusal, "entries were refused");
        Failure::new(Kind::Refused, refusal.to_string())
    })
}

fn storage(error: StoreError) -> Failure {
    Failure::new(error.kind(), error.to_string())
}

async fn blocking<T: Send + 'static>(
    group: &Group,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let done = group.machine().offload().call(work).await;
    done.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?.map_err(storage)
}

async fn next(rx: &mut FrameReceiver) -> Result<Option<Bytes>, Failure> {
    rx.recv().await.map_err(|error| Failure::new(error.kind(), error.to_string()))
}

async fn read_index(group: &Group) -> Result<Bytes, Failure> {
    let log_index = group.read_index_here(WITHIN).await?;
    Ok(ReadIndexAnswer { log_index }.encode_to_vec().into())
}

impl Handler for Incoming {
    fn call<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            match lane.kind {
                LaneKind::Hello => {
                    let hello = Hello::decode(body).map_err(|error| unreadable(&error))?;
                    (self.heard)(from, hello);
                    Ok(Answer::wide(&(self.hello)()))
                }
                LaneKind::Custom(number) => {
                    let starting = || Failure::new(Kind::Unavailable, "this node is starting");
                    let services = self.services.get().ok_or_else(starting)?;
                    services.answer(from, number, body).await
                }
                _ => self.raft_call(from, lane, body).await,
            }
        })
    }

    fn stream<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(failure) = self.append_stream(lane, tx, rx).await {
                tracing::warn!(peer = %from.name(), %failure, "an append stream ended");
            }
        })
    }

    fn bulk<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        mut tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let LaneKind::Custom(number) = lane.kind {
                match self.services.get() {
                    Some(services) => services.transfer(from, number, tx, rx).await,
                    None => {
                        let starting = Failure::new(Kind::Unavailable, "this node is starting");
                        let _ = tx.fail(&starting).await;
                    }
                }
                return;
            }
            match self.snapshot(&lane, &mut tx, rx).await {
                Ok(()) => tx.finish(),
                Err(failure) => {
                    tracing::warn!(peer = %from.name(), %failure, "a snapshot was not installed");
                    let _ = tx.fail(&failure).await;
                }
            }
        })
    }
}
