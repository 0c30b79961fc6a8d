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

use crate::attributes::Attributes;
use crate::codes::LINE;
use crate::kernel::dot;
use crate::matrix::Matrix;
use crate::sift::{Sifted, sift_bytes};
use crate::space::{Metric, Row, Space};

/// Vectors of a chunk at most: the last one is copied at each write, and each costs a search some misses.
const CHUNK_MAX: usize = 256;
const CHUNK_MIN: usize = 32;
/// Values of a chunk, as far as these bounds allow.
const CHUNK_VALUES: usize = 1 << 14;
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

/// What no vector of a chunk exceeds.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    unit_min: f32,
    unit_max: f32,
    length_min: f32,
    length_max: f32,
    off_max: f32,
}

impl Extremes {
    const NONE: Self = Self {
        unit_min: f32::INFINITY,
        unit_max: 0.0,
        length_min: f32::INFINITY,
        length_max: 0.0,
        off_max: 0.0,
    };

    fn with(self, rough: &Rough) -> Self {
        Self {
            unit_min: self.unit_min.min(rough.unit),
            unit_max: self.unit_max.max(rough.unit),
            length_min: self.length_min.min(rough.length),
            length_max: self.length_max.max(rough.length),
            off_max: self.off_max.max(rough.off),
        }
    }
}

#[derive(Debug, Clone)]
struct Chunk {
    rows: Vec<Row>,
    deaths: Vec<Death>,
    attributes: Vec<Option<Arc<Attributes>>>,
    vectors: Matrix,
    codes: Vec<u8>,
    rough: Vec<Rough>,
    extremes: Extremes,
}

/// Fresh vectors in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// Vectors of a full chunk.
    chunk: usize,
    full: Arc<Vec<Arc<Chunk>>>,
    last: Arc<Chunk>,
}

/// A live vector of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) row: Row,
    pub(crate) vector: &'a [f32],
    /// None where nothing is known.
    pub(crate) attributes: Option<&'a Arc<Attributes>>,
}

impl Segment {
    pub(crate) fn new(dimensions: usize) -> Self {
        let chunk = (CHUNK_VALUES / dimensions.max(1)).clamp(CHUNK_MIN, CHUNK_MAX);
        Self { chunk, full: Arc::default(), last: Arc::new(Chunk::new(dimensions, 0)) }
    }

    /// A segment of these.
    pub(crate) fn of<'a>(dimensions: usize, entries: impl Iterator<Item = Entry<'a>>) -> Self {
        let Self { chunk, .. } = Self::new(dimensions);
        let mut chunks: Vec<Arc<Chunk>> = Vec::new();
        let mut last = Chunk::new(dimensions, 0);
        for entry in entries {
            last.push(entry.row, entry.vector, entry.attributes.cloned());
            if last.rows.len() == chunk {
                let full = std::mem::replace(&mut last, Chunk::new(dimensions, 0));
                chunks.push(Arc::new(full));
            }
        }
        Self { chunk, full: Arc::new(chunks), last: Arc::new(last) }
    }

    /// Vectors, dead ones too.
    pub(crate) fn len(&self) -> usize {
        self.full.len() * self.chunk + self.last.rows.len()
    }

    /// The segment with one more vector, which gets the number `len()`.
    pub(crate) fn with(
        &self,
        row: Row,
        vector: &[f32],
        attributes: Option<Arc<Attributes>>,
    ) -> Self {
        let mut last = self.last.with_room(vector.len());
        last.push(row, vector, attributes);
        if last.rows.len() < self.chunk {
            return Self { full: Arc::clone(&self.full), last: Arc::new(last), ..*self };
        }
        let mut full = Vec::clone(&self.full);
        full.push(Arc::new(last));
        Self { full: Arc::new(full), last: Arc::new(Chunk::new(vector.len(), 0)), ..*self }
    }

    /// The death of the vector numbered `at`.
    pub(crate) fn death(&self, at: usize) -> Option<&Death> {
        self.full.get(at / self.chunk).unwrap_or(&self.last).deaths.get(at % self.chunk)
    }

    fn chunks(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.full.iter().chain(std::iter::once(&self.last)).map(Arc::as_ref)
    }

    /// Vectors that live at `now`, in order of arrival, from number `from` on.
    pub(crate) fn live(&self, from: usize, now: Sequence) -> impl Iterator<Item = Entry<'_>> {
        let chunks = self.chunks().skip(from / self.chunk);
        let all = chunks.flat_map(Chunk::entries).skip(from % self.chunk);
        all.filter(move |(death, _)| death.spares(now)).map(|(_, entry)| entry)
    }

    /// What a row has.
    pub(crate) fn entry(&self, row: Row, now: Sequence) -> Option<Entry<'_>> {
        self.chunks().rev().find_map(|chunk| {
            let mut entries =
                chunk.rows.iter().zip(0..).filter(|(r, _)| **r == row).map(|(_, at)| at);
            let live = |at: &usize| chunk.deaths.get(*at).is_some_and(|death| death.spares(now));
            entries.find(live).map(|at| chunk.entry(row, at))
        })
    }

    /// The best `k` live vectors whose rows and attributes `accepts`, with exact scores, unordered; those that score
    /// less than `least`, which others reach already, need not be among them.
    pub(crate) fn best(
        &self,
        space: &Space,
        query: &[f32],
        (k, least): (usize, f32),
        now: Sequence,
        accepts: impl Fn(Row, Option<&Attributes>) -> bool,
    ) -> Vec<(f32, Row)> {
        let mut scan = Scan::new(space, query, k, least);
        for chunk in self.chunks() {
            scan.chunk(chunk, |row, death, at| death.spares(now) && accepts(row, chunk.known(at)));
        }
        scan.finish()
    }
}

