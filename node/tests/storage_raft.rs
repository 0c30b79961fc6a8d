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

use bailiwick_node::raft::snapshot::SnapshotFile;
use bailiwick_node::raft::types::{Command, Member, Raft, Snapshot, TypeConfig, Vote};
use futures::future::join_all;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, SnapshotPolicy};
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
        snapshot_policy: SnapshotPolicy::LogsSinceLast(300),
        max_in_snapshot_log_to_keep: 50,
        ..Config::default()
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

/// One life of the node: writes 400 rows, and returns what it then knows.
async fn live(path: &Path, life: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
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
    leads.unwrap();
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
    assert_eq!(rows.len() as u64, 400 * (life + 1));
    raft.shutdown().await.unwrap();
    drop((raft, node));
    released(path).await;
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_one_keeps_what_it_answered_over_restarts() {
    let scratch = tempfile::tempdir().unwrap();
    let mut before = BTreeMap::new();
    for life in 0..3 {
        let rows = live(scratch.path(), life).await;
        assert!(before.iter().all(|(key, value)| rows.get(key) == Some(value)), "life {life}");
        before = rows;
        if life == 1 {
            std::fs::remove_dir_all(scratch.path().join("state")).unwrap();
        }
    }
}
