//! Fresh vectors, not yet in a frozen generation: append-only, scanned exactly.
//!
//! A segment is a value: adding to it makes a new one that shares all but the last chunk, so readers
//! keep what they have. Deaths carry the sequence number of the write that caused them, and a reader
//! sees only those up to its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::matrix::Matrix;
use crate::space::Row;

/// Vectors of a chunk: the last one is copied at each write.
const CHUNK: usize = 64;

/// The number of a write. A reader sees writes up to its own number.
pub(crate) type Sequence = u32;
/// `Death` of a vector that lives.
const ALIVE: Sequence = Sequence::MAX;

/// When a vector was replaced or removed.
#[derive(Debug)]
pub(crate) struct Death(AtomicU32);

impl Death {
    pub(crate) fn alive() -> Self {
        Self(AtomicU32::new(ALIVE))
    }

    /// Whether the vector lives for a reader at `now`.
    #[inline]
    pub(crate) fn spares(&self, now: Sequence) -> bool {
        self.0.load(Ordering::Relaxed) > now
    }

    /// The write `now`, which is yet to be published, ends it.
    pub(crate) fn mark(&self, now: Sequence) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clone for Death {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.0.load(Ordering::Relaxed)))
    }
}

#[derive(Debug, Clone, Default)]
struct Chunk {
    rows: Vec<Row>,
    deaths: Vec<Death>,
    vectors: Matrix,
}

/// Fresh vectors in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    full: Arc<Vec<Arc<Chunk>>>,
    last: Arc<Chunk>,
}

/// A live vector of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) row: Row,
    pub(crate) vector: &'a [f32],
}

impl Segment {
    pub(crate) fn new(dimensions: usize) -> Self {
        Self { full: Arc::default(), last: Arc::new(empty(dimensions)) }
    }

    /// Vectors, dead ones too.
    pub(crate) fn len(&self) -> usize {
        self.full.len() * CHUNK + self.last.rows.len()
    }

    /// The segment with one more vector, which gets the number `len()`.
    pub(crate) fn with(&self, row: Row, vector: &[f32]) -> Self {
        let mut last = Chunk::clone(&self.last);
        last.rows.push(row);
        last.deaths.push(Death::alive());
        last.vectors.push(vector);
        if last.rows.len() < CHUNK {
            return Self { full: Arc::clone(&self.full), last: Arc::new(last) };
        }
        let mut full = Vec::clone(&self.full);
        let width = last.vectors.width();
        full.push(Arc::new(last));
        Self { full: Arc::new(full), last: Arc::new(empty(width)) }
    }

    /// The death of the vector numbered `at`.
    pub(crate) fn death(&self, at: usize) -> Option<&Death> {
        self.full.get(at / CHUNK).unwrap_or(&self.last).deaths.get(at % CHUNK)
    }

    /// Vectors that live at `now`, in order of arrival, from number `from` on.
    pub(crate) fn live(&self, from: usize, now: Sequence) -> impl Iterator<Item = Entry<'_>> {
        let chunks = self.full.iter().skip(from / CHUNK);
        let last = Some(&self.last).filter(|_| from / CHUNK <= self.full.len());
        let all = chunks.chain(last).flat_map(|chunk| {
            let entries = chunk.rows.iter().zip(&chunk.deaths).zip(chunk.vectors.iter());
            entries.map(|((&row, death), vector)| (death, Entry { row, vector }))
        });
        all.skip(from % CHUNK).filter(move |(death, _)| death.spares(now)).map(|(_, entry)| entry)
    }

    /// The vector of a row.
    pub(crate) fn vector(&self, row: Row, now: Sequence) -> Option<&[f32]> {
        let chunks = self.full.iter().chain(std::iter::once(&self.last));
        chunks.rev().find_map(|chunk| {
            let mut places = chunk.rows.iter().zip(&chunk.deaths).zip(chunk.vectors.iter()).rev();
            places.find(|((r, death), _)| **r == row && death.spares(now)).map(|(_, v)| v)
        })
    }
}

fn empty(dimensions: usize) -> Chunk {
    Chunk {
        rows: Vec::with_capacity(CHUNK),
        deaths: Vec::with_capacity(CHUNK),
        vectors: Matrix::with_capacity(dimensions, CHUNK),
    }
}
