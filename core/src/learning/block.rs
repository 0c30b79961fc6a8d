//! A dense matrix, items by dimensions: what travels between a domain and the rounds.

use super::LearningError;

/// `rows` x `columns` numbers, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Block {
    /// A block of zeros.
    #[must_use]
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows.saturating_mul(columns)] }
    }

    /// The block of these values, row after row.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when there are not `rows` x `columns` of them,
    /// [`LearningError::NotFinite`] when one is not finite.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Self, LearningError> {
        if rows.checked_mul(columns) != Some(values.len()) {
            let found = (values.len().checked_div(columns).unwrap_or(0), columns);
            return Err(LearningError::Shape { found, expected: (rows, columns) });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(LearningError::NotFinite { row: at / columns }),
            None => Ok(Self { rows, columns, values }),
        }
    }

    /// Values between -1 and 1 that follow from the seed alone, so that every domain can make them.
    #[must_use]
    pub fn seeded(rows: usize, columns: usize, seed: u64) -> Self {
        let mut state = seed;
        let values = (0..rows.saturating_mul(columns)).map(|_| uniform(&mut state)).collect();
        Self { rows, columns, values }
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// All values, row after row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        // A block without columns has no values to cut; `max` keeps the cut legal.
        self.values.chunks_exact(self.columns.max(1))
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.columns.max(1))
    }

    /// One row; none outside the block.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        let start = row.checked_mul(self.columns)?;
        self.values.get(start..start.checked_add(self.columns)?)
    }

    /// Adds the parts that the domains gave, in double precision and in the order given.
    ///
    /// # Errors
    /// [`LearningError::NoParts`], or [`LearningError::Shape`] when the parts differ.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, LearningError> {
        let mut parts = parts.into_iter();
        let first = parts.next().ok_or(LearningError::NoParts)?;
        let mut total: Vec<f64> = first.values.iter().map(|&v| v.into()).collect();
        for part in parts {
            part.expect_shape(first.shape())?;
            total.iter_mut().zip(&part.values).for_each(|(t, &v)| *t += f64::from(v));
        }
        Ok(Self::rounded(first.rows, first.columns, &total))
    }

    /// Both blocks' columns, this one's first.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the other has another number of rows.
    pub(super) fn beside(&self, other: &Self) -> Result<Self, LearningError> {
        other.expect_shape((self.rows, other.columns))?;
        let columns = self.columns.saturating_add(other.columns);
        let rows = self.rows().zip(other.rows());
        let values = rows.flat_map(|(a, b)| a.iter().chain(b)).copied().collect();
        Ok(Self { rows: self.rows, columns, values })
    }

    /// The columns before `at`, and those from there on.
    pub(super) fn halves(&self, at: usize) -> [Self; 2] {
        let at = at.min(self.columns);
        let part = |range: std::ops::Range<usize>| {
            let columns = range.len();
            let rows = self.rows().filter_map(|row| row.get(range.clone()));
            Self { rows: self.rows, columns, values: rows.flatten().copied().collect() }
        };
        [part(0..at), part(at..self.columns)]
    }

    /// Each row times the factor of its place.
    pub(super) fn rows_times(mut self, factors: &[f32]) -> Self {
        for (row, factor) in self.rows_mut().zip(factors) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
        self
    }

    /// Adds another block of the same shape.
    pub(super) fn add(&mut self, other: &Self) {
        self.values.iter_mut().zip(&other.values).for_each(|(sum, value)| *sum += value);
    }

    pub(super) fn expect_shape(&self, expected: (usize, usize)) -> Result<(), LearningError> {
        if self.shape() == expected {
            Ok(())
        } else {
            Err(LearningError::Shape { found: self.shape(), expected })
        }
    }

    /// Makes the columns orthonormal (the Q of a QR decomposition).
    ///
    /// Gram-Schmidt, twice, since once is not enough for columns that are nearly parallel. A column that
    /// depends on the earlier ones becomes zero and stays so: it carries no direction.
    #[must_use]
    pub fn orthonormalise(&self) -> Self {
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(self.columns);
        for mut column in self.to_columns() {
            let before = norm(&column);
            for _ in 0..2 {
                for earlier in &basis {
                    let along = dot(earlier, &column);
                    column.iter_mut().zip(earlier).for_each(|(c, e)| *c -= along * e);
                }
            }
            let left = norm(&column);
            let scale = if left > before * DEPENDENT { 1.0 / left } else { 0.0 };
            column.iter_mut().for_each(|c| *c *= scale);
            basis.push(column);
        }
        self.with_columns(&basis)
    }

    /// `self' * other`, `columns` x `columns`, in double precision, row after row.
    pub(super) fn gram(&self, other: &Self) -> Vec<f64> {
        let mut gram = vec![0.0; self.columns.saturating_mul(other.columns)];
        for (left, right) in self.rows().zip(other.rows()) {
            for (out, &l) in gram.chunks_exact_mut(other.columns.max(1)).zip(left) {
                out.iter_mut().zip(right).for_each(|(o, &r)| *o += f64::from(l) * f64::from(r));
            }
        }
        gram
    }

    /// Every value times `factor`.
    pub(super) fn times_all(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|v| *v *= factor);
        self
    }

    /// `self * weights`, where `weights` holds one column after another, each as long as a row.
    pub(super) fn times(&self, weights: &[Vec<f64>]) -> Self {
        let values = self
            .rows()
            .flat_map(|row| {
                weights
                    .iter()
                    .map(|w| row.iter().zip(w).map(|(&v, w)| f64::from(v) * w).sum::<f64>() as f32)
            })
            .collect();
        Self { rows: self.rows, columns: weights.len(), values }
    }

    pub(super) fn rounded(rows: usize, columns: usize, values: &[f64]) -> Self {
        Self { rows, columns, values: values.iter().map(|&v| v as f32).collect() }
    }

    /// Of values that can't but be finite.
    pub(super) fn finite(rows: usize, columns: usize, values: Vec<f32>) -> Self {
        Self { rows, columns, values }
    }

    fn to_columns(&self) -> impl Iterator<Item = Vec<f64>> {
        (0..self.columns).map(|column| {
            self.values.iter().skip(column).step_by(self.columns).map(|&v| v.into()).collect()
        })
    }

    fn with_columns(&self, columns: &[Vec<f64>]) -> Self {
        let mut block = Self::zeros(self.rows, self.columns);
        for (at, column) in columns.iter().enumerate() {
            let places = block.values.iter_mut().skip(at).step_by(self.columns);
            places.zip(column).for_each(|(place, &value)| *place = value as f32);
        }
        block
    }
}

/// A column keeps less than this part of its length: it is a combination of earlier ones.
const DEPENDENT: f64 = 1e-6;

/// Sums apart, so that they can be done side by side.
const LANES: usize = 8;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// The next number of SplitMix64 (Steele, Lea and Flood 2014), as a value in [-1, 1).
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // 24 bits, which an f32 holds exactly.
    (z >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}
