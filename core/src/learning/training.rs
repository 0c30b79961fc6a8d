//! The coordinator's side of the contrastive form: rounds to be summed, and what it makes of the sums.

use super::adam::Adam;
use super::share::{Bounds, Counts};
use super::{
    Balance, Block, Budget, Fineness, FixedBlock, Form, Interactions, LearningError, Noise,
    PooledModel, Round, Share,
};

/// How to learn. The defaults are one setting for every catalogue, chosen on held-out parts of the train
/// sides of four public data sets; README.md beside this file lists what was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingOptions {
    /// Dimensions of a vector; best a multiple of 16.
    pub dimensions: usize,
    /// Sums over the domains, each one trip between regions.
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
            rounds: 160,
            round_examples: 32_768,
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

/// Learning under way: what the domains are asked next. It holds nothing of any single domain.
#[derive(Debug, Clone)]
pub struct Training {
    pub(super) options: TrainingOptions,
    pub(super) census: Census,
    pub(super) model: PooledModel,
    pub(super) adam: Adam,
    pub(super) done: u32,
    /// Under noise: the sum of all sums over history vectors.
    pub(super) heard: Option<Block>,
    pub(super) fineness: [Fineness; 2],
}

/// Deviations by which what is heard of an item must be more than noise, for the item to be known.
const STANDS_OUT: f64 = 4.0;

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

impl Training {
    /// Starts from small vectors that follow from the seed, the same for an item on both sides.
    ///
    /// # Errors
    /// [`LearningError::Zero`] and [`LearningError::Option`] for options that can't be used,
    /// [`LearningError::Contributors`] when all domains together have too few people.
    pub fn start(
        options: TrainingOptions,
        items: usize,
        census: Census,
    ) -> Result<Self, LearningError> {
        options.check()?;
        if census.people < options.people_min.into() {
            let found = census.people as f64;
            return Err(LearningError::Contributors { found, least: options.people_min });
        }
        // Of length 1 in the mean: the mean square of a number between -1 and 1 is a third.
        let scale = (3.0 / options.dimensions as f32).sqrt();
        let vectors = Block::seeded(items, options.dimensions, options.seed).times_all(scale);
        let model = PooledModel::new(vectors.clone(), vectors)?;
        let adam = Adam::new(model.targets().shape());
        let heard = options.budget.map(|_| Block::zeros(items, options.dimensions));
        let fineness = options.fineness().unwrap_or_default();
        Ok(Self { options, census, model, adam, done: 0, heard, fineness })
    }

    /// The model as it is.
    #[must_use]
    pub fn model(&self) -> &PooledModel {
        &self.model
    }

    /// What shares are computed by: the model with values of 16 bits, which all domains have bit by bit.
    #[must_use]
    pub fn asked(&self) -> PooledModel {
        self.model.halved()
    }

    /// Rounds done, and rounds there will be.
    #[must_use]
    pub fn progress(&self) -> (u32, u32) {
        (self.done, self.options.rounds)
    }

    /// The round whose sum is wanted; none when all are done.
    #[must_use]
    pub fn round(&self) -> Option<Round> {
        let TrainingOptions { group_examples, form, seed, .. } = self.options;
        let examples = self.round_examples();
        (self.done < self.options.rounds).then(|| Round {
            seed: super::Draws::new(seed).at(self.done.into()),
            rate: match self.options.budget {
                // Noise costs the same however many give an example.
                Some(_) => 1.0,
                None => (examples as f64 / (self.census.pairs as f64).max(1.0)).min(1.0),
            },
            groups: u32::try_from(examples.div_ceil(group_examples)).unwrap_or(u32::MAX),
            form,
            fineness: self.fineness,
        })
    }

    fn round_examples(&self) -> usize {
        match self.options.budget {
            Some(_) => usize::try_from(self.census.people).unwrap_or(usize::MAX),
            None => self.options.round_examples,
        }
    }