impl Chunk {
    /// An empty one with room for so many.
    fn new(dimensions: usize, room: usize) -> Self {
        Self {
            rows: Vec::with_capacity(room),
            deaths: Vec::with_capacity(room),
            attributes: Vec::with_capacity(room),
            vectors: Matrix::with_capacity(dimensions, room),
            codes: Vec::with_capacity(room * code_size(dimensions)),
            rough: Vec::with_capacity(room),
            extremes: Extremes::NONE,
        }
    }

    /// A copy with room for one more.
    fn with_room(&self, dimensions: usize) -> Self {
        let mut copy = Self::new(dimensions, self.rows.len() + 1);
        copy.rows.extend_from_slice(&self.rows);
        copy.deaths.extend_from_slice(&self.deaths);
        copy.attributes.extend_from_slice(&self.attributes);
        self.vectors.iter().for_each(|vector| copy.vectors.push(vector));
        copy.codes.extend_from_slice(&self.codes);
        copy.rough.extend_from_slice(&self.rough);
        copy.extremes = self.extremes;
        copy
    }

    fn push(&mut self, row: Row, vector: &[f32], attributes: Option<Arc<Attributes>>) {
        self.rows.push(row);
        self.attributes.push(attributes);
        self.deaths.push(Death::alive());
        self.vectors.push(vector);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1..=255")]
        let rough = rough(vector, |byte| self.codes.push((byte + 128.0) as u8));
        self.codes.resize(self.rows.len() * code_size(vector.len()), 128);
        self.extremes = self.extremes.with(&rough);
        self.rough.push(rough);
    }

    fn entries(&self) -> impl Iterator<Item = (&Death, Entry<'_>)> {
        let entries = self.rows.iter().zip(&self.deaths).zip(0..);
        entries.map(|((&row, death), at)| (death, self.entry(row, at)))
    }

