//! Fresh vectors, not yet in a frozen generation: append-only, scanned exactly.
//!
//! A segment is a value: adding to it makes a new one that shares all but the last chunk, so readers
//! keep what they have. Deaths carry the sequence number of the write that caused them, and a reader
//! sees only those up to its own.
//!
//! A scan compares codes first. Each vector and the query know how far their code is off, so a bound
//! on the error follows, and only what the bound can't rule out is compared exactly: the result is
//! that of comparing everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::codes::LINE;
use crate::kernel::dot;
use crate::matrix::Matrix;
use crate::sift::{Sifted, sift_bytes};
use crate::space::{Metric, Row, Space};

/// Vectors of a chunk: the last one is copied at each write.
const CHUNK: usize = 64;
/// Rounding of the sums that the bounds come from, as a share of the lengths.
const ROUNDING: f32 = 1e-5;

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

/// A vector as bytes, and how far that is off.
#[derive(Debug, Clone, Copy)]
struct Rough {
    /// Value of a unit of the code.
    unit: f32,
    /// Length of the vector.
    length: f32,
    /// Length of the vector less its code.
    off: f32,
}

/// Writes the code of `vector`, byte by byte through `put`.
fn rough(vector: &[f32], mut put: impl FnMut(f32)) -> Rough {
    let reach = vector.iter().fold(0.0_f32, |reach, v| reach.max(v.abs()));
    let unit = if reach > 0.0 { reach / 127.0 } else { 1.0 };
    let mut off = 0.0;
    for v in vector {
        let byte = (v / unit).round().clamp(-127.0, 127.0);
        off += (v - byte * unit).powi(2);
        put(byte);
    }
    Rough { unit, length: dot(vector, vector).sqrt(), off: off.sqrt() }
}

#[derive(Debug, Clone)]
struct Chunk {
    rows: Vec<Row>,
    deaths: Vec<Death>,
    vectors: Matrix,
    codes: Vec<u8>,
    rough: Vec<Rough>,
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
        Self { full: Arc::default(), last: Arc::new(Chunk::new(dimensions)) }
    }

    /// A segment of these.
    pub(crate) fn of<'a>(dimensions: usize, entries: impl Iterator<Item = Entry<'a>>) -> Self {
        let mut chunks: Vec<Arc<Chunk>> = Vec::new();
        let mut last = Chunk::new(dimensions);
        for entry in entries {
            last.push(entry.row, entry.vector);
            if last.rows.len() == CHUNK {
                let full = std::mem::replace(&mut last, Chunk::new(dimensions));
                chunks.push(Arc::new(full));
            }
        }
        Self { full: Arc::new(chunks), last: Arc::new(last) }
    }

    /// Vectors, dead ones too.
    pub(crate) fn len(&self) -> usize {
        self.full.len() * CHUNK + self.last.rows.len()
    }

    /// The segment with one more vector, which gets the number `len()`.
    pub(crate) fn with(&self, row: Row, vector: &[f32]) -> Self {
        let mut last = Chunk::clone(&self.last);
        last.push(row, vector);
        if last.rows.len() < CHUNK {
            return Self { full: Arc::clone(&self.full), last: Arc::new(last) };
        }
        let mut full = Vec::clone(&self.full);
        full.push(Arc::new(last));
        Self { full: Arc::new(full), last: Arc::new(Chunk::new(vector.len())) }
    }

    /// The death of the vector numbered `at`.
    pub(crate) fn death(&self, at: usize) -> Option<&Death> {
        self.full.get(at / CHUNK).unwrap_or(&self.last).deaths.get(at % CHUNK)
    }

    fn chunks(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.full.iter().chain(std::iter::once(&self.last)).map(Arc::as_ref)
    }

    /// Vectors that live at `now`, in order of arrival, from number `from` on.
    pub(crate) fn live(&self, from: usize, now: Sequence) -> impl Iterator<Item = Entry<'_>> {
        let all = self.chunks().skip(from / CHUNK).flat_map(Chunk::entries).skip(from % CHUNK);
        all.filter(move |(death, _)| death.spares(now)).map(|(_, entry)| entry)
    }

    /// The vector of a row.
    pub(crate) fn vector(&self, row: Row, now: Sequence) -> Option<&[f32]> {
        self.chunks().rev().find_map(|chunk| {
            let mut entries =
                chunk.rows.iter().zip(0..).filter(|(r, _)| **r == row).map(|(_, at)| at);
            let live = |at: &usize| chunk.deaths.get(*at).is_some_and(|death| death.spares(now));
            entries.find(live).map(|at| chunk.vectors.row(at))
        })
    }

    /// The best `k` live vectors whose rows `accepts`, with exact scores, unordered.
    pub(crate) fn best(
        &self,
        space: &Space,
        query: &[f32],
        k: usize,
        now: Sequence,
        accepts: impl Fn(Row) -> bool,
    ) -> Vec<(f32, Row)> {
        let mut scan = Scan::new(space, query, k);
        for chunk in self.chunks() {
            scan.chunk(chunk, |row, death| death.spares(now) && accepts(row));
        }
        scan.finish()
    }
}

