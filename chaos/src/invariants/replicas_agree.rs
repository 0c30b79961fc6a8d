//! Replicas of a group come to have applied the same, within a bound, and each group has one leader.

use std::time::{Duration, Instant};

use bailiwick_tests::cluster::Cluster;

/// Nothing is written any more: replicas are level after this long.
const LEVEL: Duration = Duration::from_secs(30);

/// Groups that do not come level.
pub async fn check(cluster: &Cluster) -> Vec<String> {
    let began = Instant::now();
    loop {
        let uneven = match cluster.status("eu").await {
            Ok(status) => status.groups.iter().filter_map(uneven).collect(),
            Err(error) => vec![error],
        };
        if uneven.is_empty() || began.elapsed() > LEVEL {
            return uneven;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn uneven(group: &bailiwick_proto::v1::GroupStatus) -> Option<String> {
    let applied: Vec<Option<u64>> = group.members.iter().map(|member| member.applied).collect();
    let level = applied.windows(2).all(|pair| pair.first() == pair.last());
    if level && group.leader.is_some() && applied.iter().all(Option::is_some) {
        return None;
    }
    let leader = group.leader.as_deref().unwrap_or("nobody");
    Some(format!("{} is led by {leader} and has applied {applied:?}", group.group))
}
