//! How fast neighbours grow farther: by it a walk knows when to stop.
//!
//! A walk that keeps a fixed number of candidates does as much for a query whose neighbours stand out as for
//! one that lies in a crowd. Better to stop once the next candidate is farther than the `k`-th best by some
//! ratio (Al-Jazzazi et al., Distance adaptive beam search, arXiv 2505.15636): on the same graph a tenth to a
//! third fewer comparisons find as much. The ratio follows from the number of candidates asked for: it is
//! that between the `ef`-th and the `k`-th neighbour, as measured on the map's own vectors.

use crate::matrix::Rows;
use crate::walk::{Map, Scratch, Stop, Stride, Walk};

/// Ranks at which distances are measured: the powers of two up to 512.
pub(crate) const RANKS: usize = 10;
/// Neighbours looked at: as many as the last rank.
const NEIGHBOURS: usize = 1 << (RANKS - 1);
/// Candidates kept in a crowd, times those asked for.
const CROWDED: usize = 4;
/// Vectors whose neighbours are measured.
const SAMPLED: usize = 64;

/// Mean logarithm of the gap between the best possible score and that of the neighbour of rank 1, 2, 4 and so
/// on. For cosine and L2 gaps are halves of squared distances.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread([f32; RANKS]);

impl Spread {
    /// Measured on vectors from all over the map.
    pub(crate) fn measure(map: &Map, vectors: Rows<'_>) -> Self {
        let step = (vectors.len() / SAMPLED).max(1);
        let (mut sums, mut count, mut scratch) = ([0.0_f32; RANKS], 0_u16, Scratch::default());
        for vector in vectors.iter().step_by(step) {
            let query = map.coder.query(vector);
            let ef = NEIGHBOURS + 1;
            let how =
                Walk { ef, budget: usize::MAX, stride: Stride::Through, starts: &[], stop: None };
            map.walk(&query, how, &|_| true, &mut scratch);
            // The first is the vector itself.
            let scores: Vec<i32> = scratch.pool.passing().map(|(score, _)| score).skip(1).collect();
            for (rank, sum) in sums.iter_mut().enumerate() {
                let score = scores.get((1 << rank) - 1).or(scores.last());
                *sum += score.map_or(0.0, |score| (query.gap(*score) as f32).max(1.0).ln());
            }
            count += 1;
        }
        Self(sums.map(|sum| sum / f32::from(count.max(1))))
    }

    /// The logarithms, as a file has them.
    pub(crate) fn numbers(&self) -> [f32; RANKS] {
        self.0
    }

    /// A spread of such numbers; none if they were never measured.
    pub(crate) fn of_numbers(numbers: [f32; RANKS]) -> Option<Self> {
        numbers.iter().all(|number| number.is_finite()).then_some(Self(numbers))
    }

    /// The logarithm at any rank: on the line between measured ones, and on beyond the last.
    fn at(&self, rank: f32) -> f32 {
        let place = rank.max(1.0).log2();
        let last =
            self.0.windows(2).zip(0_u8..).take_while(|(_, at)| f32::from(*at) <= place).last();
        match last {
            Some(([low, high], at)) => low + (high - low) * (place - f32::from(at)),
            _ => 0.0,
        }
    }

    /// How far to walk for the best `k`, as far on average as a walk that keeps `ef` candidates goes, where a `share`
    /// of all nodes passes the filter: candidates to keep, and when to stop before all of them are expanded. `least`
    /// are those that are scored exactly.
    pub(crate) fn extent(
        &self,
        (k, least): (usize, usize),
        ef: usize,
        share: f32,
    ) -> (usize, Option<Stop>) {
        if ef <= least {
            return (ef, None);
        }
        // Of what passes, the rank among all nodes.
        let rank = |among: usize| among as f32 / share.clamp(f32::MIN_POSITIVE, 1.0);
        let ratio = self.ratio(rank(k), rank(ef));
        (ef.saturating_mul(CROWDED), Some(Stop { k, least, ratio }))
    }

    /// How many times the gap of the neighbour of rank `from` that of rank `to` is, at least 1.
    fn ratio(&self, from: f32, to: f32) -> f32 {
        (self.at(to) - self.at(from)).exp().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_follow_the_measured_ranks() {
        // Each doubling of the rank makes gaps 1.2 times as large.
        let spread = Spread(std::array::from_fn(|rank| 3.0 + rank as f32 * 1.2_f32.ln()));
        let check = |from: f32, to: f32, expected: f32| {
            let ratio = spread.ratio(from, to);
            assert!((ratio - expected).abs() < 1e-4, "{from} {to}: {ratio}");
        };
        check(10.0, 10.0, 1.0);
        check(10.0, 40.0, 1.44);
        check(100.0, 1600.0, 1.2_f32.powi(4));
        check(40.0, 10.0, 1.0);
        check(0.0, 2.0, 1.2);
        assert_eq!(Spread::default().ratio(1.0, 99.0), 1.0);
    }
}
