//! Learning under way, taken apart and put together again: bit by bit what the next step needs.

use std::borrow::Cow;

use super::adam::{Adam, Moments};
use super::plan::Plan;
use super::spectrum::Spectrum;
use super::{
    Balance, Blend, Block, Census, Fineness, Form, Judged, LearningError, PooledModel, Training,
    TrainingOptions,
};

/// All that [`Training`] is but its options, with its values as `V`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState<V> {
    /// Whom it began with.
    pub census: Census,
    /// Rounds done.
    pub done: u32,
    /// In what steps the next round's shares travel, as [`Fineness::bits`].
    pub fineness: [u8; 2],
    /// By how much the optimiser's means and squares are still short.
    pub short: [f64; 2],
    /// Values, as many each as [`TrainingOptions::layout`] says: directions, history vectors, lengths of the target
    /// vectors; means and squares of the gradients by targets, then by history; under noise, what was heard; from the
    /// spectral part's first round on, its basis, scale and eigenvalues; from the judging on, the blend's weights of
    /// the spectral part and of lists and how it did, by people, NDCG and recall: zeros where nobody judged.
    pub values: Vec<V>,
}

/// Values of a blend that was judged.
const JUDGED: usize = 5;

fn wrong(why: &'static str) -> LearningError {
    LearningError::State { why }
}

impl TrainingOptions {
    /// How many values each part of a [`TrainingState`] over so many items has after so many rounds, begun with so many
    /// people.
    #[must_use]
    pub fn layout(&self, census: Census, items: usize, done: u32) -> Vec<usize> {
        let plan = Plan::of(self, census);
        let block = items.saturating_mul(self.dimensions);
        let mut layout = vec![block, block, items, block, block, block, block];
        layout.extend(self.budget.map(|_| block));
        if plan.has_spectrum(done) {
            let half = self.dimensions / 2;
            layout.extend([items.saturating_mul(half).saturating_mul(2), items, half]);
        }
        layout.extend(plan.has_judged(done).then_some(JUDGED));
        layout
    }

    /// Every option as bits: what two builds must agree in to go on with each other's training.
    #[must_use]
    pub fn bits(&self) -> Vec<u64> {
        let Self {
            dimensions,
            rounds,
            round_examples,
            group_examples,
            form,
            learning_rate,
            warm_up,
            person_items_max,
            people_min,
            seed,
            balance,
            budget,
        } = *self;
        let Form {
            person_examples_max,
            negatives,
            negative_weight,
            temperature,
            dropout,
            contribution_max,
        } = form;
        let counts = [dimensions, round_examples, group_examples, person_items_max];
        let counts = counts.into_iter().chain([person_examples_max, negatives]);
        let whole = [rounds, warm_up, people_min].map(u64::from);
        let real = [negative_weight, temperature, contribution_max].map(f64::from);
        let (epsilon, delta) = budget.map_or((0.0, 0.0), |b| (b.epsilon(), b.delta()));
        let more = [learning_rate, dropout, Balance::exponent(balance), epsilon, delta];
        let real = real.into_iter().chain(more).map(f64::to_bits);
        counts.map(|count| count as u64).chain(whole).chain([seed]).chain(real).collect()
    }
}

