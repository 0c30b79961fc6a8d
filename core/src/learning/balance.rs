//! Weights by which domains of few people are not drowned by those of many.

/// A domain counts no more than so many times what its people would count, and no less than that part.
const WEIGHT_MAX: f64 = 4.0;

/// How far domains are levelled: 0 leaves each person the same weight, 1 gives each domain the same weight, as far as
/// the bound on weights lets it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Balance(f64);

impl Balance {
    /// None outside 0 to 1.
    #[must_use]
    pub fn new(exponent: f64) -> Option<Self> {
        (0.0..=1.0).contains(&exponent).then_some(Self(exponent))
    }

    /// The weight of a domain's share that has `own` of `total` people over `domains`:
    /// `(total / (domains * own))^balance`, from 1/4 to 4.
    #[must_use]
    pub fn weight(self, own: u64, total: u64, domains: usize) -> f64 {
        let level = total as f64 / (domains.max(1) as f64 * own.max(1) as f64);
        level.powf(self.0).clamp(1.0 / WEIGHT_MAX, WEIGHT_MAX)
    }

    /// The most that a weight can be.
    #[must_use]
    pub fn weight_max(self) -> f64 {
        if self.0 > 0.0 { WEIGHT_MAX } else { 1.0 }
    }

    /// 0 to 1.
    #[must_use]
    pub fn exponent(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_domains_weigh_more_within_bounds() {
        let [none, half, whole] = [0.0, 0.5, 1.0].map(|exponent| Balance::new(exponent).unwrap());
        assert_eq!(none.weight(10, 900, 3).to_bits(), 1.0_f64.to_bits());
        assert!((half.weight(75, 900, 3) - 2.0).abs() < 1e-12);
        assert!((whole.weight(600, 900, 3) - 0.5).abs() < 1e-12);
        assert!((whole.weight(1, 900, 3) - WEIGHT_MAX).abs() < 1e-12);
        assert!(
            (whole.weight(0, 0, 3) - 1.0 / WEIGHT_MAX).abs() < 1e-12,
            "nobody is no reason to divide by zero"
        );
        assert!(Balance::new(1.1).is_none() && Balance::new(f64::NAN).is_none());
    }
}
