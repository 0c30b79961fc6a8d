//! The applied state of a group: rebuilt whenever it does not hold, and alike on every replica.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod storage_support;

use std::fs;
use std::path::Path;

use bailiwick_core::placement::PlacementRefusal;
use bailiwick_node::raft::group_machine::OpenError;
use bailiwick_node::raft::types::{Entry, LogId};
use bailiwick_node::store::Recovery;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{EntryPayload, RaftSnapshotBuilder};
use proptest::prelude::*;
use storage_support::state::{Node, command, copy, membership};

/// Puts over a few hundred keys; every seventh command deletes.
fn commands(from: u64, count: u64) -> impl Iterator<Item = String> {
    (from..from + count).map(|i| match i % 7 {
        6 => format!("del key-{}", (i * 31) % 300),
        _ => format!("put key-{} {}", (i * 17) % 300, "x".repeat((i % 90) as usize)),
    })
}

/// A node with a snapshot, a log behind it and a checkpoint, closed; and what it knew.
async fn a_past(path: &Path) -> (std::collections::BTreeMap<Vec<u8>, Vec<u8>>, String) {
    let mut node = Node::open(path);
    let members = EntryPayload::Membership(membership(&["eu", "eu"]));
    let first = Entry { log_id: LogId::new_term_index(1, 0), payload: members };
    node.log.blocking_append([first.clone()]).await.unwrap();
    node.apply(vec![first]).await;
    node.run(commands(1, 900)).await;
    node.compact().await;
    node.run(commands(901, 300)).await;
    node.store.checkpoint().unwrap();
    node.run(commands(1201, 50)).await;
    node.summary()
}

/// Spoils the database of a node, and expects the same state as before from what is left.
async fn check_rebuilt(what: &str, spoil: impl Fn(&Path)) {
    let scratch = tempfile::tempdir().unwrap();
    let before = a_past(scratch.path()).await;
    spoil(&scratch.path().join("state"));
    let mut node = Node::open(scratch.path());
    assert!(matches!(node.store.recovery(), Recovery::Rebuilt { .. }), "{what}");
    node.recover().await;
    assert_eq!(node.summary(), before, "{what}");
    drop(node);
    let mut node = Node::open(scratch.path());
    assert!(matches!(node.store.recovery(), Recovery::Intact), "{what}, opened again");
    node.recover().await;
    assert_eq!(node.summary(), before, "{what}, opened again");
}

