//! What a group's tree knows of itself: how far it is, who its members are, and its hash.

use bytes::Bytes;
use prost::Message;

use super::error::StoreError;
use super::set_hash::SetHash;
use crate::raft::codec::Wire;
use crate::raft::types::{LogId, SnapshotMeta, StoredMembership};

/// The version of the state row that this build writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The applied position, membership and hash of a group. Written in the same batch as the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppliedState {
    /// The last entry applied.
    pub last_applied: Option<LogId>,
    /// The last membership applied.
    pub membership: StoredMembership,
    /// The hash of all rows.
    pub hash: SetHash,
    /// How many rows there are.
    pub rows: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StateForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    meta: Bytes,
    #[prost(bytes = "vec", tag = "3")]
    hash: Vec<u8>,
    #[prost(uint64, tag = "4")]
    rows: u64,
}

impl AppliedState {
    /// What a snapshot of this state covers.
    #[must_use]
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() }
    }

    /// The index of the last entry applied, 0 when there is none.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.last_applied.map_or(0, |id| id.index)
    }

    /// The encoded row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let form = StateForm {
            version: VERSION,
            meta: self.meta().encode(),
            hash: self.hash.to_bytes(),
            rows: self.rows,
        };
        form.encode_to_vec()
    }

    /// Decodes the row.
    ///
    /// # Errors
    /// [`StoreError`] when the bytes are of a newer version or damaged.
    pub fn decode(bytes: Bytes) -> Result<Self, StoreError> {
        let damaged = |why: String| StoreError::Damaged { what: "a state row".to_owned(), why };
        let form = StateForm::decode(bytes).map_err(|e| damaged(e.to_string()))?;
        if form.version != VERSION {
            return Err(damaged(format!("version {} is not {VERSION}", form.version)));
        }
        let meta = SnapshotMeta::decode(form.meta)?;
        let hash = SetHash::from_bytes(&form.hash);
        Ok(Self {
            last_applied: meta.last_log_id,
            membership: meta.last_membership,
            hash: hash.ok_or_else(|| damaged("the hash has not 32 bytes".to_owned()))?,
            rows: form.rows,
        })
    }
}