impl Training {
    /// Whom it began with.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census
    }

    /// What another process needs to go on with it.
    #[must_use]
    pub fn state(&self) -> TrainingState<Cow<'_, [f32]>> {
        let Adam { lengths, targets, history, short } = &self.adam;
        let mut values =
            vec![self.model.targets().values(), self.model.history().values(), lengths.as_slice()];
        for Moments { means, squares } in [targets, history] {
            values.extend([means.values(), squares.values()]);
        }
        values.extend(self.heard.as_ref().map(Block::values));
        if let Some(Spectrum { basis, scale, values: eigenvalues }) = &self.spectrum {
            values.extend([basis.values(), scale, eigenvalues]);
        }
        let mut values: Vec<Cow<'_, [f32]>> = values.into_iter().map(Cow::Borrowed).collect();
        values.extend(self.plan().has_judged(self.done).then(|| Cow::Owned(told(self.judged))));
        let short = [short.0, short.1];
        let fineness = self.fineness.map(Fineness::bits);
        TrainingState { census: self.census, done: self.done, fineness, short, values }
    }

    /// Goes on where a training with the same options was.
    ///
    /// # Errors
    /// Those of [`Training::start`]; [`LearningError::State`], [`LearningError::Shape`] and
    /// [`LearningError::NotFinite`] for what no training with these options and so many items was.
    pub fn resume(
        options: TrainingOptions,
        items: usize,
        state: TrainingState<Vec<f32>>,
    ) -> Result<Self, LearningError> {
        options.check()?;
        let TrainingState { census, done, fineness, short, values } = state;
        if census.people < options.people_min.into() {
            let found = census.people as f64;
            return Err(LearningError::Contributors { found, least: options.people_min });
        }
        if done > options.rounds {
            return Err(wrong("it has more rounds than there are"));
        }
        if !values.iter().map(Vec::len).eq(options.layout(census, items, done)) {
            return Err(wrong("its values are not as many as they should be"));
        }
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap_or_default();
        let block = |values| Block::new(items, options.dimensions, values);
        let model = PooledModel::received(block(next())?, block(next())?)?;
        let lengths = next();
        let moments =
            |means, squares| Ok(Moments { means: block(means)?, squares: block(squares)? });
        let targets = moments(next(), next())?;
        let history = moments(next(), next())?;
        let heard = options.budget.map(|_| block(next())).transpose()?;
        let adam = Adam { lengths, targets, history, short: (short[0], short[1]) };
        adam.check()?;
        let columns = options.dimensions / 2 * 2;
        let plan = Plan::of(&options, census);
        let spectrum = plan.has_spectrum(done).then(|| {
            let basis = Block::new(items, columns, next())?;
            Spectrum { basis, scale: next(), values: next() }.checked()
        });
        let judged = plan.has_judged(done).then(|| judged_of(&next())).transpose()?.flatten();
        let [Some(targets), Some(history)] = fineness.map(Fineness::new) else {
            return Err(wrong("its steps are none"));
        };
        Ok(Self {
            options,
            census,
            model,
            adam,
            done,
            heard,
            spectrum: spectrum.transpose()?,
            judged,
            fineness: [targets, history],
        })
    }
}

/// A blend as values, and how it did.
fn told(judged: Option<Judged>) -> Vec<f32> {
    let of = |Judged { blend, people, ndcg, recall }: Judged| {
        vec![blend.spectral, blend.lists, people as f32, ndcg, recall]
    };
    judged.map_or_else(|| vec![0.0; JUDGED], of)
}

fn judged_of(values: &[f32]) -> Result<Option<Judged>, LearningError> {
    let &[spectral, lists, people, ndcg, recall] = values else {
        return Err(wrong("its blend is none"));
    };
    let blend = Blend { spectral, lists, ..Blend::DEFAULT };
    match blend.is_usable() && [people, ndcg, recall].iter().all(|told| told.is_finite()) {
        true if people > 0.0 => Ok(Some(Judged { blend, people: people as u64, ndcg, recall })),
        true => Ok(None),
        false => Err(wrong("its blend is none")),
    }
}

impl Spectrum {
    /// Whether it is one: a scale or an eigenvalue below 0 never comes of a sum.
    fn checked(self) -> Result<Self, LearningError> {
        let usable = |value: &f32| value.is_finite() && *value >= 0.0;
        match self.scale.iter().chain(&self.values).all(usable) {
            true => Ok(self),
            false => Err(wrong("its eigenvalues are none")),
        }
    }
}

impl Adam {
    /// Whether it is one: a length or a square below 0 never comes of a step.
    fn check(&self) -> Result<(), LearningError> {
        let shares = [self.short.0, self.short.1];
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(wrong("its means are of no number of rounds"));
        }
        if !self.lengths.iter().all(|length| length.is_finite() && *length >= 0.0) {
            return Err(wrong("a vector has no length"));
        }
        let squares = [&self.targets, &self.history].map(|moments| moments.squares.values());
        match squares.into_iter().flatten().all(|&square| square >= 0.0) {
            true => Ok(()),
            false => Err(wrong("a square is below 0")),
        }
    }
}
