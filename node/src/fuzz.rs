//! Doors for the fuzzer to decoders that are nobody else's business. Only with the feature `fuzzing`.

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use bailiwick_proto::store::ReceiptBody;
use bytes::Bytes;
use prost::Message as _;

use crate::log::Position;
use crate::log::record::{self, Record};
use crate::raft::codec::Wire as _;
use crate::raft::snapshot::{SnapshotFile, SnapshotWriter};
use crate::raft::types::{Entry, LogId, Vote};
use crate::store::error::StoreError;
use crate::store::rows::Row;
use crate::store::state::AppliedState;
use crate::{buffer, receipt, revision, users};

/// A frame of the log, first as it is, then as if its checksum held.
pub fn log_record(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    record::decode(bytes.clone(), 5);
    record::synced_later(&bytes, 5, 100);
    let mut framed = Vec::new();
    record::frame(&bytes, 5, &mut framed);
    record::decode(framed.into(), 5);
}

/// What openraft keeps in the log.
pub fn raft_values(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = (Entry::decode(bytes.clone()), Vote::decode(bytes.clone()), LogId::decode(bytes));
}

/// A snapshot, to its last row.
pub fn snapshot(file: &Path) {
    let Ok(found) = SnapshotFile::open(file) else { return };
    let _ = found.verify();
    if let Ok((_, _, rows)) = found.rows() {
        rows.take_while(Result::is_ok).for_each(drop);
    }
}

/// The state under which rows are applied, a command of a users group, a buffered batch.
pub fn stored_forms(bytes: &[u8]) {
    let _ = AppliedState::decode(Bytes::copy_from_slice(bytes));
    let _ = users::apply::read(bytes);
    let _ = buffer::batch::decode(bytes);
}

/// A receipt, as it is and as if its signature held; a revision.
pub fn carried(text: &str) {
    let _ = receipt::ReceiptKeys::default().open(text);
    let _ = revision::parse(text);
    if let Ok(body) = ReceiptBody::decode(text.as_bytes()) {
        let _ = receipt::facts(&body);
    }
}

/// Inputs to begin with: frames of the log, a stored state, and a snapshot at `file`.
///
/// # Errors
/// When the snapshot can't be written.
pub fn seeds(file: &Path) -> Result<Seeds, StoreError> {
    let group: Arc<str> = "users-eu-0".into();
    let at = Position { term: 3, index: 7 };
    let body = Bytes::from_static(b"\x01\x0a\x02");
    let entry = Record::Entry { group: Arc::clone(&group), at, body: body.clone() };
    let mut log = Vec::new();
    for record in [entry, Record::Vote { group: Arc::clone(&group), vote: body }, Record::Mark] {
        record::encode(&record, 5, 11, &mut log);
    }
    let state = AppliedState { rows: 1, ..AppliedState::default() };
    let mut snapshot = SnapshotWriter::create(file, &GroupId::Control, &state)?;
    snapshot.push(&Row { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"v") })?;
    snapshot.finish()?;
    Ok(Seeds { log, state: state.encode() })
}

/// See [`seeds`].
pub struct Seeds {
    /// Frames of the log.
    pub log: Vec<u8>,
    /// The state under which rows are applied.
    pub state: Vec<u8>,
}
