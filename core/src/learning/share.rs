//! What a domain gives to a round: sums of fixed shape over its own people.

use super::{FixedBlock, LearningError};

/// Columns of the counts.
const EXAMPLES: usize = 0;
const PEOPLE: usize = 1;
const LOSS: usize = 2;

/// A domain's part of a round, or the sum of such parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    targets: FixedBlock,
    history: FixedBlock,
    counts: FixedBlock,
}

/// How many and how well, summed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Examples.
    pub examples: f64,
    /// People who gave at least one.
    pub people: f64,
    /// The examples' losses, in nats.
    pub loss: f64,
}

/// What a sum must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Contributors at least.
    pub people_min: u32,
    /// Examples of one person at most.
    pub person_examples_max: usize,
    /// Length of an example's part in the sum over history vectors, at most.
    pub contribution_max: f32,
    /// Weight of a domain at most; its inverse is the least.
    pub weight_max: f64,
    /// Standard deviation of the noise in every number; 0 where there is none.
    pub deviation: f64,
}

/// Deviations beyond which noise is no longer believed to be noise.
const DEVIATIONS_MAX: f64 = 8.0;

/// Length of an example's part in the sum over targets: the coefficients are probabilities, less 1 for
/// the target, on unit vectors, so that their squares sum to less than 2.
pub(super) const TARGET_CONTRIBUTION_MAX: f64 = std::f64::consts::SQRT_2;

impl Share {
    /// Nothing: what a domain without people gives.
    #[must_use]
    pub fn zeros(items: usize, dimensions: usize) -> Self {
        Self {
            targets: FixedBlock::zeros(items, dimensions),
            history: FixedBlock::zeros(items, dimensions),
            counts: FixedBlock::zeros(1, 3),
        }
    }

    /// A share that came from elsewhere: by target and by history vectors (items x dimensions each), and
    /// the counts (1 x 3).
    ///
    /// # Errors
    /// [`LearningError::Shape`] when these do not belong together.
    pub fn new(
        targets: FixedBlock,
        history: FixedBlock,
        counts: FixedBlock,
    ) -> Result<Self, LearningError> {
        history.expect_shape(targets.shape())?;
        counts.expect_shape((1, 3))?;
        Ok(Self { targets, history, counts })
    }

    /// Items and dimensions.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.targets.shape()
    }

    /// All that is in it: by target vectors, by history vectors, counts.
    #[must_use]
    pub fn blocks(&self) -> [&FixedBlock; 3] {
        [&self.targets, &self.history, &self.counts]
    }

    /// The same, to be masked.
    pub fn blocks_mut(&mut self) -> [&mut FixedBlock; 3] {
        [&mut self.targets, &mut self.history, &mut self.counts]
    }

    /// Adds another share, in any order with the same result.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when it has another shape; nothing is added then.
    pub fn add(&mut self, other: &Self) -> Result<(), LearningError> {
        other.targets.expect_shape(self.targets.shape())?;
        self.targets.add(&other.targets)?;
        self.history.add(&other.history)?;
        self.counts.add(&other.counts)
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counts = self.counts.scaled(1.0);
        let mut values = counts.values().iter().map(|&v| f64::from(v));
        let mut next = || values.next().unwrap_or(0.0);
        Counts { examples: next(), people: next(), loss: next() }
    }

    #[inline(always)]
    pub(super) fn count(&mut self, examples: usize, people: usize, loss: f32) {
        // Whole numbers apart: they may be greater than what a rounded value can be.
        self.counts.add_whole(EXAMPLES, examples);
        self.counts.add_whole(PEOPLE, people);
        self.counts.add_row(0, &[0.0, 0.0, loss], 1.0);
    }

    #[inline(always)]
    pub(super) fn add_target(&mut self, item: u32, values: &[f32], factor: f32) {
        self.targets.add_row(item as usize, values, factor);
    }

    #[inline(always)]
    pub(super) fn add_history(&mut self, item: u32, values: &[f32], factor: f32) {
        self.history.add_row(item as usize, values, factor);
    }

    /// Counts all but the people as many times as `weight` says.
    pub fn weigh(&mut self, weight: f64) {
        if weight.to_bits() == 1.0_f64.to_bits() {
            return;
        }
        let people = self.counts.whole(PEOPLE).unwrap_or_default();
        self.blocks_mut().into_iter().for_each(|block| block.weigh(weight));
        self.counts.forget(PEOPLE);
        self.counts.add_whole(PEOPLE, usize::try_from(people).unwrap_or(usize::MAX));
    }

    /// Adds noise of this deviation to every number, by draws from the standard normal distribution. The loss, which
    /// nothing is learned by, is not told at all.
    pub fn blur(&mut self, deviation: f64, normal: &mut dyn FnMut() -> f64) {
        self.blocks_mut().into_iter().for_each(|block| block.blur(deviation, normal));
        self.counts.forget(LOSS);
    }

    pub(super) fn history(&self) -> &FixedBlock {
        &self.history
    }

    /// Whether a sum is one that honest domains could have given. A domain that lies inside these bounds
    /// is not found out: what hides the honest hides the liar.
    ///
    /// # Errors
    /// [`LearningError::Contributors`] below the floor of people, [`LearningError::Bound`] where counts or
    /// lengths are beyond what so many people can give.
    pub fn check(&self, bounds: &Bounds) -> Result<Counts, LearningError> {
        let counts = self.counts();
        let Counts { examples, people, loss } = counts;
        let noise = bounds.deviation * DEVIATIONS_MAX;
        // Under noise the floor was looked at by the census, whose numbers are less drowned.
        if people + noise < f64::from(bounds.people_min) {
            return Err(LearningError::Contributors { found: people, least: bounds.people_min });
        }
        let each = bounds.person_examples_max as f64 * bounds.weight_max;
        within("examples", examples, (people + noise) * each + noise)?;
        within("the people who gave them", people, examples * bounds.weight_max + 2.0 * noise)?;
        within("loss", -loss, 0.0)?;
        // The weight of an example is in their number too.
        let examples = examples + noise;
        let blurred = bounds.deviation * (self.targets.numbers().sqrt() + DEVIATIONS_MAX);
        let most = |each: f64| each * examples + blurred;
        within("the sum over targets", self.targets.length(), most(TARGET_CONTRIBUTION_MAX))?;
        let contribution = f64::from(bounds.contribution_max);
        within("the sum over history", self.history.length(), most(contribution))?;
        Ok(counts)
    }
}

/// Refuses what is above `most` by more than rounding.
fn within(what: &'static str, found: f64, most: f64) -> Result<(), LearningError> {
    if found <= most * (1.0 + 1e-3) + 1e-3 {
        Ok(())
    } else {
        Err(LearningError::Bound { what, found, most })
    }
}
