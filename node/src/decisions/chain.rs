//! What a file of decisions holds, and how far its chain does.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bailiwick_proto::store::DecisionRecord;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::FORMAT;

pub(super) const HEADER: &[u8] = b"bailiwick decisions 1\n";
const HASH_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
/// Bytes of one record.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// In a record's length: everything before it was synced when it was written.
const SYNCED: u32 = 1 << 31;

pub(super) type Hash = [u8; HASH_BYTES];

/// A log that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It can't be read or mended.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not a decision log, or of a newer version.
    #[error("{} is not a decision log of version {FORMAT}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// A record does not follow from the one before, and others follow behind it.
    #[error("{}: the chain breaks at byte {offset}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: usize,
    },
}

impl ChainError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Reads a file's records and checks the chain. An end that was cut short is none of them.
///
/// # Errors
/// [`ChainError`] where the chain does not hold.
pub fn read(path: &Path) -> Result<Vec<DecisionRecord>, ChainError> {
    let bytes = bytes_of(path)?;
    let chain = Chain::walk(&bytes).ok_or_else(|| header(path))?;
    chain.end(path, &bytes)?;
    Ok(chain.records)
}

/// How a file's chain ends.
pub(super) struct End {
    pub(super) hash: Hash,
    /// Bytes of the file that hold.
    pub(super) whole: usize,
    /// Bytes behind those: a crash cut them short.
    pub(super) torn: Vec<u8>,
}

/// How the chain of a file ends; none where not even its beginning reached the disk.
///
/// # Errors
/// [`ChainError`] where the chain breaks and goes on behind the break.
pub(super) fn end(path: &Path) -> Result<Option<End>, ChainError> {
    let bytes = bytes_of(path)?;
    match Chain::walk(&bytes) {
        Some(chain) => chain.end(path, &bytes).map(Some),
        None if is_torn_header(&bytes) => Ok(None),
        None => Err(header(path)),
    }
}

/// A record with its length, as it is hashed and written; `synced` where everything before it was.
pub(super) fn frame(record: &DecisionRecord, synced: bool) -> Vec<u8> {
    let record = record.encode_to_vec();
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX) & !SYNCED;
    let length = if synced { length | SYNCED } else { length };
    [&length.to_le_bytes(), record.as_slice()].concat()
}

pub(super) fn chained(before: &Hash, framed: &[u8]) -> Hash {
    Sha256::new().chain_update(before).chain_update(framed).finalize().into()
}

struct Chain {
    records: Vec<DecisionRecord>,
    hash: Hash,
    whole: usize,
}

impl Chain {
    /// Follows the chain as far as it holds; none without a whole header.
    fn walk(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(HEADER)?;
        let (first, mut rest) = rest.split_first_chunk::<HASH_BYTES>()?;
        let (mut hash, mut records) = (*first, Vec::new());
        while let Some((framed, after)) = link(&hash, rest) {
            let Ok(record) = DecisionRecord::decode(framed.get(LENGTH_BYTES..)?) else { break };
            hash = chained(&hash, framed);
            rest = after;
            records.push(record);
        }
        let whole = bytes.len().saturating_sub(rest.len());
        Some(Self { records, hash, whole })
    }

    /// A power cut leaves anything behind the last sync: less, zeros, or some pages of it and not others. Only
    /// a record that says that all before it was synced tells that what lies between was changed.
    fn end(&self, path: &Path, bytes: &[u8]) -> Result<End, ChainError> {
        let torn = bytes.get(self.whole..).unwrap_or_default();
        if goes_on(torn) {
            return Err(ChainError::Broken { path: path.to_owned(), offset: self.whole });
        }
        Ok(End { hash: self.hash, whole: self.whole, torn: torn.to_vec() })
    }
}

/// The first record with its length where it follows from `before`, and what lies behind it.
fn link<'a>(before: &Hash, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let length = length(bytes)? & !SYNCED;
    let length = usize::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
    let (framed, rest) = bytes.split_at_checked(LENGTH_BYTES + length)?;
    let (hash, rest) = rest.split_first_chunk::<HASH_BYTES>()?;
    (*hash == chained(before, framed)).then_some((framed, rest))
}

fn length(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<LENGTH_BYTES>().copied().map(u32::from_le_bytes)
}

/// Whether a record anywhere in `bytes` follows from the hash right before it and says that all before it
/// was synced.
fn goes_on(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let after = bytes.get(at..).and_then(<[u8]>::split_first_chunk::<HASH_BYTES>);
        after.is_some_and(|(before, rest)| {
            length(rest).is_some_and(|length| length & SYNCED != 0) && link(before, rest).is_some()
        })
    })
}

/// Short, or with zeros in place of what was not synced.
fn is_torn_header(bytes: &[u8]) -> bool {
    let beginning = bytes.get(..HEADER.len()).unwrap_or(bytes);
    HEADER.starts_with(beginning) || beginning.iter().all(|byte| *byte == 0)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ChainError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(ChainError::io(path))?;
    Ok(bytes)
}

fn header(path: &Path) -> ChainError {
    ChainError::Header { path: path.to_owned() }
}
