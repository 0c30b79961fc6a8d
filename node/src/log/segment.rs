//! Segment files: their names and their header.
//!
//! ```text
//! "BWSEGLOG" | version u32 | number u64 | directory id [16] | salt u32 | checksum u32
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut};

use super::disk::{Disk, DiskFile};
use super::error::LogError;
use crate::store::data_dir::DirectoryId;

const MAGIC: &[u8; 8] = b"BWSEGLOG";
const VERSION: u32 = 1;
/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 44;

/// An open segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) salt: u32,
}

/// What a header says, when it says anything.
pub(crate) enum Header {
    /// It is whole and ours; the salt.
    Ours(u32),
    /// It was never written whole.
    Torn,
}

pub(crate) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("seg-{number:010}.log"))
}

/// The number of a segment's file; none of another file.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("seg-")?.strip_suffix(".log")?.parse().ok()
}

fn encode(number: u64, id: &DirectoryId, salt: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.put_slice(MAGIC);
    header.put_u32_le(VERSION);
    header.put_u64_le(number);
    header.put_slice(id);
    header.put_u32_le(salt);
    header.put_u32_le(crc32fast::hash(&header));
    header
}

/// Reads a header.
pub(crate) fn decode(
    bytes: &[u8],
    path: &Path,
    number: u64,
    id: &DirectoryId,
) -> Result<Header, LogError> {
    let Some((header, checksum)) =
        bytes.get(..HEADER_BYTES).and_then(|h| h.split_last_chunk::<4>())
    else {
        return Ok(Header::Torn);
    };
    if crc32fast::hash(header) != u32::from_le_bytes(*checksum) {
        return Ok(Header::Torn);
    }
    let corrupt =
        |why: &str| LogError::Corrupt { path: path.to_owned(), offset: 0, why: why.to_owned() };
    let mut rest = header.strip_prefix(MAGIC).ok_or_else(|| corrupt("it is no segment"))?;
    let version = rest.get_u32_le();
    if version > VERSION {
        return Err(LogError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    if rest.get_u64_le() != number {
        return Err(corrupt("it was written under another number"));
    }
    let mut found = DirectoryId::default();
    rest.copy_to_slice(&mut found);
    if found != *id {
        return Err(LogError::Foreign { path: path.to_owned() });
    }
    Ok(Header::Ours(rest.get_u32_le()))
}

/// Makes a segment with its header, not yet synced.
pub(crate) fn create(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    id: &DirectoryId,
) -> Result<Segment, LogError> {
    let path = path_of(directory, number);
    let salt = rand::random();
    let file = disk.create(&path).map_err(LogError::io("create", &path))?;
    file.write_at(&encode(number, id, salt), 0).map_err(LogError::io("write", &path))?;
    Ok(Segment { number, path, file, salt })
}