impl Chunk {
    fn new(dimensions: usize) -> Self {
        Self {
            rows: Vec::with_capacity(CHUNK),
            deaths: Vec::with_capacity(CHUNK),
            vectors: Matrix::with_capacity(dimensions, CHUNK),
            codes: Vec::with_capacity(CHUNK * code_size(dimensions)),
            rough: Vec::with_capacity(CHUNK),
        }
    }

    fn push(&mut self, row: Row, vector: &[f32]) {
        self.rows.push(row);
        self.deaths.push(Death::alive());
        self.vectors.push(vector);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1..=255")]
        let rough = rough(vector, |byte| self.codes.push((byte + 128.0) as u8));
        self.codes.resize(self.rows.len() * code_size(vector.len()), 128);
        self.rough.push(rough);
    }

    fn entries(&self) -> impl Iterator<Item = (&Death, Entry<'_>)> {
        let entries = self.rows.iter().zip(&self.deaths).zip(self.vectors.iter());
        entries.map(|((&row, death), vector)| (death, Entry { row, vector }))
    }
}

fn code_size(dimensions: usize) -> usize {
    dimensions.div_ceil(LINE).max(1) * LINE
}

/// A scan under way.
struct Scan<'a> {
    space: &'a Space,
    query: &'a [f32],
    k: usize,
    bytes: Vec<i8>,
    /// What the codes' offset of 128 adds to each sum.
    excess: i32,
    rough: Rough,
    /// Numbers of a chunk's vectors.
    ids: Vec<u32>,
    sifted: Sifted,
    /// The best `k` scores that are certain, best first.
    certain: Vec<f32>,
    /// What may be among the best: its greatest possible score, row and vector.
    open: Vec<(f32, Row, &'a [f32])>,
}

impl<'a> Scan<'a> {
    fn new(space: &'a Space, query: &'a [f32], k: usize) -> Self {
        let mut bytes = Vec::with_capacity(code_size(query.len()));
        #[expect(clippy::cast_possible_truncation, reason = "-127..=127")]
        let rough = rough(query, |byte| bytes.push(byte as i8));
        bytes.resize(code_size(query.len()), 0);
        let excess = 128 * bytes.iter().map(|&b| i32::from(b)).sum::<i32>();
        Self {
            space,
            query,
            k,
            bytes,
            excess,
            rough,
            ids: (0u32..).take(CHUNK).collect(),
            sifted: Sifted::default(),
            certain: Vec::with_capacity(k + 1),
            open: Vec::new(),
        }
    }

    /// The worst score that is still among the best.
    fn bar(&self) -> f32 {
        self.certain.get(self.k - 1).copied().unwrap_or(f32::NEG_INFINITY)
    }

