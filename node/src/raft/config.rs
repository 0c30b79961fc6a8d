//! How the groups of a cluster run under openraft.

use bailiwick_core::ids::GroupId;
use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::mutant::{Mutant, planted};

/// Of the entries between two snapshots, one in so many is kept behind a snapshot, so that a follower that
/// is a little behind needs none.
const KEPT_SHARE: u64 = 5;

/// The configuration of `group`, with a snapshot every `snapshot_every` entries. Groups inside a domain are
/// quick, those over the WAN patient.
///
/// # Errors
/// When openraft finds the values at odds.
pub fn of(group: &GroupId, snapshot_every: u64) -> Result<Config, ConfigError> {
    let (heartbeat_interval, election_timeout_min, election_timeout_max) = match group.pinned_to() {
        Some(_) => (100, 500, 1000),
        None => (500, 1500, 3000),
    };
    let config = Config {
        cluster_name: group.to_string(),
        heartbeat_interval,
        election_timeout_min,
        election_timeout_max,
        enable_pre_vote: Some(true),
        // A leader sends entries before it has them on its own disk. One that lost such a tail in a power cut and
        // went on in its old term would give the same positions to other entries, and replicas would differ for
        // ever under equal positions. A restart therefore always begins a new term.
        enable_leader_restore: Some(planted(Mutant::ResumeTerm)),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: snapshot_every / KEPT_SHARE,
        ..Config::default()
    };
    config.validate()
}
