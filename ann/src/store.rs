//! The index as a file that a new node fetches instead of building.
//!
//! Layout, little-endian: magic, version, the body, and the SHA-256 of everything before it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::bytes::{Reader, Writer};
use crate::error::AnnError;
use crate::frozen::Frozen;
use crate::live::{Generation, LiveIndex, State};
use crate::matrix::Matrix;
use crate::merge::survivors;
use crate::options::Options;
use crate::segment::Segment;
use crate::space::{Metric, ROW_LIMIT, Row, Space};

const MAGIC: &[u8; 8] = b"bailiann";
const VERSION: u32 = 0;
const HASH_BYTES: usize = 32;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// Hash of the whole content; the last 32 bytes of the file are this hash.
    pub sha256: [u8; 32],
    /// Bytes of the file.
    pub bytes: u64,
    /// Live rows in it.
    pub rows: usize,
    /// The caller's mark: the log index up to which writes are in it.
    pub stamp: u64,
}

impl LiveIndex {
    /// Writes all live rows to `path`, whole or not at all. `stamp` is the caller's: the log index
    /// that it had applied *before* this call, from which a reader of the file catches up.
    ///
    /// # Errors
    /// [`AnnError::Io`] when the file system refuses.
    pub fn save(&self, path: &Path, stamp: u64) -> Result<Saved, AnnError> {
        let state = self.state.load_full();
        let (rows, vectors) = survivors(&state, self.space.dimensions);
        let mut out = Writer::new();
        out.bytes(MAGIC);
        out.u32(VERSION);
        out.u64(stamp);
        out.space(&self.space);
        out.u64(rows.len() as u64);
        out.u32s(&rows);
        out.f32s(vectors.values());
        let content = out.into_bytes();
        let sha256: [u8; 32] = Sha256::digest(&content).into();
        write_whole(path, &[&content, &sha256]).map_err(|e| io(path, e))?;
        let bytes = (content.len() + HASH_BYTES) as u64;
        Ok(Saved { sha256, bytes, rows: rows.len(), stamp })
    }

    /// Reads an index of `space` from `path`. With `expected`, the hash that the catalogue committed,
    /// the content must be that very one.
    ///
    /// # Errors
    /// [`AnnError::Hash`], [`AnnError::File`], [`AnnError::OtherSpace`], [`AnnError::Memory`] or
    /// [`AnnError::Io`]; never a wrong index.
    pub fn open(
        path: &Path,
        space: &Space,
        options: Options,
        expected: Option<&[u8; 32]>,
    ) -> Result<(Self, Saved), AnnError> {
        let content = read_within(path, options.memory_max)?;
        let (body, sha256) = verified(&content, expected)?;
        let mut input = Reader::new(body);
        let stamp = input.u64()?;
        let found = input.space()?;
        if found != *space {
            return Err(AnnError::OtherSpace {
                found: found.to_string(),
                expected: space.to_string(),
            });
        }
        let count = input.count(4 + space.dimensions * 4)?;
        let rows = distinct(input.u32s(count)?)?;
        let vectors = Matrix::from_values(space.dimensions, input.f32s(count * space.dimensions)?);
        input.end()?;
        vectors.iter().try_for_each(|v| space.admit(v).map(drop))?;
        let frozen = Frozen::build(&rows, &vectors, &options)?;
        let state = State::new(Generation::new(frozen, 1), Segment::new(space.dimensions));
        let saved = Saved { sha256, bytes: content.len() as u64, rows: count, stamp };
        Ok((Self::of(space.clone(), options, state), saved))
    }
}

fn distinct(rows: Vec<Row>) -> Result<Vec<Row>, AnnError> {
    let mut sorted = rows.clone();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|w| matches!(w, [a, b] if a == b));
    if twice || sorted.last().is_some_and(|&r| r >= ROW_LIMIT) {
        return Err(file("a row is out of range or listed twice"));
    }
    Ok(rows)
}

/// The body behind magic and version, and the hash, once that is checked.
fn verified<'a>(
    content: &'a [u8],
    expected: Option<&[u8; 32]>,
) -> Result<(&'a [u8], [u8; 32]), AnnError> {
    let head = MAGIC.len() + 4;
    if content.len() < head + HASH_BYTES {
        return Err(file("it is too short"));
    }
    let (signed, hash) = content.split_at(content.len() - HASH_BYTES);
    let (head, body) = signed.split_at(head);
    if head.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(file("it does not begin like one"));
    }
    if head.get(MAGIC.len()..) != Some(VERSION.to_le_bytes().as_slice()) {
        return Err(file("it is of another version"));
    }
    let sha256: [u8; 32] = Sha256::digest(signed).into();
    let wanted = expected.map_or(hash, <[u8; 32]>::as_slice);
    if sha256 != wanted || sha256 != hash {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        return Err(AnnError::Hash { found: hex(&sha256), expected: hex(wanted) });
    }
    Ok((body, sha256))
}

fn read_within(path: &Path, allowed: u64) -> Result<Vec<u8>, AnnError> {
    let source = File::open(path).map_err(|e| io(path, e))?;
    let needed = source.metadata().map_err(|e| io(path, e))?.len();
    let memory = || AnnError::Memory { needed, allowed };
    if needed > allowed {
        return Err(memory());
    }
    let mut content = Vec::new();
    let capacity = usize::try_from(needed).map_err(|_| memory())?;
    content.try_reserve_exact(capacity).map_err(|_| memory())?;
    source.take(needed).read_to_end(&mut content).map_err(|e| io(path, e))?;
    Ok(content)
}

/// Writes beside the file, syncs, and only then takes its name.
fn write_whole(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let beside = path.with_extension("partial");
    let mut out = File::create(&beside)?;
    parts.iter().try_for_each(|part| out.write_all(part))?;
    out.sync_all()?;
    std::fs::rename(&beside, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

pub(crate) fn file(why: &str) -> AnnError {
    AnnError::File { why: why.to_owned() }
}

fn io(path: &Path, source: std::io::Error) -> AnnError {
    AnnError::Io { path: path.display().to_string(), source }
}

impl Writer {
    fn space(&mut self, space: &Space) {
        self.u32(u32::try_from(space.model.len()).unwrap_or(u32::MAX));
        self.bytes(space.model.as_bytes());
        self.u32(u32::try_from(space.dimensions).unwrap_or(u32::MAX));
        self.u32(match space.metric {
            Metric::Cosine => 0,
            Metric::InnerProduct => 1,
            Metric::L2 => 2,
        });
    }
}

impl Reader<'_> {
    fn space(&mut self) -> Result<Space, AnnError> {
        let length = self.u32()? as usize;
        let model = std::str::from_utf8(self.take(length)?);
        let model = model.map_err(|_| file("the model's name is not text"))?.to_owned();
        let dimensions = self.u32()? as usize;
        let metric = match self.u32()? {
            0 => Metric::Cosine,
            1 => Metric::InnerProduct,
            2 => Metric::L2,
            _ => return Err(file("its metric is unknown")),
        };
        Space::new(model, dimensions, metric)
    }
}
