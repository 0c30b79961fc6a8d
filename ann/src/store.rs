//! The index as a file that a new node fetches instead of building.
//!
//! Little-endian, in this order: magic, version; the caller's stamp; the space; the frozen generation
//! (rows in node order, bounds of each node's rows if any has several, vectors, links); the rows of it
//! that are dead; fresh rows and their vectors; the caller's note (from version 2 on); the tuned `ef`, 0
//! if none; the SHA-256 of all before. Codes are not stored: they follow from the vectors. Until version 2
//! nodes had room for a multiple of sixteen links.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::bytes::{Sink, Spring, unusable};
use crate::error::AnnError;
use crate::frozen::Frozen;
use crate::graph::Graph;
use crate::live::{Generation, LiveIndex, State};
use crate::matrix::Rows;
use crate::options::{Keep, Options};
use crate::pool::NODES_MAX;
use crate::segment::{Entry, Segment};
use crate::slots::Slots;
use crate::space::{Metric, ROW_LIMIT, Row, Space};

const MAGIC: [u8; 8] = *b"bailiann";
const VERSION: u32 = 3;
/// The first version with a note.
const WITH_NOTE: u32 = 2;
/// Bytes of the longest model name that is read.
const MODEL_BYTES_MAX: usize = 1 << 12;

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
        let write = || {
            let out = File::create(&beside)?;
            let saved = self.write(BufWriter::new(&out), stamp, note)?;
            out.sync_all()?;
            // Only whole and synced does it take its name.
            std::fs::rename(&beside, path)?;
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(saved)
        };
        write().map_err(io)
    }

    /// The bytes that [`LiveIndex::save`] would write, for a place in a file of the caller's.
    ///
    /// # Errors
    /// [`AnnError::Io`] never.
    pub fn to_bytes(&self, stamp: u64) -> Result<Vec<u8>, AnnError> {
        let mut bytes = Vec::new();
        let written = self.write(&mut bytes, stamp, |_| Vec::new());
        written.map_err(|source| AnnError::Io { path: "memory".to_owned(), source })?;
        Ok(bytes)
    }

    fn write(
        &self,
        out: impl Write,
        stamp: u64,
        note: impl FnOnce(&[Row]) -> Vec<u8>,
    ) -> std::io::Result<Saved> {
        let state = self.state.load_full();
        let mut sink = Sink::new(out);
        sink.state(&self.space, &state, stamp)?;
        let note = note(state.generation.frozen.slots.rows());
        sink.u64(note.len() as u64)?;
        sink.bytes(&note)?;
        sink.u32(u32::try_from(self.ef.load(Ordering::Relaxed)).unwrap_or_default())?;
        let (sha256, bytes) = sink.seal()?;
        Ok(Saved { sha256, bytes, rows: state.live, stamp })
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

    fn read(
        source: impl Read,
        bytes: u64,
        space: &Space,
        options: Options,
        expected: Option<&[u8; 32]>,
    ) -> Result<Opened, AnnError> {
        if bytes > options.memory_max {
            return Err(AnnError::Memory { needed: bytes, allowed: options.memory_max });
        }
        let mut spring = Spring::new(source, bytes)?;
        let version = spring.version()?;
        let (state, stamp) = spring.state(space, options.keep)?;
        let note = if version < WITH_NOTE { Vec::new() } else { spring.note()? };
        let ef = spring.u32()?;
        let sha256 = spring.check(expected)?;
        let saved = Saved { sha256, bytes, rows: state.live, stamp };
        let index = Self::of(space.clone(), options, state);
        index.ef.store(ef as usize, Ordering::Relaxed);
        Ok(Opened { index, saved, note })
    }
}

impl<W: Write> Sink<W> {
    fn state(&mut self, space: &Space, state: &State, stamp: u64) -> std::io::Result<()> {
        self.bytes(&MAGIC)?;
        self.u32(VERSION)?;
        self.u64(stamp)?;
        self.space(space)?;
        self.frozen(&state.generation.frozen)?;
        let slots = (0u32..).zip(state.generation.frozen.slots.rows());
        let dead = slots.filter(|(slot, _)| !state.generation.spares(*slot, state.now));
        self.list(&dead.map(|(_, &row)| row).collect::<Vec<Row>>())?;
        let fresh = || state.segment.live(0, state.now);
        self.list(&fresh().map(|entry| entry.row).collect::<Vec<Row>>())?;
        fresh().try_for_each(|entry| self.f32s(entry.vector))
    }

    fn space(&mut self, space: &Space) -> std::io::Result<()> {
        self.u32(u32::try_from(space.model.len()).unwrap_or(u32::MAX))?;
        self.bytes(space.model.as_bytes())?;
        self.u32(u32::try_from(space.dimensions).unwrap_or(u32::MAX))?;
        self.u32(match space.metric {
            Metric::Cosine => 0,
            Metric::InnerProduct => 1,
            Metric::L2 => 2,
        })
    }

