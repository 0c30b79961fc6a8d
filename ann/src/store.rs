//! The index as a file: one that a new node fetches instead of building, and one that a node maps when it starts.
//!
//! Files are written as version 5 ([`crate::write`]); those of version 4, which had no columns, are read and mapped
//! too, and those of versions 1 to 3 ([`crate::older`]) read.
//!
//! A file from elsewhere is *opened*: read whole, hashed, its vectors and codes looked at, all on huge pages.
//! One's own is *mapped*: its checksums and whatever leads from one table into another are looked at, and it is
//! searched where the system keeps it. A flip of any bit is noticed by both; only that of the hash at the end,
//! which says nothing of how the index answers, is noticed by a mapping if it is told which hash to expect.
//! Measures of the graph, of which depends how fast and how far is searched, are believed in both cases.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::Path;

use crate::bytes::unusable;
use crate::error::AnnError;
use crate::flat::Flat;
use crate::header::{FLAT, FLAT_FIRST, MAGIC, START};
use crate::live::{Generation, LiveIndex, State};
use crate::older;
use crate::options::Options;
use crate::segment::Segment;
use crate::space::{ROW_LIMIT, Row, Space};
use crate::write::write;

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

/// An index as its file has it.
#[derive(Debug)]
pub struct Opened {
    /// The index.
    pub index: LiveIndex,
    /// What the file held.
    pub saved: Saved,
    /// The caller's note.
    pub note: Vec<u8>,
}

impl LiveIndex {
    /// Writes the index to `path`, whole or not at all. `stamp` is the caller's: the log index that it
    /// had applied *before* this call, from which a reader of the file catches up.
    ///
    /// # Errors
    /// [`AnnError::Io`] when the file system refuses.
    pub fn save(&self, path: &Path, stamp: u64) -> Result<Saved, AnnError> {
        self.save_with(path, stamp, |_| Vec::new())
    }

    /// As [`LiveIndex::save`], with a note of the caller's, who is told the rows of the frozen generation in
    /// the file's order. By what it says of them [`LiveIndex::adopt`] can be told which rows they are
    /// elsewhere.
    ///
    /// # Errors
    /// As [`LiveIndex::save`].
    pub fn save_with(
        &self,
        path: &Path,
        stamp: u64,
        note: impl FnOnce(&[Row]) -> Vec<u8>,
    ) -> Result<Saved, AnnError> {
        let io = |source| AnnError::Io { path: path.display().to_string(), source };
        let beside = path.with_extension("partial");
        let whole = || {
            let out = File::create(&beside)?;
            let saved = write(self, BufWriter::new(&out), stamp, note)?;
            out.sync_all()?;
            // Only whole and synced does it take its name.
            std::fs::rename(&beside, path)?;
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(saved)
        };
        whole().map_err(io)
    }

    /// The bytes that [`LiveIndex::save`] would write, for a place in a file of the caller's.
    ///
    /// # Errors
    /// [`AnnError::Io`] never.
    pub fn to_bytes(&self, stamp: u64) -> Result<Vec<u8>, AnnError> {
        let mut bytes = Vec::new();
        let written = write(self, &mut bytes, stamp, |_| Vec::new());
        written.map_err(|source| AnnError::Io { path: "memory".to_owned(), source })?;
        Ok(bytes)
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
        Self::open_with(path, space, options, expected).map(|opened| (opened.index, opened.saved))
    }

    /// As [`LiveIndex::open`], with the caller's note.
    ///
    /// # Errors
    /// As [`LiveIndex::open`].
    pub fn open_with(
        path: &Path,
        space: &Space,
        options: Options,
        expected: Option<&[u8; 32]>,
    ) -> Result<Opened, AnnError> {
        let io = |source| AnnError::Io { path: path.display().to_string(), source };
        let source = File::open(path).map_err(io)?;
        let bytes = source.metadata().map_err(io)?.len();
        Self::read(BufReader::new(source), bytes, space, options, expected)
    }

