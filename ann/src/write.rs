//! An index as one flat file, in exactly the form in which it is searched: the head ([`crate::header`]), sections
//! each with its CRC-32, the SHA-256 of all before.

use std::io::Write;
use std::sync::atomic::Ordering;

use crate::bytes::Sink;
use crate::frozen::Frozen;
use crate::gather::Gathered;
use crate::header::{FLAT, Header, Part, Section};
use crate::live::{LiveIndex, State};
use crate::space::Row;
use crate::store::Saved;
use crate::vectors::Vectors;

/// Bytes moved at a time: they are hashed while they are still near.
pub(crate) const CHUNK: usize = 1 << 20;

/// What a section holds.
#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Bytes(&'a [u8]),
    U32s(&'a [u32]),
    F32s(&'a [f32]),
}

impl Content<'_> {
    /// Its bytes, so many at a time.
    fn each(self, put: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        match self {
            Self::Bytes(bytes) => bytes.chunks(CHUNK).try_for_each(put),
            Self::U32s(values) => fours(values, u32::to_le_bytes, put),
            Self::F32s(values) => fours(values, f32::to_le_bytes, put),
        }
    }

    /// Its length and checksum.
    fn section(self) -> std::io::Result<Section> {
        let (mut bytes, mut crc) = (0, crc32fast::Hasher::new());
        self.each(&mut |some| {
            bytes += some.len() as u64;
            crc.update(some);
            Ok(())
        })?;
        Ok(Section { offset: 0, bytes, crc: crc.finalize() })
    }
}

fn fours<T: Copy>(
    values: &[T],
    bytes: fn(T) -> [u8; 4],
    put: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut some = vec![0; CHUNK.min(values.len() * 4)];
    for values in values.chunks(CHUNK / 4) {
        let part = some.get_mut(..values.len() * 4).unwrap_or_default();
        part.as_chunks_mut().0.iter_mut().zip(values).for_each(|(slot, &v)| *slot = bytes(v));
        put(part)?;
    }
    Ok(())
}

/// What a state has beside its frozen generation.
struct Lists {
    dead: Vec<Row>,
    fresh: Vec<Row>,
    vectors: Vec<f32>,
    columns: Vec<u8>,
}

impl Lists {
    fn of(state: &State) -> std::io::Result<Self> {
        let generation = &state.generation;
        let slots = (0u32..).zip(generation.frozen.slots.rows());
        let dead = slots.filter(|(slot, _)| !generation.spares(*slot, state.now));
        let fresh = || state.segment.live(0, state.now);
        let mut columns = Gathered::new(fresh().count(), &state.kinds);
        for (at, entry) in (0u32..).zip(fresh()) {
            entry.attributes.into_iter().for_each(|known| columns.add(at, known));
        }
        Ok(Self {
            dead: dead.map(|(_, &row)| row).collect(),
            fresh: fresh().map(|entry| entry.row).collect(),
            vectors: fresh().flat_map(|entry| entry.vector).copied().collect(),
            columns: columns.encode()?,
        })
    }
}

fn contents<'a>(
    frozen: &'a Frozen,
    lists: &'a Lists,
    note: &'a [u8],
) -> [Content<'a>; Part::ALL.len()] {
    Part::ALL.map(|part| match part {
        Part::Codes => Content::Bytes(frozen.map.codes.bytes()),
        Part::Links => Content::Bytes(frozen.map.graph.table()),
        Part::Vectors => match &frozen.vectors {
            Vectors::Exact(values) => Content::F32s(values),
            Vectors::Rest(bytes) => Content::Bytes(bytes),
        },
        Part::Rows => Content::U32s(frozen.slots.rows()),
        Part::Bounds => Content::U32s(frozen.slots.bounds().unwrap_or_default()),
        Part::Places => Content::U32s(frozen.slots.places().unwrap_or_default()),
        Part::Dead => Content::U32s(&lists.dead),
        Part::FreshRows => Content::U32s(&lists.fresh),
        Part::FreshVectors => Content::F32s(&lists.vectors),
        Part::Note => Content::Bytes(note),
        Part::Columns => Content::Bytes(frozen.columns.bytes()),
        Part::FreshColumns => Content::Bytes(&lists.columns),
    })
}

/// Writes an index, with what the caller says of the rows of its frozen generation.
pub(crate) fn write(
    index: &LiveIndex,
    out: impl Write,
    stamp: u64,
    note: impl FnOnce(&[Row]) -> Vec<u8>,
) -> std::io::Result<Saved> {
    let state = index.state.load_full();
    let frozen = &state.generation.frozen;
    let (lists, note) = (Lists::of(&state)?, note(frozen.slots.rows()));
    let contents = contents(frozen, &lists, &note);
    let mut header = Header {
        version: FLAT,
        stamp,
        space: index.space.clone(),
        nodes: frozen.nodes() as u64,
        stride: u32::try_from(frozen.map.graph.stride()).unwrap_or(u32::MAX),
        fit: frozen.map.coder.fitted(),
        spread: frozen.spread.numbers(),
        costs: frozen.costs.numbers(),
        coarse: frozen.coarse,
        rounded: matches!(frozen.vectors, Vectors::Rest(_)),
        ef: u32::try_from(index.ef.load(Ordering::Relaxed)).unwrap_or_default(),
        sections: Default::default(),
    };
    for (section, content) in header.sections.iter_mut().zip(contents) {
        *section = content.section()?;
    }
    header.lay_out()?;
    let mut sink = Sink::new(out);
    sink.bytes(&header.encode()?)?;
    for (section, content) in header.sections.iter().zip(contents) {
        sink.zeros_to(section.offset)?;
        content.each(&mut |bytes| sink.bytes(bytes))?;
    }
    let (sha256, bytes) = sink.seal()?;
    Ok(Saved { sha256, bytes, rows: state.live, stamp })
}
