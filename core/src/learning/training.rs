//! The coordinator's side: rounds to be summed, and what it makes of the sums.

use std::borrow::Cow;

use super::adam::Adam;
use super::plan::Plan;
use super::share::{Bounds, Counts, TARGET_CONTRIBUTION_MAX};
use super::spectrum::{self, Spectrum};
use super::{
    Blend, Block, Census, Fineness, Grid, Interactions, Judged, LearningError, PooledModel, Round,
    Share, Task, TrainingOptions,
};

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

    pub(super) fn plan(&self) -> Plan {
        Plan::of(&self.options, self.census)
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
            held: self.plan().held(self.done),
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
