//! Which vectors may be compared, and how.

use crate::error::AnnError;
use crate::kernel;

/// The dense number that the caller gives an item.
pub type Row = u32;

/// Most dimensions of a space.
pub const DIMENSIONS_MAX: usize = bailiwick_core::limits::VECTOR_DIMENSIONS_MAX;
/// Greatest magnitude of one value: [`DIMENSIONS_MAX`] squares of it still add up within `f32`.
pub const VALUE_MAX: f32 = 1e15;
/// Row numbers stay below this, so that tables indexed by row stay small.
pub const ROW_LIMIT: Row = 1 << 28;

/// How two vectors are compared. Greater scores are better under each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Cosine of the angle, -1 to 1. Vectors are kept at unit length.
    Cosine,
    /// Inner product: direction and length count.
    InnerProduct,
    /// The negated squared Euclidean distance, 0 at best.
    L2,
}

/// The space that a vector lives in: vectors of different spaces are never compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The model that made the vectors.
    pub model: String,
    /// Values of each vector.
    pub dimensions: usize,
    /// How they are compared.
    pub metric: Metric,
}

impl Space {
    /// A space, checked.
    ///
    /// # Errors
    /// [`AnnError::Dimensions`] when there are none or too many.
    pub fn new(
        model: impl Into<String>,
        dimensions: usize,
        metric: Metric,
    ) -> Result<Self, AnnError> {
        let space = Self { model: model.into(), dimensions, metric };
        space.check().map(|()| space)
    }

    pub(crate) fn check(&self) -> Result<(), AnnError> {
        if (1..=DIMENSIONS_MAX).contains(&self.dimensions) {
            Ok(())
        } else {
            Err(AnnError::Dimensions { found: self.dimensions, max: DIMENSIONS_MAX })
        }
    }

    /// A vector or query as it is kept and compared: checked, without negative zeros, and at unit
    /// length for cosine.
    pub(crate) fn admit(&self, vector: &[f32]) -> Result<Vec<f32>, AnnError> {
        if vector.len() != self.dimensions {
            return Err(AnnError::Length { found: vector.len(), expected: self.dimensions });
        }
        check_values(vector)?;
        match self.metric {
            Metric::Cosine => unit(vector).ok_or(AnnError::Zero),
            Metric::InnerProduct | Metric::L2 => Ok(vector.iter().map(|v| v + 0.0).collect()),
        }
    }

    /// Whether a vector is such as [`Space::admit`] makes them, give or take what rounding does to its length.
    pub(crate) fn check_kept(&self, vector: &[f32]) -> Result<(), AnnError> {
        check_values(vector)?;
        let even =
            self.metric != Metric::Cosine || (kernel::dot(vector, vector) - 1.0).abs() < 0.02;
        even.then_some(()).ok_or(AnnError::Zero)
    }

    /// The exact score of two admitted vectors.
    pub(crate) fn score(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine => kernel::dot(a, b).clamp(-1.0, 1.0),
            Metric::InnerProduct => kernel::dot(a, b),
            Metric::L2 => -kernel::squared_distance(a, b),
        }
    }
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model `{}`, {} dimensions, {:?}", self.model, self.dimensions, self.metric)
    }
}

fn check_values(vector: &[f32]) -> Result<(), AnnError> {
    let bad = |v: &f32| !v.is_finite() || v.abs() > VALUE_MAX;
    match vector.iter().enumerate().find(|(_, v)| bad(v)) {
        Some((at, &value)) => Err(AnnError::Value { at, value, max: VALUE_MAX }),
        None => Ok(()),
    }
}

/// The vector at unit length; none for a zero vector. In `f64`, so that tiny and huge values keep
/// their direction.
fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return None;
    }
    let share = 1.0 / norm;
    #[expect(clippy::cast_possible_truncation, reason = "a share of the norm fits")]
    Some(vector.iter().map(|&v| (f64::from(v) * share) as f32 + 0.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metric: Metric, vector: &[f32], good: bool) {
        let space = Space::new("m", 3, metric).unwrap();
        assert_eq!(space.admit(vector).is_ok(), good, "{metric:?} {vector:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
            check(metric, &[1.0, 2.0, 3.0], true);
            check(metric, &[1.0, 2.0], false);
            check(metric, &[1.0, f32::NAN, 3.0], false);
            check(metric, &[1.0, f32::INFINITY, 3.0], false);
            check(metric, &[1.0, 1e30, 3.0], false);
            check(metric, &[0.0; 3], metric != Metric::Cosine);
        }
        assert!(Space::new("m", 0, Metric::L2).is_err());
        assert!(Space::new("m", DIMENSIONS_MAX + 1, Metric::L2).is_err());
    }

    #[test]
    fn tiny_and_huge_vectors_keep_their_direction() {
        let space = Space::new("m", 2, Metric::Cosine).unwrap();
        for scale in [1e-38, 1e-20, 1.0, 1e14] {
            let v = space.admit(&[3.0 * scale, 4.0 * scale]).unwrap();
            assert!((v[0] - 0.6).abs() < 1e-5 && (v[1] - 0.8).abs() < 1e-5, "{scale}: {v:?}");
        }
    }
}
