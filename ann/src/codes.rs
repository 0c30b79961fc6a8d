//! Vectors as bytes: a sixteenth or a quarter of the memory traffic, and integer dot products.
//!
//! A value becomes `round(value * scale)`, kept as that plus 128 so that it is unsigned; a query
//! becomes signed bytes. Scores of codes only choose candidates: these are scored again exactly.
//!
//! For squared distance a code has a few more values, the *lift*: the order by `-|x - q|²` is that by
//! `x·q - |x|²/2`, the inner product of `(x, -|x|²/2)` and `(q, 1)`.

use crate::error::AnnError;
use crate::kernel;
use crate::matrix::Rows;
use crate::memory::Huge;
use crate::table::Table;

/// Bytes of a cache line; a code fills whole ones.
pub(crate) const LINE: usize = 64;
/// What is added to a value to make it unsigned.
const BIAS: f32 = 128.0;
const BIAS_WHOLE: i32 = 128;
/// Greatest magnitude of a coded value.
const PEAK: f32 = 127.0;
/// Of the values, the share that the scale fits as a rule; rarer ones are clipped.
pub(crate) const FITTED: f64 = 0.9998;
/// Values that the scale is fitted on, at most.
const SAMPLE: usize = 400_000;
const LIFTS_MAX: usize = 32;

/// How codes are compared: what order the inner product of codes stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By inner product; equal to that by distance where all vectors have one length.
    Product,
    /// By falling squared distance.
    Distance,
}

/// How vectors become codes.
#[derive(Debug, Clone)]
pub(crate) struct Coder {
    scale: f32,
    width: usize,
    /// Length of the longest vector.
    longest: f32,
    lift: Option<Lift>,
}

#[derive(Debug, Clone)]
struct Lift {
    /// Values that share it.
    parts: usize,
    /// The query's value for each part.
    weight: f32,
    /// Middle of the vectors' squared lengths.
    middle: f32,
}

/// What a coder was fitted to be, as a file has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fit {
    pub(crate) scale: f32,
    pub(crate) longest: f32,
    /// Values of the lift; 0 if there is none.
    pub(crate) parts: u32,
    pub(crate) weight: f32,
    pub(crate) middle: f32,
}

/// A query as bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryCode {
    pub(crate) bytes: Vec<i8>,
    /// The score of the best vector that there could be.
    ideal: i32,
}

impl QueryCode {
    /// How far a score is from the best possible.
    #[inline(always)]
    pub(crate) fn gap(&self, score: i32) -> i32 {
        self.ideal.saturating_sub(score).max(0)
    }

    /// The score whose gap is `ratio` times that of `score`.
    #[inline(always)]
    pub(crate) fn farther(&self, score: i32, ratio: f32) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "a score beyond all is clamped")]
        let gap = (self.gap(score) as f32 * ratio) as i32;
        self.ideal.saturating_sub(gap)
    }
}

impl Coder {
    /// A coder whose scale fits a share of `fitted` of the values of `rows`.
    pub(crate) fn fit(rows: Rows<'_>, order: Order, fitted: f64) -> Self {
        let most = if fitted < 1.0 { SAMPLE } else { usize::MAX };
        let step = rows.values().len().div_ceil(most).max(1);
        let sizes = rows.values().iter().step_by(step).map(|v| v.abs()).collect();
        let reach = quantile(sizes, fitted);
        let scale = if reach > 0.0 { PEAK / reach } else { 1.0 };
        let lift = (order == Order::Distance).then(|| Lift::fit(rows, reach));
        let longest = rows.iter().map(|r| kernel::dot(r, r)).fold(0.0, f32::max).sqrt();
        Self { scale, width: rows.width(), longest, lift }
    }

    /// What it was fitted to be.
    pub(crate) fn fitted(&self) -> Fit {
        let Self { scale, longest, .. } = *self;
        match &self.lift {
            None => Fit { scale, longest, ..Fit::default() },
            Some(Lift { parts, weight, middle }) => {
                let parts = u32::try_from(*parts).unwrap_or_default();
                Fit { scale, longest, parts, weight: *weight, middle: *middle }
            }
        }
    }

