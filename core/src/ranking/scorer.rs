//! How the sources' parts become one score.

use super::{Candidate, Part};

/// How much a source counts, and how people are told of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// The source's name.
    pub source: &'static str,
    /// For `main_parameters`: what it measures, in words.
    pub words: &'static str,
    /// Its weight.
    pub weight: f32,
}

/// Weighs a candidate.
pub trait Scorer {
    /// The share of a part in the score.
    fn share(&self, part: &Part) -> f32;

    /// The score: the sum of the shares, so that an explanation by parts is the whole truth.
    fn score(&self, candidate: &Candidate) -> f32 {
        candidate.parts.iter().map(|part| self.share(part)).sum()
    }

    /// The weights of the sources in `used`, scaled to sum to one, largest first.
    fn main_parameters(&self, used: &[&'static str]) -> Vec<Weight>;
}

/// A weighted sum over sources.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearScorer {
    weights: Vec<Weight>,
}

impl LinearScorer {
    /// Weighs sources by `weights`; one that is not named counts nothing.
    #[must_use]
    pub fn new(weights: Vec<Weight>) -> Self {
        Self { weights }
    }
}

impl Scorer for LinearScorer {
    fn share(&self, part: &Part) -> f32 {
        let weight = self.weights.iter().find(|w| w.source == part.source);
        weight.map_or(0.0, |w| w.weight * part.score)
    }

    fn main_parameters(&self, used: &[&'static str]) -> Vec<Weight> {
        let mut out: Vec<Weight> =
            self.weights.iter().filter(|w| used.contains(&w.source)).copied().collect();
        let sum: f32 = out.iter().map(|w| w.weight).sum();
        for weight in &mut out {
            weight.weight = if sum > 0.0 { weight.weight / sum } else { 0.0 };
        }
        out.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        out
    }
}
