//! Files of versions 1 to 3, which are read and no longer written.
//!
//! Little-endian, in this order: magic, version; the caller's stamp; the space; the frozen generation
//! (rows in node order, bounds of each node's rows if any has several, vectors, links); the rows of it
//! that are dead; fresh rows and their vectors; the caller's note (from version 2 on); the tuned `ef`, 0
//! if none; the SHA-256 of all before. Codes were not stored: they follow from the vectors. Until version 2
//! nodes had room for a multiple of sixteen links.

use std::io::Read;
use std::sync::atomic::Ordering;

use crate::bytes::{Spring, unusable};
use crate::error::AnnError;
use crate::frozen::Frozen;
use crate::graph::Graph;
use crate::header::START;
use crate::live::{Generation, LiveIndex, State};
use crate::matrix::Rows;
use crate::memory::Huge;
use crate::options::{Keep, Options};
use crate::pool::NODES_MAX;
use crate::segment::{Entry, Segment};
use crate::slots::Slots;
use crate::space::Space;
use crate::store::{Opened, Saved, distinct};

/// The first version with a note.
const WITH_NOTE: u32 = 2;

/// Reads a file of `bytes` bytes and of such a version.
pub(crate) fn read(
    source: impl Read,
    bytes: u64,
    version: u32,
    space: &Space,
    options: Options,
    expected: Option<&[u8; 32]>,
) -> Result<Opened, AnnError> {
    let mut spring = Spring::new(source, bytes)?;
    spring.array::<START>()?;
    let (state, stamp) = spring.state(space, options.keep)?;
    let note = if version < WITH_NOTE { Vec::new() } else { spring.note()? };
    let ef = spring.u32()?;
    let sha256 = spring.check(expected)?;
    let saved = Saved { sha256, bytes, rows: state.live, stamp };
    let index = LiveIndex::of(space.clone(), options, state);
    index.ef.store(ef as usize, Ordering::Relaxed);
    Ok(Opened { index, saved, note })
}

impl<R: Read> Spring<R> {
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
        let entries = fresh.iter().zip(rows.iter()).map(|(&row, vector)| Entry {
            row,
            vector,
            attributes: None,
        });
        let segment = Segment::of(space.dimensions, entries);
        let state = State::opened(generation, segment, &dead, &fresh);
        Ok((state.ok_or_else(|| unusable("its lists of rows contradict each other"))?, stamp))
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
        Frozen::of_parts(space, Slots::new(&rows, &sizes)?, vectors, graph, keep)
    }

    fn list(&mut self) -> Result<Huge<u32>, AnnError> {
        let count = self.count(4)?;
        self.u32s(count)
    }

    /// So many vectors that the space admits as they are.
    fn vectors(&mut self, space: &Space, count: usize) -> Result<Huge<f32>, AnnError> {
        let vectors = self.f32s(count.saturating_mul(space.dimensions))?;
        Rows::new(space.dimensions, &vectors).iter().try_for_each(|v| space.check_kept(v))?;
        Ok(vectors)
    }
}