    /// A coder of vectors of `width` values that was fitted to be this; none if no fitting gives such numbers.
    pub(crate) fn of_fit(fit: Fit, width: usize, order: Order) -> Option<Self> {
        // Infinite ones too: so they become where nearly all values are zero.
        let positive = |number: f32| number > 0.0;
        let parts = fit.parts as usize;
        let lifted = order == Order::Distance;
        let lift = Lift { parts, weight: fit.weight, middle: fit.middle };
        let even = match lifted {
            true => {
                (1..=LIFTS_MAX).contains(&parts) && positive(lift.weight) && lift.middle.is_finite()
            }
            false => parts == 0,
        };
        let good = even && positive(fit.scale) && fit.longest >= 0.0 && fit.longest.is_finite();
        let Fit { scale, longest, .. } = fit;
        good.then(|| Self { scale, width, longest, lift: lifted.then_some(lift) })
    }

    /// Cache lines of a code.
    pub(crate) fn lines(&self) -> usize {
        let parts = self.lift.as_ref().map_or(0, |lift| lift.parts);
        (self.width + parts).div_ceil(LINE).max(1)
    }

    /// Writes the code of `vector`.
    fn encode(&self, vector: &[f32], code: &mut [u8]) {
        code.fill(unsigned(0.0));
        let (head, tail) = code.split_at_mut(self.width.min(code.len()));
        for (slot, value) in head.iter_mut().zip(vector) {
            *slot = unsigned(value * self.scale);
        }
        if let Some(lift) = &self.lift {
            let height = (lift.middle - kernel::dot(vector, vector)) / 2.0;
            let mut left = (height / lift.weight * self.scale).round();
            for (slot, parts) in tail.iter_mut().zip((1..=lift.parts).rev()) {
                // Whole units, so that the parts add up to the rounded whole.
                let part = (left / parts as f32).round().clamp(-PEAK, PEAK);
                *slot = unsigned(part);
                left -= part;
            }
        }
    }

    /// Values of a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// What the code of a value leaves over, in its units: -0.5 to 0.5 unless clipped.
    pub(crate) fn left_over(&self, value: f32) -> f32 {
        let whole = value * self.scale;
        whole - whole.round_ties_even().clamp(-PEAK, PEAK)
    }

    /// The value of a code and what it left over.
    #[inline(always)]
    pub(crate) fn value(&self, code: u8, left_over: f32) -> f32 {
        (f32::from(code) - BIAS + left_over) / self.scale
    }

    /// How far the code of `vector` is off.
    pub(crate) fn off(&self, vector: &[f32]) -> f32 {
        let back = |v: &f32| (v * self.scale).round_ties_even().clamp(-PEAK, PEAK) / self.scale;
        vector.iter().map(|v| (v - back(v)).powi(2)).sum::<f32>().sqrt()
    }

    /// The query's code.
    #[inline(always)]
    pub(crate) fn query(&self, query: &[f32]) -> QueryCode {
        let weight = self.lift.as_ref().map_or(0.0, |lift| lift.weight);
        let reach = query.iter().fold(weight, |reach, v| reach.max(v.abs()));
        let scale = if reach > 0.0 { PEAK / reach } else { 0.0 };
        let parts = self.lift.as_ref().map_or(0, |lift| lift.parts);
        let mut bytes = vec![0; self.lines() * LINE];
        let (values, lift) = bytes.split_at_mut(query.len().min(self.width));
        values.iter_mut().zip(query).for_each(|(slot, v)| *slot = signed(v * scale));
        lift.iter_mut().take(parts).for_each(|slot| *slot = signed(weight * scale));
        let ideal = self.ideal(query, scale, &bytes);
        QueryCode { bytes, ideal }
    }
}