    /// Takes the sum of all shares of [`Training::round`], after looking whether it can be one.
    ///
    /// # Errors
    /// [`LearningError::Shape`], [`LearningError::Contributors`] or [`LearningError::Bound`]; the model
    /// stays as it was then, and the round can be asked for again.
    pub fn advance(&mut self, total: &Share) -> Result<Counts, LearningError> {
        if total.shape() != self.model.targets().shape() {
            let (found, expected) = (total.shape(), self.model.targets().shape());
            return Err(LearningError::Shape { found, expected });
        }
        let counts = total.check(&Bounds {
            people_min: self.options.people_min,
            person_examples_max: self.options.form.person_examples_max,
            contribution_max: self.options.form.contribution_max,
            weight_max: self.options.balance.weight_max(),
            deviation: self.options.deviation(|whole| whole),
        })?;
        if let Some(heard) = &mut self.heard {
            heard.add(&total.history().scaled(1.0));
        }
        let rate = self.rate();
        // Under noise the number of examples is a guess; everybody gives one.
        let examples = self.options.budget.map_or(counts.examples, |_| self.census.people as f64);
        self.adam.step(&mut self.model, total, examples, rate);
        self.follow(total);
        self.done = self.done.saturating_add(1);
        Ok(counts)
    }

    /// Chooses the steps of the next round by the greatest numbers of this one. Under noise they stay as they are.
    fn follow(&mut self, total: &Share) {
        if self.options.budget.is_none() {
            let [targets, history, _] = total.blocks();
            self.fineness = [targets, history].map(|block| Fineness::after(block.greatest()));
        }
    }

    /// Makes steps greater after a sum that went round ([`LearningError::WentRound`]); the round can be asked for
    /// again then.
    ///
    /// # Errors
    /// [`LearningError::WentRound`] where there are no greater ones, or where noise says how great they are: then so
    /// many people can't be summed, or a domain lies.
    pub fn coarsen(&mut self) -> Result<(), LearningError> {
        let coarser = self.fineness.map(|fineness| fineness.coarser().unwrap_or(fineness));
        if self.options.budget.is_some() || coarser == self.fineness {
            return Err(LearningError::WentRound);
        }
        self.fineness = coarser;
        Ok(())
    }

    /// The step of this round: up over the first rounds, then down in a line.
    fn rate(&self) -> f64 {
        let (done, rounds) = (f64::from(self.done), f64::from(self.options.rounds));
        let up = ((done + 1.0) / f64::from(self.options.warm_up.max(1))).min(1.0);
        self.options.learning_rate * up * (1.0 - done / rounds)
    }

    /// The model learned. Items that nobody took have no vectors in it: nothing is known of them.
    #[must_use]
    pub fn finish(self) -> PooledModel {
        let noise = self.options.deviation(|whole| whole) * f64::from(self.done).sqrt();
        self.model.without(|item| match &self.heard {
            Some(heard) => !stands_out(heard.row(item as usize).unwrap_or_default(), noise),
            None => !self.adam.moved_history(item),
        })
    }
}

/// Whether a vector is longer than noise of this deviation in each of its numbers makes it: the squares of `d` draws
/// sum to `d`, give or take `sqrt(2 d)`.
fn stands_out(vector: &[f32], deviation: f64) -> bool {
    let numbers = vector.len() as f64;
    let square: f64 = vector.iter().map(|&v| (f64::from(v) / deviation).powi(2)).sum();
    square > numbers + STANDS_OUT * (2.0 * numbers).sqrt()
}

/// Learns from all domains in one process: what a cluster does over its links, without the links.
/// `sum` is to add up the shares of a round; `progress` hears of every round.
///
/// # Errors
/// As [`Training::start`] and [`Training::advance`], and what `sum` answers.
pub fn train(
    domains: &[Interactions],
    options: TrainingOptions,
    mut sum: impl FnMut(&Round, &PooledModel) -> Result<Share, LearningError>,
    mut progress: impl FnMut(u32, u32, Counts),
) -> Result<PooledModel, LearningError> {
    let items = domains.first().ok_or(LearningError::NoParts)?.items();
    let census = domains.iter().map(Census::of).fold(Census { people: 0, pairs: 0 }, Census::plus);
    let mut training = Training::start(options, items, census)?;
    while let Some(round) = training.round() {
        let counts = match sum(&round, &training.asked()) {
            Ok(total) => training.advance(&total)?,
            Err(LearningError::WentRound) => {
                training.coarsen()?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (done, of) = training.progress();
        progress(done, of, counts);
    }
    Ok(training.finish())
}

/// The sum of all domains' shares, one after another on this thread.
///
/// # Errors
/// As [`Round::share`].
pub fn summed(
    domains: &[Interactions],
    round: &Round,
    model: &PooledModel,
) -> Result<Share, LearningError> {
    let (items, dimensions) = model.targets().shape();
    let mut total = Share::zeros(items, dimensions);
    for people in domains {
        total.add(&round.share(people, model, &round.groups(people))?)?;
    }
    Ok(total)
}