    /// Reads an index of `space` from the bytes that [`LiveIndex::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`LiveIndex::open`].
    pub fn from_bytes(bytes: &[u8], space: &Space, options: Options) -> Result<Self, AnnError> {
        let length = bytes.len() as u64;
        Self::read(bytes, length, space, options, None).map(|opened| opened.index)
    }

    /// Maps an index of `space` at `path`, to be searched where the system keeps the file: nothing is copied,
    /// built or measured, and all who map it share its memory. For files that this node wrote, or whose SHA-256
    /// was compared: `expected` is compared only with the hash that stands at the file's end. Vectors stay as
    /// they are kept in the file, whatever [`Options::keep`] says, until a merge makes a generation in memory.
    ///
    /// Of [`Options::memory_max`] only what the index takes besides the file counts. While a file is mapped it
    /// must not be written to; it may be replaced or removed. Who truncates it ends the process at the next
    /// search beyond its new end.
    ///
    /// A file of an older version is opened as by [`LiveIndex::open_with`], and so is any where the processor has
    /// numbers the other way round.
    ///
    /// # Errors
    /// As [`LiveIndex::open`].
    pub fn map(
        path: &Path,
        space: &Space,
        options: Options,
        expected: Option<&[u8; 32]>,
    ) -> Result<Opened, AnnError> {
        let io = |source| AnnError::Io { path: path.display().to_string(), source };
        let mut source = File::open(path).map_err(io)?;
        if version(&start(&mut source)?)? < FLAT_FIRST || cfg!(target_endian = "big") {
            return Self::open_with(path, space, options, expected);
        }
        let flat = Flat::map(&source, expected).map_err(io)??;
        let (needed, allowed) = (flat.own_bytes(), options.memory_max);
        if needed > allowed {
            return Err(AnnError::Memory { needed, allowed });
        }
        flat.index(space, options)
    }

    fn read(
        mut source: impl Read,
        bytes: u64,
        space: &Space,
        options: Options,
        expected: Option<&[u8; 32]>,
    ) -> Result<Opened, AnnError> {
        if bytes > options.memory_max {
            return Err(AnnError::Memory { needed: bytes, allowed: options.memory_max });
        }
        let start = start(&mut source)?;
        let version = version(&start)?;
        let source = start.as_slice().chain(source);
        if version < FLAT_FIRST {
            return older::read(source, bytes, version, space, options, expected);
        }
        Flat::read(source, bytes, expected)?.checked(space, options)
    }
}

/// The first bytes of a file.
fn start(source: &mut impl Read) -> Result<[u8; START], AnnError> {
    let mut start = [0; START];
    source.read_exact(&mut start).map_err(|_| unusable("it is too short"))?;
    Ok(start)
}

/// The version that a file is of.
fn version(start: &[u8; START]) -> Result<u32, AnnError> {
    let number = start.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk());
    let number = number.ok_or_else(|| unusable("it does not begin like one"))?;
    let version = u32::from_le_bytes(*number);
    match (1..=FLAT).contains(&version) {
        true => Ok(version),
        false => Err(unusable("it is of another version")),
    }
}

/// Whether no row comes twice, and all are in range.
pub(crate) fn distinct(rows: &[Row]) -> bool {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|w| matches!(w, [a, b] if a == b));
    !twice && sorted.last().is_none_or(|&row| row < ROW_LIMIT)
}

impl State {
    /// The state of a file: a generation, fresh vectors, and the rows dead and fresh. None if a dead
    /// row is not in the generation, or a fresh one twice or alive in it too.
    pub(crate) fn opened(
        generation: Generation,
        segment: Segment,
        dead: &[Row],
        fresh: &[Row],
    ) -> Option<Self> {
        for &row in dead {
            let slot = generation.frozen.slots.slot(row)?;
            generation.deaths.mark(slot, 0).then_some(())?;
        }
        let alive = |row: &Row| {
            let slot = generation.frozen.slots.slot(*row);
            slot.is_some_and(|slot| generation.spares(slot, 0))
        };
        if !distinct(dead) || !distinct(fresh) || fresh.iter().any(alive) {
            return None;
        }
        let mut state = Self::new(generation, segment);
        state.live -= dead.len();
        Some(state)
    }
}
