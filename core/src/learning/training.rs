//! The coordinator's side: rounds to be summed, and what it makes of the sums.

use std::borrow::Cow;

use super::adam::Adam;
use super::share::{Bounds, Counts, TARGET_CONTRIBUTION_MAX};
use super::spectrum::{self, Spectrum};
use super::{
    Balance, Blend, Block, Budget, Fineness, FixedBlock, Form, Grid, Held, Interactions, Judged,
    LearningError, Noise, PooledModel, Round, Share, Task,
};

/// How to learn. The defaults are one setting for every catalogue, chosen on held-out parts of the train
/// sides of four public data sets; README.md beside this file lists what was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingOptions {
    /// Dimensions of a vector; best a multiple of 16.
    pub dimensions: usize,
    /// Sums over the domains, each one trip between regions. From [`TASKS_FROM`] on, some of them are the spectral
    /// part's, and one is for the weights of the blend; under a budget none are, since each would cost as much as
    /// any other.
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

    /// Whether a training by these options has a spectral part after so many rounds.
    pub(super) fn has_spectrum(&self, done: u32) -> bool {
        Plan::of(self).spectrum.is_some_and(|start| done > start)
    }

    /// Whether its blend was judged by then.
    pub(super) fn has_judged(&self, done: u32) -> bool {
        let judging = |start: u32| start.saturating_add(SPECTRUM_FIRST);
        Plan::of(self).spectrum.is_some_and(|start| done > judging(start))
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

/// Rounds from which on a run learns more than the contrastive form.
pub const TASKS_FROM: u32 = 40;
/// Rounds of the spectral part without what is held back, from a first block; and with it, from what was found.
const SPECTRUM_FIRST: u32 = 4;
const SPECTRUM_LAST: u32 = 2;
/// Of four rounds of the contrastive form so many go before the blend is judged, without what is held back; the rest
/// learn from all there is.
const HELD_OF_FOUR: u32 = 3;
/// People by whom blends are judged, roughly, where there are so many, and the part of all that they are at most.
const JUDGES: f64 = 2000.0;
const JUDGES_PART_MAX: f64 = 0.5;
/// Part of their items that is held back until then. A fifth of everybody's cost 3 % of NDCG on MovieLens: what comes
/// late is learned by small steps.
const HELD_ITEMS: f64 = 0.1;
/// Names the draws of what is held back.
const HELD: u64 = u64::MAX;

/// What the rounds of a run are for: contrastive ones, then the spectral part and the judging, then the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    rounds: u32,
    /// The round where the spectral part begins; none where there is none.
    spectrum: Option<u32>,
}

impl Plan {
    fn of(options: &TrainingOptions) -> Self {
        let tasks = SPECTRUM_FIRST + 1 + SPECTRUM_LAST;
        let contrastive = options.rounds.saturating_sub(tasks);
        let all =
            options.rounds >= TASKS_FROM && options.budget.is_none() && options.dimensions > 1;
        Self { rounds: options.rounds, spectrum: all.then(|| contrastive / 4 * HELD_OF_FOUR) }
    }

    /// What round `done` is for.
    fn task(&self, done: u32) -> Task {
        let Some(since) = self.spectrum.and_then(|start| done.checked_sub(start)) else {
            return Task::Contrast;
        };
        match since {
            0..SPECTRUM_FIRST => Task::Spectrum,
            SPECTRUM_FIRST => Task::Judging,
            _ if since <= SPECTRUM_FIRST + SPECTRUM_LAST => Task::Spectrum,
            _ => Task::Contrast,
        }
    }

    /// Whether something is held back in it.
    fn holds(&self, done: u32) -> bool {
        self.spectrum.is_some_and(|start| done <= start.saturating_add(SPECTRUM_FIRST))
    }

