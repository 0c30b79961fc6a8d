//! What a group is to its replicated state: how one command changes it, and what follows in memory.

pub use crate::store::reader::Reader;
pub use crate::store::rows::{Row, RowRefusal};
pub use crate::store::view::View;

use bytes::Bytes;

/// The position of the command that is being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppliedAt {
    /// Its index in the group's log.
    pub index: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
}

/// What has changed under a [`Machine`].
#[derive(Debug)]
pub enum Change<'a> {
    /// The rows that a batch of commands wrote, by key; a value that is absent was deleted.
    Batch(&'a [(Bytes, Option<Bytes>)]),
    /// Anything may have changed: the group was opened, or a snapshot was installed.
    Everything(&'a Reader),
}

/// The state machine of one kind of group.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command and returns the encoded outcome.
    ///
    /// Deterministic: the same state and the same command give the same rows and the same bytes on
    /// every replica. It can't fail: a command that is refused has an outcome that says so, and
    /// should be refused before the first `put`, since there is no rollback inside a command.
    fn apply(&self, at: AppliedAt, command: &[u8], view: &mut View<'_>) -> Vec<u8>;

    /// Refreshes what is derived in memory, after the rows have been written and before anyone who
    /// waits for `applied` is woken.
    fn refreshed(&self, change: Change<'_>, applied: u64);
}