    fn chunk(&mut self, chunk: &'a Chunk, counts: impl Fn(Row, &Death) -> bool) {
        let ids = self.ids.get(..chunk.rows.len()).unwrap_or_default();
        let mut sifted = std::mem::take(&mut self.sifted);
        sift_bytes(&chunk.codes, &self.bytes, ids, i32::MIN, &mut sifted);
        let scored = sifted.iter().map(|(sum, _)| sum).zip(&chunk.rough);
        for (at, (sum, rough)) in scored.enumerate() {
            let (score, margin) = self.bounds(sum, rough);
            if score + margin < self.bar() {
                continue;
            }
            let row = chunk.rows.get(at).copied().zip(chunk.deaths.get(at));
            if let Some((row, _)) = row.filter(|&(row, death)| counts(row, death)) {
                self.note(score - margin);
                self.open.push((score + margin, row, chunk.vectors.row(at)));
            }
        }
        self.sifted = sifted;
    }

    /// The score that the codes give, and how far it may be off.
    #[inline]
    fn bounds(&self, sum: i32, rough: &Rough) -> (f32, f32) {
        let product = (sum - self.excess) as f32 * rough.unit * self.rough.unit;
        let lengths = rough.length * self.rough.length;
        let margin = rough.off * self.rough.length
            + (rough.length + rough.off) * self.rough.off
            + ROUNDING * lengths;
        match self.space.metric {
            Metric::Cosine | Metric::InnerProduct => (product, margin),
            Metric::L2 => {
                let squares = rough.length * rough.length + self.rough.length * self.rough.length;
                (2.0 * product - squares, 2.0 * margin + ROUNDING * squares)
            }
        }
    }

    /// Notes a score that some vector reaches for certain.
    fn note(&mut self, score: f32) {
        let at = self.certain.partition_point(|&s| s >= score);
        if at < self.k {
            self.certain.truncate(self.k - 1);
            self.certain.insert(at, score);
        }
    }

    fn finish(self) -> Vec<(f32, Row)> {
        let bar = self.bar();
        let open = self.open.iter().filter(|(most, ..)| *most >= bar);
        open.map(|&(_, row, vector)| (self.space.score(self.query, vector), row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(metric: Metric, vectors: &[Vec<f32>], query: &[f32], k: usize) {
        let space = Space::new("m", query.len(), metric).unwrap();
        let Ok(query) = space.admit(query) else { return };
        let admitted: Vec<Vec<f32>> = vectors.iter().filter_map(|v| space.admit(v).ok()).collect();
        let entries = admitted.iter().zip(0..).map(|(v, row)| Entry { row, vector: v });
        let segment = Segment::of(query.len(), entries);
        let even = |row: Row| row.is_multiple_of(2);
        let mut found = segment.best(&space, &query, k, 0, even);
        let mut exact: Vec<(f32, Row)> =
            segment.live(0, 0).map(|e| (space.score(&query, e.vector), e.row)).collect();
        exact.retain(|(_, row)| even(*row));
        for list in [&mut found, &mut exact] {
            list.sort_by(|a, b| b.0.total_cmp(&a.0));
            list.truncate(k);
        }
        let scores = |list: &[(f32, Row)]| list.iter().map(|s| s.0).collect::<Vec<_>>();
        assert_eq!(scores(&found), scores(&exact), "{metric:?}");
    }

    proptest! {
        #[test]
        fn the_scan_is_exact(
            vectors in prop::collection::vec(prop::collection::vec(-3.0f32..3.0, 9), 1..300),
            query in prop::collection::vec(-3.0f32..3.0, 9),
            scale in prop_oneof![Just(1.0f32), Just(1e-6), Just(1e6)],
            k in 1usize..30,
        ) {
            let scaled: Vec<Vec<f32>> = vectors.iter()
                .map(|v| v.iter().map(|x| x * scale).collect()).collect();
            for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
                check(metric, &scaled, &query, k);
            }
        }
    }
}
