//! A seeded stream of numbers: for jitter and for simulated weather, never for keys.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A stream that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for what `words` name, so that streams don't depend on each other's pace.
    #[must_use]
    pub fn of(seed: u64, words: &[u64]) -> Self {
        let mut dice = Self(seed);
        for word in words {
            dice = Self(dice.roll() ^ word);
        }
        dice
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits: what a double holds exactly.
        #[allow(clippy::cast_precision_loss)]
        let numerator = (self.roll() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }

    /// A time between the two.
    pub fn between(&mut self, min: Duration, max: Duration) -> Duration {
        min + max.saturating_sub(min).mul_f64(self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| -> Vec<u64> {
            let mut dice = Dice::of(seed, &[1, 2]);
            (0..8).map(|_| dice.roll()).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_unit_stays_inside_its_bounds() {
        let mut dice = Dice::new(7);
        let drawn: Vec<f64> = (0..1000).map(|_| dice.unit()).collect();
        assert!(drawn.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
