//! How far each group's tree was when the database was last made durable.
//!
//! The record stands in a small file of its own, so that a database which came back behind, or empty,
//! is recognised.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::ids::GroupId;
use prost::Message;

use super::durable::{read_checked, write_checked};
use super::error::StoreError;
use super::set_hash::SetHash;
use super::state::AppliedState;
use crate::raft::types::LogId;

/// The version that this build writes, and the newest that it reads.
const VERSION: u32 = 1;

/// How far one group was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last entry applied.
    pub last_applied: LogId,
    /// The hash of its rows.
    pub hash: SetHash,
}

/// The marks of all groups.
pub type Marks = BTreeMap<GroupId, Mark>;

#[derive(Clone, PartialEq, Message)]
struct MarkForm {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(bytes = "vec", tag = "4")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct MarksForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    marks: Vec<MarkForm>,
}

/// The mark of a state; none before anything was applied.
#[must_use]
pub fn mark(state: &AppliedState) -> Option<Mark> {
    state.last_applied.map(|last_applied| Mark { last_applied, hash: state.hash })
}

/// Writes the marks durably.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write(path: &Path, marks: &Marks) -> Result<(), StoreError> {
    let forms = marks.iter().map(|(group, mark)| MarkForm {
        group: group.to_string(),
        term: mark.last_applied.leader_id.term,
        index: mark.last_applied.index,
        hash: mark.hash.to_bytes(),
    });
    let form = MarksForm { version: VERSION, marks: forms.collect() };
    write_checked(path, &form.encode_to_vec())
}

/// Reads the marks; there are none before the first checkpoint.
///
/// # Errors
/// [`StoreError`] when the file can't be read or is damaged.
pub fn read(path: &Path) -> Result<Marks, StoreError> {
    let Some(body) = read_checked(path)? else { return Ok(Marks::new()) };
    let damaged = |why: String| StoreError::Damaged { what: path.display().to_string(), why };
    let form = MarksForm::decode(body.as_slice()).map_err(|e| damaged(e.to_string()))?;
    if form.version != VERSION {
        return Err(damaged(format!("version {} is not {VERSION}", form.version)));
    }
    let marks = form.marks.into_iter().map(|m| {
        let group = m.group.parse().map_err(|_| damaged("a group's name".to_owned()))?;
        let hash = SetHash::from_bytes(&m.hash).ok_or_else(|| damaged("a hash".to_owned()))?;
        Ok((group, Mark { last_applied: LogId::new_term_index(m.term, m.index), hash }))
    });
    marks.collect()
}
