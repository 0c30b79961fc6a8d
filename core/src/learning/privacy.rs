//! Differential privacy of a run: noise in every number of every sum, and what it costs.
//!
//! Unit: a person, with all that they took. Mechanism: Gaussian noise. Accounting: zero-concentrated privacy (Bun
//! and Steinke 2016, "Concentrated Differential Privacy"): noise of standard deviation `s` in a sum whose length one
//! person changes by at most `D` costs `rho = D^2 / (2 s^2)` (Prop. 1.6); costs of sums and of runs add up (Lemma
//! 1.7); `rho` is `(rho + 2 sqrt(rho ln(1 / delta)), delta)`-privacy (Prop. 1.3).

use super::{Form, LearningError};

/// Bounds of what may be asked for: with a greater epsilon nothing is promised, with a smaller nothing is learned.
pub const EPSILON: std::ops::RangeInclusive<f64> = 0.001..=1000.0;
/// As [`EPSILON`], of the chance that more is told.
pub const DELTA: std::ops::RangeInclusive<f64> = 1e-12..=1e-3;

/// What a run may tell of any one person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    epsilon: f64,
    delta: f64,
}

/// What sums cost; the costs of several add up.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Rho(pub f64);

/// How noisy the sums of a run are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Standard deviation, in parts of what one person can change.
    multiplier: f64,
}

impl Budget {
    /// `epsilon` from 0.001 to 1,000, `delta` from 1e-12 to 0.001: far less than one in the number of people.
    ///
    /// # Errors
    /// [`LearningError::Budget`] for others.
    pub fn new(epsilon: f64, delta: f64) -> Result<Self, LearningError> {
        let within =
            |field, value, range: std::ops::RangeInclusive<f64>| match range.contains(&value) {
                true => Ok(()),
                false => {
                    let (least, most) = (*range.start(), *range.end());
                    Err(LearningError::Budget { field, value, least, most })
                }
            };
        within("epsilon", epsilon, EPSILON)?;
        within("delta", delta, DELTA)?;
        Ok(Self { epsilon, delta })
    }

    /// The larger, the more is told.
    #[must_use]
    pub fn epsilon(self) -> f64 {
        self.epsilon
    }

    /// The chance that more is told than `epsilon` says.
    #[must_use]
    pub fn delta(self) -> f64 {
        self.delta
    }

    /// The most that sums may cost.
    #[must_use]
    pub fn rho(self) -> Rho {
        let chance = chance(self.delta);
        Rho(((chance + self.epsilon).sqrt() - chance.sqrt()).powi(2))
    }

    /// What `some` of so many sums cost that all together cost [`Budget::rho`].
    #[must_use]
    pub fn cost(self, sums: u32, some: u64) -> Rho {
        Rho(self.rho().0 * (some as f64 / f64::from(sums.max(1))))
    }

    /// How many sums `rho` pays for, where so many cost [`Budget::rho`].
    #[must_use]
    pub fn pays(self, sums: u32, rho: Rho) -> u64 {
        // What is paid for in parts is rounded in parts.
        (rho.0 / self.rho().0 * f64::from(sums.max(1)) + 1e-6) as u64
    }

    /// The noise by which so many sums together cost no more than this.
    #[must_use]
    pub fn noise(self, sums: u32) -> Noise {
        Noise { multiplier: (f64::from(sums.max(1)) / (2.0 * self.rho().0)).sqrt() }
    }
}

impl Rho {
    /// What is told for this cost, but with the chance `delta`.
    #[must_use]
    pub fn epsilon(self, delta: f64) -> f64 {
        self.0 + 2.0 * (self.0 * chance(delta)).sqrt()
    }

    /// The cost of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

fn chance(delta: f64) -> f64 {
    (1.0 / delta).ln()
}

impl Noise {
    /// Standard deviation of the noise in a sum that one person changes by at most `sensitivity`.
    #[must_use]
    pub fn deviation(self, sensitivity: f64) -> f64 {
        self.multiplier * sensitivity
    }

    /// The part of it that each of several domains adds, so that together they add all of it. Whoever knows the
    /// others' parts sees a domain under its own part alone.
    #[must_use]
    pub fn part(self, domains: usize) -> Self {
        Self { multiplier: self.multiplier / (domains.max(1) as f64).sqrt() }
    }
}

impl Form {
    /// The same, with one example of a person in a round at most: one person then changes a sum little.
    #[must_use]
    pub fn frugal(self) -> Self {
        Self { person_examples_max: 1, contribution_max: 1.0, ..self }
    }

    /// How far one person moves a round's share at most, as the Euclidean length over all its numbers: the sums over
    /// target and history vectors, the number of examples, and that of people.
    #[must_use]
    pub fn sensitivity(&self) -> f64 {
        let of_example = super::share::TARGET_CONTRIBUTION_MAX.powi(2)
            + f64::from(self.contribution_max).powi(2)
            + 1.0;
        ((self.person_examples_max as f64).powi(2) * of_example + 1.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_what_its_sums_cost() {
        for (epsilon, delta) in [(0.5, 1e-6), (8.0, 1e-5), (100.0, 1e-9)] {
            let budget = Budget::new(epsilon, delta).unwrap();
            assert!((budget.rho().epsilon(delta) - epsilon).abs() < 1e-9);
            // D^2 / (2 s^2) a sum.
            let sums = 161;
            let deviation = budget.noise(sums).deviation(3.0);
            let cost = f64::from(sums) * 9.0 / (2.0 * deviation.powi(2));
            assert!((cost - budget.rho().0).abs() < 1e-9);
        }
    }

    #[test]
    fn runs_add_up_and_more_noise_costs_less() {
        let budget = Budget::new(1.0, 1e-6).unwrap();
        let twice = budget.rho().plus(budget.rho()).epsilon(1e-6);
        assert!(twice > 1.0 && twice < 2.0, "{twice}: less than the plain sum");
        let less = Budget::new(0.1, 1e-6).unwrap();
        assert!(less.noise(10).deviation(1.0) > budget.noise(10).deviation(1.0));
        let parts = 3.0 * budget.noise(10).part(3).deviation(1.0).powi(2);
        assert!((parts - budget.noise(10).deviation(1.0).powi(2)).abs() < 1e-9);
    }

    #[test]
    fn what_sums_cost_pays_for_them() {
        for (epsilon, sums) in [(0.001, 1), (0.5, 161), (1000.0, 10_001)] {
            let budget = Budget::new(epsilon, 1e-6).unwrap();
            let mut paid = budget.cost(sums, sums.into());
            assert!((paid.0 - budget.rho().0).abs() < 1e-9 * paid.0);
            assert_eq!(budget.pays(sums, paid), sums.into());
            for more in 1..=50 {
                paid = paid.plus(budget.cost(sums, 1));
                assert_eq!(budget.pays(sums, paid), u64::from(sums) + more);
            }
            assert_eq!(budget.pays(sums, Rho(budget.cost(sums, 1).0 * 0.999)), 0);
        }
    }

    #[test]
    fn a_budget_out_of_bounds_is_named() {
        for (epsilon, delta, field) in [
            (0.0, 1e-6, "epsilon"),
            (f64::NAN, 1e-6, "epsilon"),
            (1.0, 0.1, "delta"),
            (1.0, 0.0, "delta"),
        ] {
            let wrong = Budget::new(epsilon, delta).unwrap_err().to_string();
            assert!(wrong.starts_with(field), "{wrong}");
        }
    }
}
