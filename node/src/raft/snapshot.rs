//! Snapshot files: streamed to and from disk in bounded memory, versioned, and checked in full before
//! anything is believed.
//!
//! ```text
//! "BWSNAP01" | header length u32 | header (protobuf)
//! key length u32 | value length u32 | key | value      one a row, keys ascending
//! 0 u32                                                 no more rows
//! SHA-256 of everything before                          32 bytes
//! ```

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::codec::Wire;
use super::types::SnapshotMeta;
use crate::store::error::StoreError;
use crate::store::rows::{Row, check_row};
use crate::store::set_hash::SetHash;
use crate::store::state::AppliedState;

const MAGIC: &[u8; 8] = b"BWSNAP01";
const VERSION: u32 = 1;
/// Bytes of the hash at the end.
pub(crate) const TRAILER_BYTES: u64 = 32;
/// Bytes of a header: a membership of thousands of members fits.
const HEADER_BYTES_MAX: u32 = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// A whole snapshot on disk. It stays readable while it is held, even when a newer one replaces it.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    /// Bytes of the file, with its trailer.
    pub length: u64,
    /// The hash of all but the trailer, which repeats it.
    pub sha256: [u8; 32],
}

#[derive(Clone, PartialEq, Message)]
struct HeaderForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(bytes = "bytes", tag = "3")]
    meta: Bytes,
    #[prost(bytes = "vec", tag = "4")]
    hash: Vec<u8>,
    #[prost(uint64, tag = "5")]
    rows: u64,
}

/// A reader of a file from its beginning that shares the file with others.
#[derive(Debug)]
pub struct SharedReader {
    file: Arc<File>,
    at: u64,
}

impl Read for SharedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

impl SnapshotFile {
    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, for sending.
    #[must_use]
    pub fn reader(&self) -> SharedReader {
        SharedReader { file: self.file.clone(), at: 0 }
    }

    /// Opens a file and checks all of its bytes against its own trailer.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let length = file.metadata().map_err(StoreError::io("stat", path))?.len();
        let body =
            length.checked_sub(TRAILER_BYTES).ok_or_else(|| damaged(path, "it is too short"))?;
        let mut trailer = [0; 32];
        file.read_exact_at(&mut trailer, body).map_err(StoreError::io("read", path))?;
        let opened = Self { path: path.to_owned(), file: Arc::new(file), length, sha256: trailer };
        opened.verify()?;
        Ok(opened)
    }

    /// Reads all bytes and compares their hash to the trailer and to what was announced.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        let mut reader = self.reader().take(self.length.saturating_sub(TRAILER_BYTES));
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = reader.read(&mut buffer).map_err(StoreError::io("read", &self.path))?;
            match buffer.get(..read) {
                None | Some([]) => break,
                Some(bytes) => hasher.update(bytes),
            }
        }
        let mut trailer = [0; 32];
        let at = self.length.saturating_sub(TRAILER_BYTES);
        self.file.read_exact_at(&mut trailer, at).map_err(StoreError::io("read", &self.path))?;
        let found: [u8; 32] = hasher.finalize().into();
        if found != self.sha256 || trailer != self.sha256 {
            return Err(damaged(&self.path, "its SHA-256 does not hold"));
        }
        Ok(())
    }

    /// Its group and state, and its rows.
    pub(crate) fn rows(&self) -> Result<(GroupId, AppliedState, SnapshotRows), StoreError> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, self.reader());
        let io = || StoreError::io("read", &self.path);
        let mut magic = [0; 8];
        reader.read_exact(&mut magic).map_err(io())?;
        let length = read_u32(&mut reader).map_err(io())?;
        if &magic != MAGIC || length > HEADER_BYTES_MAX {
            return Err(damaged(&self.path, "it has not our magic number"));
        }
        let header = read_bytes(&mut reader, length).map_err(io())?;
        let header = HeaderForm::decode(header).map_err(|e| damaged(&self.path, &e.to_string()))?;
        if header.version != VERSION {
            let why = format!("version {} is not {VERSION}", header.version);
            return Err(damaged(&self.path, &why));
        }
        let (group, state) = self.state_of(header)?;
        Ok((group, state, SnapshotRows { path: self.path.clone(), reader, last: Bytes::new() }))
    }

    fn state_of(&self, header: HeaderForm) -> Result<(GroupId, AppliedState), StoreError> {
        let group = header.group.parse().map_err(|_| damaged(&self.path, "its group's name"))?;
        let meta = SnapshotMeta::decode(header.meta)?;
        let hash = SetHash::from_bytes(&header.hash);
        let state = AppliedState {
            last_applied: meta.last_log_id,
            membership: meta.last_membership,
            hash: hash.ok_or_else(|| damaged(&self.path, "its set hash"))?,
            rows: header.rows,
        };
        Ok((group, state))
    }
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged { what: path.display().to_string(), why: why.to_owned() }
}

