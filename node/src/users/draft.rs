//! What one command is about to write: all of it or nothing.

use std::collections::BTreeMap;

use bailiwick_core::limits::VALUE_BYTES_MAX;
use bytes::Bytes;
use prost::Message;

use super::outcome::{Refused, Stop};
use super::schema::Root;
use super::vault::{Vault, decode};
use crate::raft::machine::{AppliedAt, Row, View};
use crate::seal::{DataKey, RowMoment};

/// The rows of a command before they are written. A command that is refused half-way drops it, and
/// nothing has happened.
pub(super) struct Draft<'a, 'v> {
    pub(super) vault: &'a Vault,
    view: &'a View<'v>,
    at: AppliedAt,
    writes: BTreeMap<Vec<u8>, Option<Bytes>>,
    sealed: u32,
}

/// The rows that a command writes.
pub(super) struct Writes(BTreeMap<Vec<u8>, Option<Bytes>>);

impl<'a, 'v> Draft<'a, 'v> {
    pub(super) fn new(vault: &'a Vault, view: &'a View<'v>, at: AppliedAt) -> Self {
        Self { vault, view, at, writes: BTreeMap::new(), sealed: 0 }
    }

    /// The index of the command.
    pub(super) fn log_index(&self) -> u64 {
        self.at.index
    }

    /// The value of a row, this command's own writes included.
    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.view.get(key),
        }
    }

    /// Whether a row is there.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// The message of a row in the clear.
    pub(super) fn get_plain<M: Root>(&self, key: &[u8]) -> Result<Option<M>, Stop> {
        Ok(self.get(key).map(|value| decode(&value)).transpose()?)
    }

    /// The message of a sealed row.
    pub(super) fn get_sealed<M: Root>(
        &self,
        data_key: &DataKey,
        key: &[u8],
    ) -> Result<Option<M>, Stop> {
        Ok(self.get(key).map(|value| self.vault.open(data_key, key, &value)).transpose()?)
    }

    /// The keys of stored rows in a range, without this command's own writes.
    pub(super) fn stored_keys(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<Bytes> {
        use std::ops::Bound::{Excluded, Included};
        let rows = self.view.scan((Included(from), Excluded(to)), limit);
        rows.into_iter().map(|row| row.key).collect()
    }

    /// The stored rows under a prefix, without this command's own writes.
    pub(super) fn stored(&self, prefix: &[u8]) -> Vec<Row> {
        self.view.scan_prefix(prefix, None, usize::MAX)
    }

    /// Deletes every stored row under a prefix.
    pub(super) fn delete_all(&mut self, prefix: &[u8]) {
        self.stored(prefix).into_iter().for_each(|row| self.delete(row.key.to_vec()));
    }

    /// Sets a row.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Stop> {
        if value.len() > VALUE_BYTES_MAX {
            let reason = format!("a row has {} bytes, at most {VALUE_BYTES_MAX} fit", value.len());
            return Err(Refused::full(reason).into());
        }
        self.writes.insert(key, Some(value.into()));
        Ok(())
    }

    /// Sets a row in the clear.
    pub(super) fn put_plain(&mut self, key: Vec<u8>, message: &impl Message) -> Result<(), Stop> {
        self.put(key, message.encode_to_vec())
    }

    /// Sets a sealed row.
    pub(super) fn put_sealed<M: Root>(
        &mut self,
        data_key: &DataKey,
        key: Vec<u8>,
        message: &M,
    ) -> Result<(), Stop> {
        let moment = RowMoment { index: self.at.index, ordinal: self.sealed };
        self.sealed += 1;
        let value = self.vault.seal(data_key, moment, &key, message)?;
        self.put(key, value)
    }

    /// Deletes a row.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// What is to be written.
    pub(super) fn finish(self) -> Writes {
        Writes(self.writes)
    }
}

impl Writes {
    /// Writes all of it.
    pub(super) fn commit(self, view: &mut View<'_>) -> Result<(), Stop> {
        for (key, value) in self.0 {
            match value {
                Some(value) => view
                    .put(&key, value)
                    .map_err(|refusal| Stop::from(Refused::malformed(refusal.to_string())))?,
                None => view.delete(&key),
            }
        }
        Ok(())
    }
}
