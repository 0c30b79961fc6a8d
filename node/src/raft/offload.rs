//! Where a group's blocking work runs, and why a group can't be opened.

use std::io;

use bailiwick_core::ids::GroupId;
use bailiwick_core::kind::Kind;

use crate::store::error::StoreError;

/// Where work that blocks on the disk runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offload {
    /// On the runtime's pool for blocking work.
    #[default]
    Pool,
    /// Where it is called: for simulations, whose every step must have its place.
    Inline,
}

impl Offload {
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> io::Result<T> {
        // A panic in a state machine comes out here and ends the group's Raft.
        Ok(self.call(work).await??)
    }

    /// Does any work there. The error is its panic.
    pub(crate) async fn call<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Inline => Ok(work()),
            Self::Pool => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
        }
    }
}

/// Why a group's state machine can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The state was lost and the log no longer reaches back to what is left of it. This member must
    /// leave and join again as a new one: a vote of its old self could count for what it forgot.
    #[error(
        "{group} has state up to index {have} and no log before {purged}: it must be fetched from peers"
    )]
    MustFetch {
        /// The group.
        group: GroupId,
        /// The last entry that state or snapshot cover.
        have: u64,
        /// The last entry that the log no longer has.
        purged: u64,
    },
    /// The members that state or snapshot name may not be members of this group.
    #[error("the members of {group} are unlawful: {why}")]
    Placement {
        /// The group.
        group: GroupId,
        /// The refusal.
        why: bailiwick_core::placement::PlacementRefusal,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::MustFetch { .. } => Kind::Stale,
            Self::Placement { .. } => Kind::Refused,
            Self::Store(error) => error.kind(),
        }
    }
}