fn read_u32(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_bytes(reader: &mut impl Read, length: u32) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    reader.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// The rows of a snapshot, in the order of their keys. Stops after the first error.
pub(crate) struct SnapshotRows {
    path: PathBuf,
    reader: BufReader<SharedReader>,
    last: Bytes,
}

impl SnapshotRows {
    fn next_row(&mut self) -> Result<Option<Row>, StoreError> {
        let io = || StoreError::io("read", &self.path);
        let key_bytes = read_u32(&mut self.reader).map_err(io())?;
        if key_bytes == 0 {
            return Ok(None);
        }
        let value_bytes = read_u32(&mut self.reader).map_err(io())?;
        // Checked before anything of that size is allocated.
        if key_bytes > HEADER_BYTES_MAX || value_bytes > HEADER_BYTES_MAX {
            return Err(damaged(&self.path, "a row is longer than any can be"));
        }
        let key = read_bytes(&mut self.reader, key_bytes).map_err(io())?;
        let value = read_bytes(&mut self.reader, value_bytes).map_err(io())?;
        check_row(&key, &value)?;
        if key <= self.last {
            return Err(damaged(&self.path, "its keys are not ascending"));
        }
        self.last = key.clone();
        Ok(Some(Row { key, value }))
    }
}

impl Iterator for SnapshotRows {
    type Item = Result<Row, StoreError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

/// Writes a snapshot.
pub(crate) struct SnapshotWriter {
    path: PathBuf,
    out: BufWriter<File>,
    hasher: Sha256,
    length: u64,
}

impl SnapshotWriter {
    pub(crate) fn create(
        path: &Path,
        group: &GroupId,
        state: &AppliedState,
    ) -> Result<Self, StoreError> {
        let file = File::options().create_new(true).read(true).write(true).open(path);
        let file = file.map_err(StoreError::io("create", path))?;
        let header = HeaderForm {
            version: VERSION,
            group: group.to_string(),
            meta: state.meta().encode(),
            hash: state.hash.to_bytes(),
            rows: state.rows,
        };
        let header = header.encode_to_vec();
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut writer = Self { path: path.to_owned(), out, hasher: Sha256::new(), length: 0 };
        writer.write(MAGIC)?;
        writer.write(&length_of(&header))?;
        writer.write(&header)?;
        Ok(writer)
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<(), StoreError> {
        self.write(&length_of(&row.key))?;
        self.write(&length_of(&row.value))?;
        self.write(&row.key)?;
        self.write(&row.value)
    }

    /// Ends the file and makes it durable under its present name.
    pub(crate) fn finish(mut self) -> Result<SnapshotFile, StoreError> {
        self.write(&0_u32.to_le_bytes())?;
        let sha256: [u8; 32] = self.hasher.finalize().into();
        let io = |what| StoreError::io(what, self.path.clone());
        self.out.write_all(&sha256).map_err(io("write"))?;
        let file = self.out.into_inner().map_err(|e| io("write")(e.into_error()))?;
        file.sync_all().map_err(io("sync"))?;
        let length = self.length + TRAILER_BYTES;
        Ok(SnapshotFile { path: self.path, file: Arc::new(file), length, sha256 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.length += u64::try_from(bytes.len()).unwrap_or_default();
        self.out.write_all(bytes).map_err(StoreError::io("write", &self.path))
    }
}

/// Rows and headers stay far below 4 GiB: keys and values are checked when they are put.
fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}
