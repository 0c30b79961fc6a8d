//! Products of dense matrices, where learning spends its time.
//!
//! Both factors are packed so that a tile of the result reads them in one pass, and the innermost loop runs
//! over fixed arrays that stay in registers. Multiplication and addition are rounded apart (no fused
//! operations) and every sum has one order, whatever the width of the registers: the same bits on every
//! processor.

/// Rows of a tile of the result.
pub(super) const TALL: usize = 4;
/// Columns of a tile of the result.
pub(super) const WIDE: usize = 16;
/// Steps of the inner sum after which a tile is written: a strip's part then fits the nearest cache.
const DEEP: usize = 256;

/// A left factor: panels of four rows, one behind the other, zeros behind the last row.
pub(super) struct Panels {
    depth: usize,
    steps: Vec<[f32; TALL]>,
}

/// A right factor, or a result: strips of sixteen columns, each a step (or row) after the other, zeros
/// behind the last column.
pub(super) struct Strips {
    depth: usize,
    steps: Vec<[f32; WIDE]>,
}

impl Panels {
    /// Rows of `depth` values, one after another.
    #[inline(always)]
    pub(super) fn of_rows(values: &[f32], depth: usize) -> Self {
        Self { depth, steps: gathered(values, depth) }
    }

    /// Columns: `values` holds, step by step, one value of each of `lines` lines.
    #[inline(always)]
    pub(super) fn of_columns(values: &[f32], lines: usize) -> Self {
        Self { depth: values.len().checked_div(lines).unwrap_or(0), steps: cut(values, lines) }
    }

    /// The rows of a result.
    #[inline(always)]
    pub(super) fn of_strips(strips: &Strips) -> Self {
        let rows = strips.depth;
        let depth = strips.steps.len().checked_div(rows).unwrap_or(0).saturating_mul(WIDE);
        let mut steps = Vec::with_capacity(rows.div_ceil(TALL).saturating_mul(depth));
        for first in (0..rows).step_by(TALL) {
            for strip in strips.steps.chunks_exact(rows) {
                let mut four = [[0.0_f32; WIDE]; TALL];
                let found = strip.iter().skip(first);
                four.iter_mut().zip(found).for_each(|(row, found)| *row = *found);
                let [a, b, c, d] = four;
                let columns = a.into_iter().zip(b).zip(c.into_iter().zip(d));
                steps.extend(columns.map(|((a, b), (c, d))| [a, b, c, d]));
            }
        }
        Self { depth, steps }
    }

    /// `self * right`.
    #[inline(always)]
    pub(super) fn times(&self, right: &Strips) -> Strips {
        let rows = self.steps.len().checked_div(self.depth).unwrap_or(0).saturating_mul(TALL);
        let strips = right.steps.len().checked_div(right.depth).unwrap_or(0);
        let mut out = vec![[0.0; WIDE]; rows.saturating_mul(strips)];
        if rows > 0 && strips > 0 {
            let strips = right.steps.chunks_exact(right.depth);
            for (out, right) in out.chunks_exact_mut(rows).zip(strips) {
                let panels = self.steps.chunks_exact(self.depth);
                for (out, left) in out.as_chunks_mut::<TALL>().0.iter_mut().zip(panels) {
                    for (left, right) in left.chunks(DEEP).zip(right.chunks(DEEP)) {
                        add_tile(out, left, right);
                    }
                }
            }
        }
        Strips { depth: rows, steps: out }
    }
}

impl Strips {
    /// The transpose of rows of `depth` values, one after another.
    #[inline(always)]
    pub(super) fn of_rows(values: &[f32], depth: usize) -> Self {
        Self { depth, steps: gathered(values, depth) }
    }

    /// A matrix row after row, of `columns` columns.
    #[inline(always)]
    pub(super) fn of_columns(values: &[f32], columns: usize) -> Self {
        Self { depth: values.len().checked_div(columns).unwrap_or(0), steps: cut(values, columns) }
    }

    /// The strips, each the same part of every row, first row first.
    #[inline(always)]
    pub(super) fn each(&self) -> impl Iterator<Item = &[[f32; WIDE]]> {
        self.steps.chunks_exact(self.depth.max(1))
    }

    /// As [`Strips::each`], to be changed.
    #[inline(always)]
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut [[f32; WIDE]]> {
        self.steps.chunks_exact_mut(self.depth.max(1))
    }

    /// The value at a row and column; none outside.
    #[inline(always)]
    pub(super) fn at_mut(&mut self, row: usize, column: usize) -> Option<&mut f32> {
        let step = (column / WIDE).saturating_mul(self.depth).saturating_add(row);
        self.steps.get_mut(step)?.get_mut(column % WIDE)
    }
}

/// Lines that lie one after another, `W` of them side by side.
#[inline(always)]
fn gathered<const W: usize>(values: &[f32], depth: usize) -> Vec<[f32; W]> {
    let mut steps = Vec::with_capacity(values.len().div_ceil(W).saturating_add(depth));
    for lines in values.chunks(depth.saturating_mul(W).max(1)) {
        let start = steps.len();
        steps.resize(start.saturating_add(depth), [0.0; W]);
        let panel = steps.get_mut(start..).unwrap_or_default();
        for (at, line) in lines.chunks_exact(depth.max(1)).enumerate() {
            for (place, &value) in panel.iter_mut().filter_map(|step| step.get_mut(at)).zip(line) {
                *place = value;
            }
        }
    }
    steps
}

/// Lines that lie across, cut into pieces of `W`.
#[inline(always)]
fn cut<const W: usize>(values: &[f32], lines: usize) -> Vec<[f32; W]> {
    let mut steps = Vec::with_capacity(values.len().div_ceil(W));
    for start in (0..lines).step_by(W) {
        steps.extend(values.chunks_exact(lines).map(|step| {
            let mut packed = [0.0; W];
            packed.iter_mut().zip(step.iter().skip(start)).for_each(|(p, &v)| *p = v);
            packed
        }));
    }
    steps
}

#[inline(always)]
fn add_tile(out: &mut [[f32; WIDE]; TALL], left: &[[f32; TALL]], right: &[[f32; WIDE]]) {
    // Four sums by name: as an array of arrays they would not stay in registers.
    let [mut a, mut b, mut c, mut d] = *out;
    for (&[p, q, r, s], right) in left.iter().zip(right) {
        add(&mut a, p, right);
        add(&mut b, q, right);
        add(&mut c, r, right);
        add(&mut d, s, right);
    }
    *out = [a, b, c, d];
}

#[inline(always)]
fn add(sums: &mut [f32; WIDE], factor: f32, values: &[f32; WIDE]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}
