//! How many people and pairs there are: what is summed before the first round.

use super::{FixedBlock, Interactions, LearningError, Noise, Share};

/// How many people and pairs of person and item the domains have, summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// People with at least two items.
    pub people: u64,
    /// Their pairs.
    pub pairs: u64,
}

impl Census {
    /// The census of one domain.
    #[must_use]
    pub fn of(people: &Interactions) -> Self {
        let rows = people.rows().filter(|taken| taken.len() > 1);
        let add = |sum: Self, taken: &[u32]| Self {
            people: sum.people + 1,
            pairs: sum.pairs.saturating_add(taken.len() as u64),
        };
        rows.fold(Self { people: 0, pairs: 0 }, add)
    }

    /// As a share, so that it can be masked and summed as rounds are: of no items, in the counts alone.
    ///
    /// # Errors
    /// [`LearningError::Shape`] never.
    pub fn to_share(self) -> Result<Share, LearningError> {
        let mut counts = FixedBlock::zeros(1, 3);
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        counts.add_whole(0, whole(self.pairs));
        counts.add_whole(1, whole(self.people));
        Share::new(FixedBlock::zeros(0, 1), FixedBlock::zeros(0, 1), counts)
    }

    /// [`Census::to_share`] under noise, where nobody has more than `most` pairs.
    ///
    /// # Errors
    /// [`LearningError::Shape`] never.
    pub fn blurred(
        self,
        noise: Noise,
        most: usize,
        normal: &mut dyn FnMut() -> f64,
    ) -> Result<Share, LearningError> {
        // One person changes both numbers by at most 1, when pairs are counted in parts of `most`.
        let deviation = noise.deviation(std::f64::consts::SQRT_2);
        let noisy = |count: u64, unit: f64, draw: f64| {
            (count as f64 + draw * deviation * unit).max(0.0) as u64
        };
        let people = noisy(self.people, 1.0, normal());
        Self { people, pairs: noisy(self.pairs, most as f64, normal()) }.to_share()
    }

    /// The census that a sum of such shares says.
    #[must_use]
    pub fn of_share(total: &Share) -> Self {
        let [_, _, counts] = total.blocks();
        let whole = |at: usize| counts.whole(at).unwrap_or_default();
        Self { people: whole(1), pairs: whole(0) }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            people: self.people.saturating_add(other.people),
            pairs: self.pairs.saturating_add(other.pairs),
        }
    }
}
