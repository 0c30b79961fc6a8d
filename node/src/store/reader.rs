//! Reading a group's state outside of apply.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::error::StoreError;
use super::group::GroupInner;
use super::rows::{self, Row};
use super::state::AppliedState;
use super::view::{KeyRange, group_range};

/// A shared, cheap handle on the applied state of one group.
///
/// Each row read is one that was applied; several reads may see several states, with a batch applied
/// in between.
#[derive(Clone)]
pub struct Reader {
    pub(crate) group: Arc<GroupInner>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.group.id)
    }
}

impl Reader {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match rows::check_key(key) {
            Ok(()) => self.group.tree().get(key),
            Err(_) => Ok(None),
        }
    }

    /// The first `limit` rows whose keys begin with `prefix`, after the key `after` if one is given:
    /// the next page starts after the last key of this one.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let end = rows::after_prefix(prefix);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.scan((from, end.as_deref().map_or(Bound::Unbounded, Bound::Excluded)), limit)
    }

    /// The first `limit` rows of a range of keys.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn scan(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<Row>, StoreError> {
        match group_range(range) {
            Some(range) => self.group.tree().range(range).take(limit).collect(),
            None => Ok(Vec::new()),
        }
    }

    /// Follows the index of the last entry applied, 0 before the first, so that a read can wait for
    /// the index that its revision names.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.group.applied.subscribe()
    }

    /// The applied position, membership and hash, all of one moment.
    #[must_use]
    pub fn state(&self) -> AppliedState {
        self.group.state()
    }
}