    /// How many contrastive rounds are done, and how many there will be.
    fn contrastive(&self, done: u32) -> (u32, u32) {
        let Some(start) = self.spectrum else { return (done, self.rounds) };
        let tasks = SPECTRUM_FIRST + 1 + SPECTRUM_LAST;
        (
            done.saturating_sub(done.saturating_sub(start).min(tasks)),
            self.rounds.saturating_sub(tasks),
        )
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
    /// From the first of its rounds on.
    pub(super) spectrum: Option<Spectrum>,
    /// From the round of judging on, where enough people could judge.
    pub(super) judged: Option<Judged>,
    /// In what steps the next round's shares travel.
    pub(super) fineness: [Fineness; 2],
}

/// What numbers of the spectral part's first sum may come to, roughly: some thousand people who took an item, each by
/// the root of how much they took.
const SPECTRUM_SUM: f64 = 16_384.0;

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
        let (spectrum, judged) = (None, None);
        let fineness = options.fineness().unwrap_or_default();
        Ok(Self { options, census, model, adam, done: 0, heard, spectrum, judged, fineness })
    }

    /// The contrastive part as it is.
    #[must_use]
    pub fn model(&self) -> &PooledModel {
        &self.model
    }

    /// The blend that was found best, and how it did; none before it was judged.
    #[must_use]
    pub fn judged(&self) -> Option<Judged> {
        self.judged
    }

    fn plan(&self) -> Plan {
        Plan::of(&self.options)
    }

    /// What shares of [`Training::round`] are computed by: the model, the spectral part's block, or for the judging
    /// the whole model as it would be served; with values of 16 bits, which all domains have bit by bit.
    ///
    /// # Errors
    /// [`LearningError`] never.
    pub fn asked(&self) -> Result<PooledModel, LearningError> {
        Ok(match self.plan().task(self.done) {
            Task::Contrast => self.model.halved(),
            Task::Spectrum => self.spectrum_or_first().asked()?.halved(),
            Task::Judging => self.joined()?.halved(),
        })
    }

    /// The spectral part as it is, or as it begins.
    fn spectrum_or_first(&self) -> Cow<'_, Spectrum> {
        let columns = self.options.dimensions / 2 * 2;
        let first = || Spectrum::start(self.model.targets().shape().0, columns, self.options.seed);
        self.spectrum.as_ref().map_or_else(|| Cow::Owned(first()), Cow::Borrowed)
    }

    /// Both parts; a spectral one of zeros where none was found.
    fn joined(&self) -> Result<PooledModel, LearningError> {
        let found = self.spectrum.as_ref().map(Spectrum::model).transpose()?.flatten();
        let (items, half) = (self.model.targets().shape().0, self.options.dimensions / 2);
        let nothing =
            || PooledModel::received(Block::zeros(items, half), Block::zeros(items, half));
        self.model.joined(&found.map_or_else(nothing, Ok)?)
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
            task: self.plan().task(self.done),
            held: self.plan().holds(self.done).then(|| self.held()),
            fineness: self.fineness,
        })
    }

    fn held(&self) -> Held {
        let seed = super::Draws::new(self.options.seed).at(HELD);
        let people = (JUDGES / (self.census.people as f64).max(1.0)).min(JUDGES_PART_MAX);
        Held { seed, people, items: HELD_ITEMS }
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
        let Some(round) = self.round() else { return Ok(total.counts()) };
        let (items, dimensions) = self.model.targets().shape();
        let (found, expected) = (total.shape(), round.share_shape(items, dimensions));
        if found != expected {
            return Err(LearningError::Shape { found, expected });
        }
        let counts = match round.task {
            Task::Contrast => self.step(total)?,
            Task::Spectrum => self.turn(total)?,
            Task::Judging => {
                self.judged = Grid::best(total, self.options.people_min)?;
                total.counts()
            }
        };
        self.done = self.done.saturating_add(1);
        self.follow(round.task, total);
        Ok(counts)
    }

    /// A step of the contrastive form.
    fn step(&mut self, total: &Share) -> Result<Counts, LearningError> {
        let contribution_max = self.options.form.contribution_max.into();
        let counts = total.check(&self.bounds([TARGET_CONTRIBUTION_MAX, contribution_max]))?;
        if let Some(heard) = &mut self.heard {
            heard.add(&total.history().scaled(1.0));
        }
        let rate = self.rate();
        // Under noise the number of examples is a guess; everybody gives one.
        let examples = self.options.budget.map_or(counts.examples, |_| self.census.people as f64);
        self.adam.step(&mut self.model, total, examples, rate);
        Ok(counts)
    }

    /// A step of the spectral part.
    fn turn(&mut self, total: &Share) -> Result<Counts, LearningError> {
        let mut spectrum = self.spectrum_or_first().into_owned();
        let each = spectrum::contribution_max(self.options.person_items_max, &spectrum.asked()?);
        let counts = total.check(&self.bounds([each, each]))?;
        spectrum.advance(total)?;
        self.spectrum = Some(spectrum);
        Ok(counts)
    }

    fn bounds(&self, contributions_max: [f64; 2]) -> Bounds {
        Bounds {
            people_min: self.options.people_min,
            person_examples_max: self.options.form.person_examples_max,
            contributions_max,
            weight_max: self.options.balance.weight_max(),
            deviation: self.options.deviation(|whole| whole),
        }
    }

    /// Chooses the steps of the next round by the greatest numbers of the one that was for `task`. Under noise they
    /// stay as they are.
    fn follow(&mut self, task: Task, total: &Share) {
        if self.options.budget.is_some() {
            return;
        }
        let next = self.plan().task(self.done);
        let [targets, history, _] = total.blocks();
        self.fineness = match next == task {
            true => [targets, history].map(|block| Fineness::after(block.greatest())),
            false => [self.first_fineness(next); 2],
        };
    }

    /// The steps of a first round of a task: what its sums may come to is known roughly.
    fn first_fineness(&self, task: Task) -> Fineness {
        match task {
            Task::Contrast => Fineness::default(),
            Task::Spectrum => Fineness::up_to(SPECTRUM_SUM),
            Task::Judging => Fineness::up_to(self.census.people as f64),
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
        let (done, rounds) = self.plan().contrastive(self.done);
        let (done, rounds) = (f64::from(done), f64::from(rounds));
        let up = ((done + 1.0) / f64::from(self.options.warm_up.max(1))).min(1.0);
        self.options.learning_rate * up * (1.0 - done / rounds)
    }

    /// The model learned, with the blend that was found best. Items that nobody took have no vectors in it: nothing is
    /// known of them. A spectral part that weighs nothing is left out.
    #[must_use]
    pub fn finish(self) -> PooledModel {
        let noise = self.options.deviation(|whole| whole) * f64::from(self.done).sqrt();
        let blend = self.judged.map_or(Blend::DEFAULT, |judged| judged.blend);
        let joined = self.spectrum.as_ref().filter(|_| blend.spectral > 0.0);
        // What was joined when it was judged can be joined now.
        let model = joined.and_then(|_| self.joined().ok()).unwrap_or_else(|| self.model.clone());
        model.weighing(blend).without(|item| match &self.heard {
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
        let counts = match sum(&round, &training.asked()?) {
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
    let mut shares = domains.iter().map(|p| round.share(p, model, &round.groups(p)));
    let mut total = shares.next().ok_or(LearningError::NoParts)??;
    shares.try_for_each(|share| total.add(&share?))?;
    Ok(total)
}
