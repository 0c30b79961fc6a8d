//! A group of one under openraft, from data directory to answers, and again after it was stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod storage_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::GroupId;
use bailiwick_node::raft::config;
use bailiwick_node::raft::snapshot::SnapshotFile;
use bailiwick_node::raft::types::{Command, Member, Raft, Snapshot, TypeConfig, Vote};
use futures::future::join_all;
use openraft::Config;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use storage_support::state::Node;

/// A network without anyone else.
struct Alone;

fn nobody() -> Unreachable<TypeConfig> {
    Unreachable::from_string("there is nobody else")
}

impl RaftNetworkFactory<TypeConfig> for Alone {
    type Network = Self;

    async fn new_client(&mut self, _: u64, _: &Member) -> Self {
        Self
    }
}

impl RaftNetworkV2<TypeConfig> for Alone {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(nobody().into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(nobody().into())
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot,
        _: impl Future<Output = ReplicationClosed> + openraft::OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(StreamingError::Unreachable(nobody()))
    }

    async fn transfer_leader(
        &mut self,
        _: TransferLeaderRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(nobody().into())
    }
}

async fn start(node: &Node) -> Raft {
    let config = Config {
        heartbeat_interval: 20,
        election_timeout_min: 50,
        election_timeout_max: 100,
        ..config::of(&GroupId::Catalog(0), 300).unwrap()
    };
    let config = Arc::new(config.validate().unwrap());
    let id = node.dir.raft_id();
    Raft::new(id, config, Alone, node.log.clone(), node.machine.clone()).await.unwrap()
}

/// Waits until the last task of a group that was shut down has let go of the data directory.
async fn released(path: &Path) {
    use bailiwick_node::store::DataDir;
    let (cluster, node) = ("test".parse().unwrap(), "eu-1".parse().unwrap());
    let free = async {
        while DataDir::open(path, &cluster, &node).is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.unwrap();
}

/// What the node knew when a life of it ended, and the term in which it led.
struct Life {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    term: u64,
}

/// One life of the node, which has `before` rows: writes 400 more.
async fn live(path: &Path, life: u64, before: usize) -> Life {
    let node = Node::open(path);
    let raft = start(&node).await;
    if life == 0 {
        let member = Member {
            name: "eu-1".parse().unwrap(),
            domain: "eu".parse().unwrap(),
            region: "eu-west".parse().unwrap(),
        };
        raft.initialize(BTreeMap::from([(node.dir.raft_id(), member)])).await.unwrap();
    }
    let leads = raft.wait(None).current_leader(node.dir.raft_id(), "it leads").await;
    let term = leads.unwrap().current_term;
    let write = |i: u64| {
        let raft = raft.clone();
        async move {
            let text = format!("put life-{life}-{i} {i}");
            let command = Command::new(text.into_bytes());
            let answer = raft.client_write(command).await.unwrap();
            assert_eq!(answer.response().as_bytes(), i.to_string().as_bytes());
            answer.log_id().index
        }
    };
    let indexes = join_all((0..400).map(write)).await;
    // A read that waits for its write finds it.
    let last = indexes.into_iter().max().unwrap();
    node.machine.reader().applied().wait_for(|applied| *applied >= last).await.unwrap();
    let rows = node.rows();
    assert_eq!(rows.len(), before + 400);
    raft.shutdown().await.unwrap();
    drop((raft, node));
    released(path).await;
    Life { rows, term }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_one_keeps_what_it_answered_over_restarts() {
    let scratch = tempfile::tempdir().unwrap();
    let mut before = Life { rows: BTreeMap::new(), term: 0 };
    for life in 0..3 {
        let now = live(scratch.path(), life, before.rows.len()).await;
        let kept = |(key, value)| now.rows.get(key) == Some(value);
        assert!(before.rows.iter().all(kept), "life {life}");
        // A position of an old term may stand in the logs of others with what this leader's log lost.
        assert!(now.term > before.term, "life {life} leads in term {} again", now.term);
        before = now;
        if life == 1 {
            std::fs::remove_dir_all(scratch.path().join("state")).unwrap();
        }
    }
}

/// A leader may apply entries that its own disk has not made durable. Here a power cut keeps all rows and loses
/// the end of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_ahead_of_the_log_are_not_believed() {
    let scratch = tempfile::tempdir().unwrap();
    let (path, kept) = (scratch.path().join("node"), scratch.path().join("before"));
    let first = live(&path, 0, 0).await;
    copy(&path, &kept);
    live(&path, 1, first.rows.len()).await;
    for folder in ["log", "snapshots"] {
        std::fs::remove_dir_all(path.join(folder)).unwrap();
        copy(&kept.join(folder), &path.join(folder));
    }
    let now = live(&path, 2, first.rows.len()).await;
    assert!(now.rows.keys().all(|key| !key.starts_with(b"life-1")));
    let kept = |(key, value)| now.rows.get(key) == Some(value);
    assert!(first.rows.iter().all(kept));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => std::fs::copy(entry.path(), to).map(drop).unwrap(),
        }
    }
}