impl Coder {
    /// The score of the best vector that there could be: by distance the query itself, by product the longest
    /// in its direction.
    #[inline(always)]
    fn ideal(&self, query: &[f32], scale: f32, bytes: &[i8]) -> i32 {
        let square = query.iter().map(|v| v * v).sum::<f32>();
        let best = match &self.lift {
            Some(lift) => (square + lift.middle) / 2.0,
            None => square.sqrt() * self.longest,
        };
        let zero: i32 = bytes.iter().map(|&b| i32::from(b)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "a score beyond all is clamped")]
        let best = (best * scale * self.scale) as i32;
        best.saturating_add(zero * BIAS_WHOLE)
    }
}

impl Lift {
    fn fit(rows: Rows<'_>, reach: f32) -> Self {
        let step = rows.len().div_ceil(SAMPLE / 64).max(1);
        let squares: Vec<f32> = rows.iter().step_by(step).map(|r| kernel::dot(r, r)).collect();
        let low = squares.iter().copied().fold(f32::INFINITY, f32::min);
        let high = squares.iter().copied().fold(0.0, f32::max);
        let middle = if squares.is_empty() { 0.0 } else { (low + high) / 2.0 };
        let height = (high - middle) / 2.0;
        // Enough parts that the weight does not exceed the query's own values by much.
        let wanted = (2.0 * height / (reach * reach).max(f32::MIN_POSITIVE)).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let parts = wanted.clamp(1.0, LIFTS_MAX as f32) as usize;
        let weight = height / (parts as f32 * reach.max(f32::MIN_POSITIVE));
        Self { parts, weight: if weight > 0.0 { weight } else { 1.0 }, middle }
    }
}

/// The value that this share does not exceed.
fn quantile(mut values: Vec<f32>, share: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let at = ((values.len() - 1) as f64 * share).ceil() as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=255")]
fn unsigned(value: f32) -> u8 {
    (value.round_ties_even().clamp(-PEAK, PEAK) + BIAS) as u8
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to -127..=127")]
#[inline(always)]
fn signed(value: f32) -> i8 {
    value.round_ties_even().clamp(-PEAK, PEAK) as i8
}

/// Codes of equal size, one after the other.
#[derive(Debug)]
pub(crate) struct Codes {
    bytes: Table<u8>,
    lines: usize,
}

impl Codes {
    pub(crate) fn of<'a>(
        coder: &Coder,
        count: usize,
        vectors: impl Iterator<Item = &'a [f32]>,
    ) -> Result<Self, AnnError> {
        let lines = coder.lines();
        let mut bytes = Huge::zeros(count * lines * LINE)?;
        for (code, vector) in bytes.chunks_exact_mut(lines * LINE).zip(vectors) {
            coder.encode(vector, code);
        }
        Ok(Self { bytes: bytes.into(), lines })
    }

    /// The codes of `count` vectors, as [`Codes::bytes`] has them; none if they are not as many.
    pub(crate) fn of_bytes(bytes: Table<u8>, coder: &Coder, count: usize) -> Option<Self> {
        let lines = coder.lines();
        (count.checked_mul(lines * LINE) == Some(bytes.len())).then_some(Self { bytes, lines })
    }

    /// Whether these are the codes of `rows`.
    pub(crate) fn fit(&self, coder: &Coder, rows: Rows<'_>) -> bool {
        let size = self.lines * LINE;
        let mut own = vec![0; size];
        self.bytes.chunks_exact(size).zip(rows.iter()).all(|(code, vector)| {
            coder.encode(vector, &mut own);
            own == code
        })
    }

    /// Copies of some of the codes, together.
    pub(crate) fn pick(&self, ids: &[u32]) -> Result<Self, AnnError> {
        let size = self.lines * LINE;
        let mut bytes = Huge::zeros(ids.len() * size)?;
        for (slot, &id) in bytes.chunks_exact_mut(size).zip(ids) {
            if let Some(code) = self.bytes.chunks_exact(size).nth(id as usize) {
                slot.copy_from_slice(code);
            }
        }
        Ok(Self { bytes: bytes.into(), lines: self.lines })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One code.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        let size = self.lines * LINE;
        self.bytes.get(at * size..(at + 1) * size).unwrap_or_default()
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines
    }
}