    fn frozen(&mut self, frozen: &Frozen) -> std::io::Result<()> {
        let graph = &frozen.map.graph;
        self.u64(frozen.nodes() as u64)?;
        self.list(frozen.slots.rows())?;
        self.list(frozen.slots.bounds().unwrap_or_default())?;
        let (nodes, mut whole) = (u32::try_from(frozen.nodes()).unwrap_or_default(), Vec::new());
        (0..nodes).try_for_each(|node| self.f32s(frozen.node_vector(node, &mut whole)))?;
        self.u32(u32::try_from(graph.room()).unwrap_or_default())?;
        (0..nodes).try_for_each(|node| self.u32s(&graph.links(node).to_vec()))
    }

    fn list(&mut self, values: &[u32]) -> std::io::Result<()> {
        self.u64(values.len() as u64)?;
        self.u32s(values)
    }
}

impl<R: Read> Spring<R> {
    fn version(&mut self) -> Result<u32, AnnError> {
        if self.array()? != MAGIC {
            return Err(unusable("it does not begin like one"));
        }
        let version = self.u32()?;
        match (1..=VERSION).contains(&version) {
            true => Ok(version),
            false => Err(unusable("it is of another version")),
        }
    }

    fn note(&mut self) -> Result<Vec<u8>, AnnError> {
        let count = self.count(1)?;
        self.raw(count)
    }

    fn state(&mut self, space: &Space, keep: Keep) -> Result<(State, u64), AnnError> {
        let stamp = self.u64()?;
        let found = self.space()?;
        if found != *space {
            let (found, expected) = (found.to_string(), space.to_string());
            return Err(AnnError::OtherSpace { found, expected });
        }
        let generation = Generation::new(self.frozen(space, keep)?, 1);
        let dead = self.list()?;
        let fresh = self.list()?;
        let vectors = self.vectors(space, fresh.len())?;
        let rows = Rows::new(space.dimensions, &vectors);
        let entries = fresh.iter().zip(rows.iter()).map(|(&row, vector)| Entry { row, vector });
        let segment = Segment::of(space.dimensions, entries);
        let state = State::opened(generation, segment, &dead, &fresh);
        Ok((state.ok_or_else(|| unusable("its lists of rows contradict each other"))?, stamp))
    }

    fn space(&mut self) -> Result<Space, AnnError> {
        let length = self.u32()? as usize;
        if length > MODEL_BYTES_MAX {
            return Err(unusable("the model's name is too long"));
        }
        let model = self.text(length)?;
        let dimensions = self.u32()? as usize;
        let metric = match self.u32()? {
            0 => Metric::Cosine,
            1 => Metric::InnerProduct,
            2 => Metric::L2,
            _ => return Err(unusable("its metric is unknown")),
        };
        Space::new(model, dimensions, metric)
    }

    fn frozen(&mut self, space: &Space, keep: Keep) -> Result<Frozen, AnnError> {
        let nodes = self.count(space.dimensions * 4)?;
        let rows = self.list()?;
        let bounds = self.list()?;
        let sizes = match &*bounds {
            [] => Some(vec![1; rows.len()]),
            bounds => Slots::sizes(bounds, rows.len()),
        };
        let sizes = sizes.filter(|s| s.len() == nodes && nodes <= NODES_MAX && distinct(&rows));
        let sizes = sizes.ok_or_else(|| unusable("its rows contradict each other"))?;
        let vectors = self.vectors(space, nodes)?;
        let room = self.u32()? as usize;
        let links = self.u32s(nodes.saturating_mul(room))?;
        let graph = Graph::of_table(&links, room, nodes)?;
        let graph = graph.ok_or_else(|| unusable("a link leads nowhere"))?;
        Frozen::of_parts(space, Slots::new(rows.to_vec(), &sizes), vectors, graph, keep)
    }

    fn list(&mut self) -> Result<crate::memory::Huge<u32>, AnnError> {
        let count = self.count(4)?;
        self.u32s(count)
    }

    /// So many vectors that the space admits as they are.
    fn vectors(
        &mut self,
        space: &Space,
        count: usize,
    ) -> Result<crate::memory::Huge<f32>, AnnError> {
        let vectors = self.f32s(count.saturating_mul(space.dimensions))?;
        Rows::new(space.dimensions, &vectors).iter().try_for_each(|v| space.check_kept(v))?;
        Ok(vectors)
    }
}

/// Whether no row comes twice, and all are in range.
fn distinct(rows: &[Row]) -> bool {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|w| matches!(w, [a, b] if a == b));
    !twice && sorted.last().is_none_or(|&row| row < ROW_LIMIT)
}

impl State {
    /// The state of a file: a generation, fresh vectors, and the rows dead and fresh. None if a dead
    /// row is not in the generation, or a fresh one twice or alive in it too.
    fn opened(
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
