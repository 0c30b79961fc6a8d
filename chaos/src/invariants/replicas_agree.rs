//! Replicas of a group come to have applied the same, within a bound: as many entries, and rows that are equal.
//! Each group has a leader again.

use std::time::{Duration, Instant};

use bailiwick_proto::v1::GroupStatus;
use bailiwick_tests::cluster::Cluster;
use futures::future::join_all;

/// Nothing is written any more: replicas are level after this long.
const LEVEL: Duration = Duration::from_secs(30);

/// Groups that do not come level, or whose replicas differ at one position.
pub async fn check(cluster: &Cluster) -> Vec<String> {
    let began = Instant::now();
    loop {
        let found = look(cluster).await;
        if found.is_empty() || began.elapsed() > LEVEL {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn look(cluster: &Cluster) -> Vec<String> {
    match cluster.status("eu").await {
        Ok(status) => {
            let groups = join_all(status.groups.iter().map(|group| uneven(cluster, group))).await;
            groups.into_iter().flatten().collect()
        }
        Err(error) => vec![error],
    }
}

/// A replica: its node, how far it has applied, and the digest of its rows.
type Replica<'a> = (&'a str, Option<u64>, Option<u64>);

async fn uneven(cluster: &Cluster, group: &GroupStatus) -> Option<String> {
    let replicas = group.members.iter().map(|member| async {
        let numbers = cluster.numbers(&member.node).await;
        let gauge = |name| numbers.as_ref().and_then(|told| told.of_group(name, &group.group));
        (member.node.as_str(), gauge("raft_applied_log_index"), gauge("raft_applied_digest"))
    });
    let replicas: Vec<Replica<'_>> = join_all(replicas).await;
    let told = replicas.iter().all(|(_, applied, digest)| applied.is_some() && digest.is_some());
    let equal = replicas.windows(2).all(|pair| match pair {
        [(_, applied, digest), (_, other_applied, other_digest)] => {
            applied == other_applied && digest == other_digest
        }
        _ => true,
    });
    if told && equal && group.leader.is_some() {
        return None;
    }
    let leader = group.leader.as_deref().unwrap_or("nobody");
    Some(format!("{} is led by {leader}; node, applied, digest: {replicas:?}", group.group))
}
