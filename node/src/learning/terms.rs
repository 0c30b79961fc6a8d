//! On what terms a domain gives its shares: how noisy they are, and what they weigh.

use bailiwick_core::learning::{
    Balance, Budget, Census, Interactions, LearningError, Rho, Share, TrainingOptions,
};
use bailiwick_proto::store::LearningOptions;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// The options of a run that says nothing of its own.
#[must_use]
pub fn default_options() -> LearningOptions {
    let TrainingOptions { dimensions, rounds, seed, people_min, .. } = TrainingOptions::default();
    let dimensions = u32::try_from(dimensions).unwrap_or(u32::MAX);
    LearningOptions { dimensions, rounds, seed, people_min, ..LearningOptions::default() }
}

/// How a run learns, by the options that the control group keeps.
///
/// # Errors
/// [`LearningError::Budget`], which the control group refuses when a run is to begin.
pub fn training_options(asked: &LearningOptions) -> Result<TrainingOptions, LearningError> {
    let long = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let options = TrainingOptions {
        dimensions: long(asked.dimensions),
        rounds: asked.rounds,
        seed: asked.seed,
        people_min: asked.people_min,
        balance: Balance::new(asked.balance).unwrap_or_default(),
        ..TrainingOptions::default()
    };
    let budget = asked.epsilon.map(|epsilon| Budget::new(epsilon, asked.delta())).transpose()?;
    Ok(budget.map_or(options, |budget| options.under(budget)))
}

/// What a run has sums told on.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How the run learns.
    pub options: TrainingOptions,
    /// The domains of the session.
    pub domains: usize,
}

impl Terms {
    /// What the run's sums cost all together; none without noise.
    #[must_use]
    pub fn cost(&self) -> Option<Rho> {
        self.options.budget.map(Budget::rho)
    }

    /// The domain's census, under its part of the noise.
    pub(super) fn census(&self, people: &Interactions) -> Result<Share, LearningError> {
        let census = Census::of(people);
        match self.options.noise() {
            None => census.to_share(),
            Some(noise) => {
                let (part, most) = (noise.part(self.domains), self.options.person_items_max);
                census.blurred(part, most, &mut normal())
            }
        }
    }

    /// Weighs the domain's share of a round, where all domains have so many `people`, and adds its part of the noise.
    pub(super) fn apply(&self, share: &mut Share, own: &Interactions, people: u64) {
        share.weigh(self.options.balance.weight(Census::of(own).people, people, self.domains));
        if self.options.budget.is_some() {
            let deviation = self.options.deviation(|noise| noise.part(self.domains));
            share.blur(deviation, &mut normal());
        }
    }
}

/// Draws from the standard normal distribution that nobody can foretell.
fn normal() -> impl FnMut() -> f64 {
    let mut random = ChaCha20Rng::from_os_rng();
    move || StandardNormal.sample(&mut random)
}
