//! Sums in fixed point: exact, so that their order does not matter and masks cancel to the last bit.

use super::{Block, LearningError};
use crate::wide::{Work, widest};

/// A value is rounded to the nearest multiple of 2^-36.
pub(super) const WHOLE: u32 = 36;
/// Steps in 1.
const STEPS: f64 = (1_u64 << WHOLE) as f64;
/// 1.5 * 2^52: a number of less than 2^51 added to it has its integer part in the last bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// `rows` x `columns` numbers in steps of 2^-36, added modulo 2^64.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedBlock {
    rows: usize,
    columns: usize,
    steps: Vec<i64>,
}

impl std::fmt::Debug for FixedBlock {
    /// The shape alone: a domain's sum is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FixedBlock")
            .field("rows", &self.rows)
            .field("columns", &self.columns)
            .finish()
    }
}

impl FixedBlock {
    /// A block of zeros.
    #[must_use]
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, steps: vec![0; rows.saturating_mul(columns)] }
    }

    /// The block of these numbers of steps, row after row.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when there are not `rows` x `columns` of them.
    pub fn new(rows: usize, columns: usize, steps: Vec<i64>) -> Result<Self, LearningError> {
        if rows.checked_mul(columns) != Some(steps.len()) {
            let found = (steps.len().checked_div(columns).unwrap_or(0), columns);
            return Err(LearningError::Shape { found, expected: (rows, columns) });
        }
        Ok(Self { rows, columns, steps })
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// All numbers of steps, row after row.
    #[must_use]
    pub fn steps(&self) -> &[i64] {
        &self.steps
    }

    /// All numbers of steps, row after row, to be masked.
    pub fn steps_mut(&mut self) -> &mut [i64] {
        &mut self.steps
    }

    /// Adds another block.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when it has another shape; nothing is added then.
    pub fn add(&mut self, other: &Self) -> Result<(), LearningError> {
        other.expect_shape(self.shape())?;
        self.steps
            .iter_mut()
            .zip(&other.steps)
            .for_each(|(sum, &step)| *sum = sum.wrapping_add(step));
        Ok(())
    }

    pub(super) fn expect_shape(&self, expected: (usize, usize)) -> Result<(), LearningError> {
        if self.shape() == expected {
            Ok(())
        } else {
            Err(LearningError::Shape { found: self.shape(), expected })
        }
    }

    /// The greatest number of steps, either way.
    pub(super) fn greatest(&self) -> u64 {
        widest(Greatest(&self.steps))
    }

    /// How many numbers there are.
    pub(super) fn numbers(&self) -> f64 {
        self.steps.len() as f64
    }

    /// The Euclidean length of all numbers together.
    pub(super) fn length(&self) -> f64 {
        widest(Squares(&self.steps)).sqrt()
    }

    /// Adds `factor` times finite values below 2^14 to a row; nothing outside the block.
    #[inline(always)]
    pub(super) fn add_row(&mut self, row: usize, values: &[f32], factor: f32) {
        let start = row.saturating_mul(self.columns);
        if let Some(sums) = self.steps.get_mut(start..start.saturating_add(self.columns)) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = sum.wrapping_add(in_steps(value * factor));
            }
        }
    }

    /// Adds a whole number below 2^27 to a column of the first row; nothing outside the block.
    pub(super) fn add_whole(&mut self, column: usize, count: usize) {
        if let Some(sum) = self.steps.get_mut(column) {
            *sum = sum.wrapping_add((count as i64).wrapping_shl(WHOLE));
        }
    }

    /// The whole part of a number of the first row; none outside, or where it is negative.
    pub(super) fn whole(&self, column: usize) -> Option<u64> {
        u64::try_from(self.steps.get(column)? >> WHOLE).ok()
    }

    /// Adds to every number another draw from the normal distribution of this deviation, of less than 2^26.
    pub(super) fn blur(&mut self, deviation: f64, normal: &mut dyn FnMut() -> f64) {
        for step in &mut self.steps {
            *step = step.wrapping_add((normal() * deviation * STEPS).round() as i64);
        }
    }

    /// Every number times `factor`, rounded.
    pub(super) fn weigh(&mut self, factor: f64) {
        for step in &mut self.steps {
            *step = (*step as f64 * factor).round() as i64;
        }
    }

    /// Forgets a number of the first row; nothing outside the block.
    pub(super) fn forget(&mut self, column: usize) {
        if let Some(step) = self.steps.get_mut(column) {
            *step = 0;
        }
    }

    /// The numbers as real ones, each times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Block {
        let each = factor / STEPS;
        let mut values = vec![0.0; self.steps.len()];
        widest(Scale { steps: &self.steps, each, values: &mut values });
        Block::finite(self.rows, self.columns, values)
    }
}

/// The greatest number of steps, either way.
struct Greatest<'a>(&'a [i64]);

impl Work for Greatest<'_> {
    type Out = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut most = 0;
        for step in self.0 {
            most = step.unsigned_abs().max(most);
        }
        most
    }
}

/// The sum of all squares. Sums apart, so that they can be done side by side.
struct Squares<'a>(&'a [i64]);

impl Work for Squares<'_> {
    type Out = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0_f64; LANES];
        for steps in self.0.chunks(LANES) {
            for (sum, step) in sums.iter_mut().zip(steps) {
                let value = *step as f64 * (1.0 / STEPS);
                *sum += value * value;
            }
        }
        sums.iter().sum()
    }
}

/// Steps as real numbers.
struct Scale<'a> {
    steps: &'a [i64],
    each: f64,
    values: &'a mut [f32],
}

impl Work for Scale<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for (value, step) in self.values.iter_mut().zip(self.steps) {
            *value = (*step as f64 * self.each) as f32;
        }
    }
}

/// Rounds to steps, half to even. As a sum of doubles it can be done for several values at once.
#[inline(always)]
fn in_steps(value: f32) -> i64 {
    let rounded = f64::from(value) * STEPS + ROUNDER;
    (rounded.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64)
}
