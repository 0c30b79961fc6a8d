//! How a run learns: one setting for every catalogue.

use super::{Balance, Budget, Fineness, Form, LearningError, Noise};

/// How to learn. The defaults are one setting for every catalogue, chosen on held-out parts of the train
/// sides of four public data sets; README.md beside this file lists what was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingOptions {
    /// Dimensions of a vector; best a multiple of 16.
    pub dimensions: usize,
    /// Sums over the domains, each one trip between regions. From [`TASKS_FROM`](super::TASKS_FROM) on, some of them
    /// are the spectral part's, and one is for the weights of the blend; under a budget none are, since each would
    /// cost as much as any other.
    pub rounds: u32,
    /// Examples of a round, roughly, where people have so many to give.
    pub round_examples: usize,
    /// Examples, roughly, that share their negatives.
    pub group_examples: usize,
    /// How examples are made and weighed.
    pub form: Form,
    /// Step of Adam after `warm_up` rounds, falling from there to 0 at the end.
    pub learning_rate: f64,
    /// Rounds over which the step rises.
    pub warm_up: u32,
    /// Items of one person that count at most, the newest.
    pub person_items_max: usize,
    /// Contributors of a round at least.
    pub people_min: u32,
    /// Where all draws come from.
    pub seed: u64,
    /// How far domains are levelled.
    pub balance: Balance,
    /// What the run may tell of any one person; without one there is no noise. Set by [`TrainingOptions::under`].
    pub budget: Option<Budget>,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            dimensions: 128,
            rounds: 168,
            round_examples: 49_152,
            group_examples: 512,
            form: Form {
                person_examples_max: 64,
                negatives: 512,
                negative_weight: 2000.0,
                temperature: 0.12,
                dropout: 0.4,
                contribution_max: 4.0,
            },
            learning_rate: 0.04,
            warm_up: 10,
            person_items_max: 1000,
            people_min: 20,
            seed: 1,
            balance: Balance::default(),
            budget: None,
        }
    }
}

impl TrainingOptions {
    /// The same, such that the run tells no more of any one person than the budget says.
    #[must_use]
    pub fn under(self, budget: Budget) -> Self {
        Self { form: self.form.frugal(), budget: Some(budget), ..self }
    }

    /// The noise of each of the run's sums, of which the census is one.
    #[must_use]
    pub fn noise(&self) -> Option<Noise> {
        self.budget.map(|budget| budget.noise(self.sums()))
    }

    /// The sums of a run: its rounds, and the census.
    #[must_use]
    pub fn sums(&self) -> u32 {
        self.rounds.saturating_add(1)
    }

    /// Standard deviation of the noise in every number of a round's share; 0 without noise. `part` is the part of
    /// the noise that is asked about: all, or one domain's.
    #[must_use]
    pub fn deviation(&self, part: impl Fn(Noise) -> Noise) -> f64 {
        let sensitivity = self.form.sensitivity() * self.balance.weight_max();
        self.noise().map_or(0.0, |noise| part(noise).deviation(sensitivity))
    }

    /// In what steps shares travel under noise, which no coordinator has a say in; none without noise, where they
    /// follow from sums.
    #[must_use]
    pub fn fineness(&self) -> Option<[Fineness; 2]> {
        self.budget.map(|_| [Fineness::under(self.deviation(|whole| whole)); 2])
    }

    pub(super) fn check(&self) -> Result<(), LearningError> {
        let counts = [
            ("dimensions", self.dimensions),
            ("rounds", self.rounds as usize),
            ("round_examples", self.round_examples),
            ("group_examples", self.group_examples),
            ("person_examples_max", self.form.person_examples_max),
            ("negatives", self.form.negatives),
        ];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(LearningError::Zero { field });
        }
        let positive = [
            ("negative_weight", f64::from(self.form.negative_weight)),
            ("temperature", f64::from(self.form.temperature)),
            ("contribution_max", f64::from(self.form.contribution_max)),
            ("learning_rate", self.learning_rate),
        ];
        // Shares are in fixed point, with room up to 2^14.
        let usable = |value: f64| value > 1e-6 && value < 1e4;
        match positive.into_iter().find(|(_, value)| !usable(*value)) {
            Some((field, value)) => Err(LearningError::Option { field, value }),
            None => Ok(()),
        }
    }
}