#[tokio::test]
async fn a_database_that_is_gone_empty_or_behind_is_rebuilt() {
    check_rebuilt("removed", |state| fs::remove_dir_all(state).unwrap()).await;
    check_rebuilt("emptied", |state| {
        fs::remove_dir_all(state).unwrap();
        fs::create_dir(state).unwrap();
    })
    .await;
    check_rebuilt("its file is empty", |state| fs::write(state.join("db"), b"").unwrap()).await;
    let old = tempfile::tempdir().unwrap();
    let mut node = Node::open(old.path());
    node.run(commands(0, 100)).await;
    drop(node);
    check_rebuilt("an old one", |state| {
        fs::remove_dir_all(state).unwrap();
        copy(&old.path().join("state"), state);
    })
    .await;
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_never_believed() {
    let scratch = tempfile::tempdir().unwrap();
    let before = a_past(&scratch.path().join("good")).await;
    let db = fs::read(scratch.path().join("good/state/db")).unwrap();
    let written: Vec<usize> = (0..db.len()).filter(|at| db[*at] != 0).collect();
    let mut rebuilt = 0;
    for nth in 0..24 {
        let at = written[nth * (written.len() - 1) / 23];
        let bad = scratch.path().join(format!("bad-{nth}"));
        copy(&scratch.path().join("good"), &bad);
        let mut bytes = db.clone();
        bytes[at] ^= 0x20;
        fs::write(bad.join("state/db"), &bytes).unwrap();
        let mut node = Node::open(&bad);
        rebuilt += usize::from(matches!(node.store.recovery(), Recovery::Rebuilt { .. }));
        node.recover().await;
        assert_eq!(node.summary(), before, "byte {at}");
    }
    // Some bytes are of pages that were written anew since; but not all are.
    assert!(rebuilt > 0, "no flip was noticed");
}

#[tokio::test]
async fn a_killed_node_finds_all_that_was_committed() {
    let scratch = tempfile::tempdir().unwrap();
    let mut node = Node::open(&scratch.path().join("alive"));
    for round in 0..5 {
        node.run(commands(round * 100, 100)).await;
        let killed = scratch.path().join(format!("killed-{round}"));
        copy(node.dir.path(), &killed);
        let mut again = Node::open(&killed);
        again.recover().await;
        assert_eq!(again.summary(), node.summary(), "round {round}");
        if round == 2 {
            node.compact().await;
        }
    }
}

#[tokio::test]
async fn a_state_that_log_and_snapshot_cannot_rebuild_must_be_fetched() {
    let scratch = tempfile::tempdir().unwrap();
    a_past(scratch.path()).await;
    fs::remove_dir_all(scratch.path().join("state")).unwrap();
    fs::remove_dir_all(scratch.path().join("snapshots")).unwrap();
    let error = Node::try_open(scratch.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::MustFetch { have: 0, purged: 900, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_built_under_applies_is_the_state_at_its_log_id() {
    let scratch = tempfile::tempdir().unwrap();
    let mut node = Node::open(&scratch.path().join("busy"));
    let big: Vec<String> = (0..3000).map(|i| format!("put row-{i:05} {i}")).collect();
    node.run(big.clone()).await;
    for round in 0..3_u64 {
        let mut builder = node.machine.clone();
        let change = |i: u64| match i % 3 {
            0 => format!("del row-{:05}", (i * 7919) % 3000),
            1 => format!("put row-{:05} changed-{i}", (i * 104_729) % 3000),
            _ => format!("put new-{i:05} {i}"),
        };
        let changes: Vec<String> = (round * 2000..(round + 1) * 2000).map(change).collect();
        let applying = async {
            for chunk in changes.chunks(40) {
                node.run(chunk.to_vec()).await;
                tokio::task::yield_now().await;
            }
        };
        let (snapshot, ()) = tokio::join!(builder.build_snapshot(), applying);
        let snapshot = snapshot.unwrap();
        let covered = snapshot.meta.last_log_id.unwrap();
        // A replica that stopped there, and one that got the snapshot.
        let mut stopped = Node::open(&scratch.path().join(format!("stopped-{round}")));
        let entries = node.shared_log.read("users-eu-0", 0..covered.index + 1, usize::MAX).unwrap();
        let entries =
            entries.into_iter().map(|e| bailiwick_node::raft::codec::Wire::decode(e.body));
        stopped.apply(entries.collect::<Result<_, _>>().unwrap()).await;
        let mut received = Node::open(&scratch.path().join(format!("received-{round}")));
        send(&snapshot, &mut received).await;
        assert_eq!(received.summary(), stopped.summary(), "round {round} at {covered}");
    }
}

/// Streams a snapshot to another node and installs it there.
async fn send(snapshot: &bailiwick_node::raft::types::Snapshot, to: &mut Node) {
    use std::io::Read;
    let mut sink = to.machine.receive_snapshot(snapshot.snapshot.length).unwrap();
    let (mut reader, mut buffer) = (snapshot.snapshot.reader(), vec![0; 777]);
    loop {
        let read = reader.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        sink.write(&buffer[..read]).unwrap();
    }
    let file = sink.finish(snapshot.snapshot.sha256).unwrap();
    to.machine.install_snapshot(&snapshot.meta, file).await.unwrap();
}

#[tokio::test]
async fn an_installed_snapshot_replaces_what_was_there_and_survives() {
    let scratch = tempfile::tempdir().unwrap();
    let mut leader = Node::open(&scratch.path().join("leader"));
    leader.run(commands(0, 500)).await;
    let snapshot = leader.machine.build_snapshot().await.unwrap();
    let path = scratch.path().join("follower");
    let mut follower = Node::open(&path);
    follower.run(["put only-here 1".to_owned()]).await;
    send(&snapshot, &mut follower).await;
    assert_eq!(follower.summary(), leader.summary());
    leader.run(commands(500, 100)).await;
    let snapshot = leader.machine.build_snapshot().await.unwrap();
    send(&snapshot, &mut follower).await;
    assert_eq!(follower.summary(), leader.summary());
    assert_eq!(fs::read_dir(path.join("snapshots/users-eu-0")).unwrap().count(), 1);
    drop(follower);
    let follower = Node::open(&path);
    assert!(matches!(follower.store.recovery(), Recovery::Intact));
    assert_eq!(follower.summary(), leader.summary());
}

#[tokio::test]
async fn a_snapshot_damaged_on_its_way_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let mut leader = Node::open(&scratch.path().join("leader"));
    leader.run(commands(0, 50)).await;
    let snapshot = leader.machine.build_snapshot().await.unwrap().snapshot;
    let bytes = fs::read(snapshot.path()).unwrap();
    let follower = Node::open(&scratch.path().join("follower"));
    let directory = scratch.path().join("follower/snapshots/users-eu-0");
    for at in (0..bytes.len()).step_by(97) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let mut sink = follower.machine.receive_snapshot(snapshot.length).unwrap();
        sink.write(&bad).unwrap();
        assert!(sink.finish(snapshot.sha256).is_err(), "flip at {at}");
    }
    let mut sink = follower.machine.receive_snapshot(snapshot.length).unwrap();
    sink.write(&bytes[..bytes.len() - 1]).unwrap();
    assert!(sink.finish(snapshot.sha256).is_err(), "a byte is missing");
    let mut sink = follower.machine.receive_snapshot(snapshot.length - 1).unwrap();
    assert!(sink.write(&bytes).is_err(), "a byte too many");
    drop(sink);
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
}

#[tokio::test]
async fn members_abroad_are_refused_before_anything_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let mut node = Node::open(scratch.path());
    node.run(commands(0, 3)).await;
    let before = node.log.get_log_state().await.unwrap();
    let payload = EntryPayload::Membership(membership(&["eu", "us"]));
    let abroad = Entry { log_id: LogId::new_term_index(1, 4), payload };
    let error = node.log.blocking_append([command(3, "del a"), abroad]).await.unwrap_err();
    assert!(error.to_string().contains("a-node stands in us"), "{error}");
    assert_eq!(node.log.get_log_state().await.unwrap(), before);

    let snapshot = node.machine.build_snapshot().await.unwrap();
    let mut meta = snapshot.meta.clone();
    meta.last_membership =
        bailiwick_node::raft::types::StoredMembership::new(meta.last_log_id, membership(&["us"]));
    let error = node.machine.install_snapshot(&meta, snapshot.snapshot).await.unwrap_err();
    let refusal = error.get_ref().and_then(|e| e.downcast_ref::<PlacementRefusal>()).unwrap();
    assert_eq!(refusal.found.as_str(), "us");
}

#[tokio::test]
async fn a_group_that_was_left_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    a_past(scratch.path()).await;
    let node = Node::open(scratch.path());
    node.log.forget().await.unwrap();
    node.store.forget(node.log.group()).unwrap();
    drop(node);
    let node = Node::open(scratch.path());
    assert!(matches!(node.store.recovery(), Recovery::Intact));
    assert!(node.rows().is_empty() && node.log.purged().is_none());
    assert_eq!(
        node.machine.reader().state(),
        bailiwick_node::store::state::AppliedState::default()
    );
}

