//! Raft's network over the mesh: one long-lived stream a (peer, group) for appending.

use std::future::Future;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_net::{AnySender, CallError, FrameReceiver, LaneKind, Mesh, StreamError};
use bailiwick_proto::peer::SnapshotHeader;
use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, alias::VoteOf};
use prost::Message as _;

use super::wire::{self, GroupFrame};
use crate::raft::address;
use crate::raft::codec::Wire;
use crate::raft::offload::Offload;
use crate::raft::snapshot::{SharedReader, SnapshotFile};
use crate::raft::types::{Member, RaftId, Snapshot, TypeConfig};

/// Bytes of a snapshot in one frame.
const SNAPSHOT_CHUNK_BYTES: u64 = 256 << 10;

/// Makes the clients of one group.
#[derive(Clone)]
pub struct Factory {
    mesh: Arc<Mesh>,
    group: GroupId,
    offload: Offload,
}

impl Factory {
    /// A factory for `group` over `mesh`, which reads snapshots where `offload` says.
    #[must_use]
    pub fn new(mesh: Arc<Mesh>, group: GroupId, offload: Offload) -> Self {
        Self { mesh, group, offload }
    }
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Client;

    async fn new_client(&mut self, to: RaftId, node: &Member) -> Client {
        let Self { mesh, group, offload } = self.clone();
        Client { mesh, group, offload, to, peer: node.name.clone() }
    }
}

/// The connection of one group to one peer.
pub struct Client {
    mesh: Arc<Mesh>,
    group: GroupId,
    offload: Offload,
    /// The member that it was made for: another may have taken its place under the same name.
    to: RaftId,
    peer: NodeName,
}

/// Every failure of the network is `Unreachable`: openraft backs off and tries again.
fn lost(error: &impl std::fmt::Display) -> Unreachable<TypeConfig> {
    Unreachable::from_string(error.to_string())
}

fn failed(error: &impl std::fmt::Display) -> RPCError<TypeConfig> {
    RPCError::Unreachable(lost(error))
}

impl Client {
    async fn call<Q: Wire, A: Wire>(
        &self,
        kind: LaneKind,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let body = address::to(self.to, &request.encode());
        let answer = wire::call(&self.mesh, &self.peer, kind, &self.group, body, timeout).await;
        A::decode(answer.map_err(|error| failed(&error))?).map_err(|error| failed(&error))
    }

    async fn send_snapshot(
        &self,
        vote: &VoteOf<TypeConfig>,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<TypeConfig>, SendError> {
        let (mut tx, mut rx) =
            wire::open(&self.mesh, &self.peer, LaneKind::Snapshot, &self.group).await?;
        self.frame(address::to(self.to, &vote.encode())).send(&mut tx).await?;
        self.frame(snapshot.meta.encode()).send(&mut tx).await?;
        let file = &snapshot.snapshot;
        let header =
            SnapshotHeader { format: 1, length: file.length, sha256: file.sha256.to_vec() };
        self.frame(header.encode_to_vec().into()).send(&mut tx).await?;
        let mut reader = file.reader();
        loop {
            let (chunk, rest) = self.offload.call(move || read_chunk(reader)).await??;
            if chunk.is_empty() {
                break;
            }
            self.frame(chunk).send(&mut tx).await?;
            reader = rest;
        }
        tx.finish();
        let answer = rx.recv().await?.ok_or(SendError::NoAnswer)?;
        Ok(SnapshotResponse::decode(answer)?)
    }

    fn frame(&self, bytes: Bytes) -> GroupFrame {
        GroupFrame::new(&self.group, bytes)
    }
}

/// The next bytes of a file, none at its end.
fn read_chunk(mut reader: SharedReader) -> std::io::Result<(Bytes, SharedReader)> {
    let mut chunk = Vec::new();
    reader.by_ref().take(SNAPSHOT_CHUNK_BYTES).read_to_end(&mut chunk)?;
    Ok((chunk.into(), reader))
}

/// A snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Codec(#[from] crate::raft::codec::CodecError),
    #[error("reading the snapshot was given up")]
    GivenUp(#[from] tokio::task::JoinError),
    #[error("the peer ended the stream without an answer")]
    NoAnswer,
}

type Appended = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Sends what comes in, and yields only an error.
fn pump<S>(
    (group, to): (GroupId, RaftId),
    input: S,
    sender: AnySender,
) -> impl Stream<Item = Appended>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let sending = async move {
        let (mut input, mut sender) = (input, sender);
        while let Some(request) = input.next().await {
            let body = address::to(to, &request.encode());
            GroupFrame::new(&group, body).send(&mut sender).await?;
        }
        sender.finish();
        Ok::<(), StreamError>(())
    };
    stream::once(sending).filter_map(|sent| async { sent.err().map(|error| Err(failed(&error))) })
}

/// Yields the peer's answers in their order.
fn answers(receiver: FrameReceiver) -> impl Stream<Item = Appended> {
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        let answer = match receiver.recv().await {
            Ok(None) => return None,
            Ok(Some(frame)) => StreamAppendResult::decode(frame).map_err(|error| failed(&error)),
            Err(error) => Err(failed(&error)),
        };
        let next = answer.is_ok().then_some(receiver);
        Some((answer, next))
    })
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(LaneKind::Append, &request, option.hard_ttl()).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // openraft backs off where the first request is taken. Opened before that, a stream to a peer that
            // is known to be down would fail at once, again and again, without a pause.
            let Some(first) = input.next().await else { return Ok(stream::empty().boxed()) };
            let opened = wire::open(&self.mesh, &self.peer, LaneKind::Append, &self.group).await;
            let (sender, receiver) = opened.map_err(|error| failed(&error))?;
            let requests = stream::iter([first]).chain(input);
            let sending = pump((self.group.clone(), self.to), requests, sender);
            let both = stream::select(Box::pin(sending), Box::pin(answers(receiver)));
            Ok(Box::pin(both) as BoxStream<'s, Appended>)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(LaneKind::Vote, &request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(LaneKind::PreVote, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            sent = self.send_snapshot(&vote, &snapshot) => {
                sent.map_err(|error| StreamingError::Unreachable(lost(&error)))
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(LaneKind::Transfer, &request, option.hard_ttl()).await
    }
}