    fn entry(&self, row: Row, at: usize) -> Entry<'_> {
        let attributes = self.attributes.get(at).and_then(Option::as_ref);
        Entry { row, vector: self.vectors.row(at), attributes }
    }

    /// What is known of the row of the vector numbered `at`.
    fn known(&self, at: usize) -> Option<&Attributes> {
        self.attributes.get(at)?.as_deref()
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
    /// No lesser score counts.
    least: f32,
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
    fn new(space: &'a Space, query: &'a [f32], k: usize, least: f32) -> Self {
        let mut bytes = Vec::with_capacity(code_size(query.len()));
        #[expect(clippy::cast_possible_truncation, reason = "-127..=127")]
        let rough = rough(query, |byte| bytes.push(byte as i8));
        bytes.resize(code_size(query.len()), 0);
        let excess = 128 * bytes.iter().map(|&b| i32::from(b)).sum::<i32>();
        Self {
            space,
            query,
            k,
            least,
            bytes,
            excess,
            rough,
            ids: (0u32..).take(CHUNK_MAX).collect(),
            sifted: Sifted::default(),
            certain: Vec::with_capacity(k + 1),
            open: Vec::new(),
        }
    }

    /// The worst score that is still among the best.
    fn bar(&self) -> f32 {
        self.certain.get(self.k - 1).copied().unwrap_or(f32::NEG_INFINITY).max(self.least)
    }

    fn chunk(&mut self, chunk: &'a Chunk, counts: impl Fn(Row, &Death, usize) -> bool) {
        let ids = self.ids.get(..chunk.rows.len()).unwrap_or_default();
        let mut sifted = std::mem::take(&mut self.sifted);
        let above = self.least_sum(&chunk.extremes).saturating_sub(1);
        sift_bytes(&chunk.codes, &self.bytes, ids, above, &mut sifted);
        for (sum, at) in sifted.iter() {
            let at = at as usize;
            let Some(rough) = chunk.rough.get(at) else { continue };
            let (score, margin) = self.bounds(sum, rough);
            if score + margin < self.bar() {
                continue;
            }
            let row = chunk.rows.get(at).copied().zip(chunk.deaths.get(at));
            if let Some((row, _)) = row.filter(|&(row, death)| counts(row, death, at)) {
                self.note(score - margin);
                self.open.push((score + margin, row, chunk.vectors.row(at)));
            }
        }
        self.sifted = sifted;
    }

    /// The least sum of codes with which a vector of such a chunk may be among the best.
    fn least_sum(&self, chunk: &Extremes) -> i32 {
        let bar = self.bar();
        let reach = self.reach(chunk.off_max, chunk.length_max);
        let own = self.rough.length * self.rough.length;
        let squares = |length: f32| length * length + own;
        let product = match self.space.metric {
            Metric::Cosine | Metric::InnerProduct => bar - reach,
            Metric::L2 => {
                let margin = 2.0 * reach + ROUNDING * squares(chunk.length_max);
                (bar - margin + squares(chunk.length_min)) / 2.0
            }
        };
        let unit = if product > 0.0 { chunk.unit_max } else { chunk.unit_min } * self.rough.unit;
        let least = product / unit;
        #[expect(clippy::cast_possible_truncation, reason = "a cast that saturates is meant")]
        let rounded = (least - 2.0 - ROUNDING * least.abs()).floor() as i32;
        rounded.saturating_add(self.excess)
    }

    /// How far the product of codes may be off, for vectors that long whose codes are off that much.
    #[inline]
    fn reach(&self, off: f32, length: f32) -> f32 {
        off * self.rough.length
            + (length + off) * self.rough.off
            + ROUNDING * length * self.rough.length
    }

    /// The score that the codes give, and how far it may be off.
    #[inline]
    fn bounds(&self, sum: i32, rough: &Rough) -> (f32, f32) {
        let product = (sum - self.excess) as f32 * rough.unit * self.rough.unit;
        let margin = self.reach(rough.off, rough.length);
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
        let entries =
            admitted.iter().zip(0..).map(|(v, row)| Entry { row, vector: v, attributes: None });
        let segment = Segment::of(query.len(), entries);
        let even = |row: Row| row.is_multiple_of(2);
        let best = |least| segment.best(&space, &query, (k, least), 0, |row, _| even(row));
        let mut found = best(f32::NEG_INFINITY);
        let mut exact: Vec<(f32, Row)> =
            segment.live(0, 0).map(|e| (space.score(&query, e.vector), e.row)).collect();
        exact.retain(|(_, row)| even(*row));
        for list in [&mut found, &mut exact] {
            list.sort_by(|a, b| b.0.total_cmp(&a.0));
            list.truncate(k);
        }
        let scores = |list: &[(f32, Row)]| list.iter().map(|s| s.0).collect::<Vec<_>>();
        assert_eq!(scores(&found), scores(&exact), "{metric:?}");
        // Those that score as much as some other are found, whatever less is left out.
        let least = exact.get(exact.len() / 2).map_or(0.0, |(score, _)| *score);
        let mut above = best(least);
        above.sort_by(|a, b| b.0.total_cmp(&a.0));
        for list in [&mut above, &mut exact] {
            list.retain(|(score, _)| *score >= least);
        }
        above.truncate(k);
        assert_eq!(scores(&above), scores(&exact), "{metric:?}, at least {least}");
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