fn line() -> impl Strategy<Value = String> {
    let key = "[ab]{1,3}";
    prop_oneof![
        5 => (key, "[x-z]{0,4}").prop_map(|(k, v)| format!("put {k} {v}")),
        2 => key.prop_map(|k| format!("del {k}")),
        3 => ("[ab]{0,2}", "[ab]{0,3}", 0_usize..6).prop_map(|(p, a, n)| format!("scan {p} {a} {n}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However the entries are cut into batches, outcomes and hash are the same, and are those of a map.
    #[test]
    fn replicas_that_apply_the_same_entries_are_alike(
        lines in proptest::collection::vec(line(), 1..120), cut in 1_usize..50,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = (0..).zip(&lines).map(|(i, l)| command(i, l)).collect();
        let mut one = Node::open(&scratch.path().join("one"));
        let mut other = Node::open(&scratch.path().join("other"));
        runtime.block_on(async {
            one.apply(entries.clone()).await;
            for chunk in entries.chunks(cut) {
                other.apply(chunk.to_vec()).await;
            }
        });
        prop_assert_eq!(one.summary(), other.summary());
        let mut map = std::collections::BTreeMap::new();
        for line in &lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["put", k, v] => drop(map.insert(k.as_bytes().to_vec(), v.as_bytes().to_vec())),
                ["del", k] => drop(map.remove(k.as_bytes())),
                _ => {}
            }
        }
        prop_assert_eq!(one.rows(), map);
    }
}
