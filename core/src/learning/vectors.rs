//! The finished vectors, and how a person's vector is pooled from them.

use super::Block;
use crate::numbers::dot;

/// What becomes of eigenvalues and popularity in the finished vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shaping {
    /// A score weighs an eigenvector by its eigenvalue to this power: 1 is the plain graph filter,
    /// 0 the projection on the leading subspace.
    pub eigenvalue_power: f64,
    /// A vector's length grows with its item's degree to this power.
    pub degree_power: f64,
}

impl Default for Shaping {
    fn default() -> Self {
        Self { eigenvalue_power: 0.5, degree_power: 0.05 }
    }
}

/// One vector an item. The score of an item for a person is `dot(pooled, vector)`: see [`ItemVectors::pool`].
#[derive(Debug, Clone, PartialEq)]
pub struct ItemVectors {
    vectors: Block,
}

impl ItemVectors {
    /// Vectors that were learned earlier: items x dimensions.
    #[must_use]
    pub fn new(vectors: Block) -> Self {
        Self { vectors }
    }

    /// Shapes eigenvectors (items x k) of falling eigenvalues into vectors, the longest of length 1.
    pub(super) fn shaped(
        subspace: &Block,
        eigenvalues: &[f64],
        degrees: &Block,
        shaping: Shaping,
    ) -> Self {
        let largest = eigenvalues.first().copied().unwrap_or(0.0);
        let weights: Vec<f32> =
            eigenvalues.iter().map(|&value| weight(value, largest, shaping) as f32).collect();
        let mut vectors = subspace.clone();
        for (row, &degree) in vectors.rows_mut().zip(degrees.values()) {
            let factor = f64::from(degree).powf(shaping.degree_power) as f32;
            // Nobody took it: nothing is known of it, whatever rounding left behind.
            let factor = if degree > 0.0 { factor } else { 0.0 };
            row.iter_mut().zip(&weights).for_each(|(v, w)| *v *= w * factor);
        }
        let longest = vectors.rows().map(length).fold(0.0, f32::max);
        if longest > 0.0 {
            vectors.rows_mut().flatten().for_each(|v| *v /= longest);
        }
        Self { vectors }
    }

    /// Values of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.vectors.shape().1
    }

    /// All vectors, items x dimensions.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.vectors
    }

    /// The vector of an item; none for an item outside the catalogue, or that nobody took.
    #[must_use]
    pub fn get(&self, item: u32) -> Option<&[f32]> {
        self.vectors.row(item as usize).filter(|row| length(row) > 0.0)
    }

    /// A person's vector: the weighted mean of the *directions* of the items' vectors. Directions, since a
    /// vector's length says how readily its item is recommended, and that an item is popular tells
    /// little of the person who took it. Items without a vector are passed over; none if all are.
    #[must_use]
    pub fn pool(&self, taken: impl IntoIterator<Item = (u32, f32)>) -> Option<Vec<f32>> {
        let mut pooled = vec![0.0; self.dimensions()];
        let mut total = 0.0_f32;
        for (item, weight) in taken {
            let Some(vector) = self.get(item) else { continue };
            let factor = weight / length(vector);
            pooled.iter_mut().zip(vector).for_each(|(p, &v)| *p += factor * v);
            total += weight.abs();
        }
        (total > 0.0).then(|| pooled.into_iter().map(|p| p / total).collect())
    }

    /// The score of every item for a pooled vector.
    #[must_use]
    pub fn scores(&self, pooled: &[f32]) -> Vec<f32> {
        self.vectors.rows().map(|row| dot(row, pooled)).collect()
    }
}

/// The factor of one dimension of a vector. A score holds it twice, hence the half.
fn weight(eigenvalue: f64, largest: f64, shaping: Shaping) -> f64 {
    // Below this part of the largest an eigenvalue is rounding: its direction means nothing.
    if eigenvalue <= largest * 1e-9 {
        return 0.0;
    }
    (eigenvalue / largest).powf(shaping.eigenvalue_power / 2.0)
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum::<f32>().sqrt()
}
