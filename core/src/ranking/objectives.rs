//! What a slate is composed for besides relevance: the history's mix of categories, what is new, many creators.
//!
//! ```text
//! max  (1 - c - f) * relevance + f * freshness - c * C_KL(history, slate)
//! ```
//! over slates whose creators keep to their share, relevance and freshness being means over the places by `v(r)`
//! (Steck 2018 has their sum; with the mean a weight says the same at every length). Relevance is a score over the
//! best score, freshness `2^(-age / half-life)`. The slate is filled greedily.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::calibration::{Filling, Given, attention};
use super::{Mix, Row, Shelf, Weight};
use crate::ids::UnixMillis;
use crate::policy::Ratio;

/// After this long an item counts half as fresh, where nothing else is said: 30 days.
const HALF_LIFE_MS: NonZeroU64 = NonZeroU64::MIN.saturating_add(30 * 24 * 3_600_000 - 1);

/// What an operator asks of slates besides relevance; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objectives {
    calibration: Ratio,
    freshness: Ratio,
    half_life_ms: NonZeroU64,
    creator_share_max: Ratio,
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            calibration: Ratio::ZERO,
            freshness: Ratio::ZERO,
            half_life_ms: HALF_LIFE_MS,
            creator_share_max: Ratio::ONE,
        }
    }
}

impl Objectives {
    /// Weights of calibration and freshness; relevance has what is left to one. None where nothing is left and less.
    #[must_use]
    pub fn weighing(calibration: Ratio, freshness: Ratio) -> Option<Self> {
        let within = calibration.plus(freshness) <= Ratio::ONE;
        within.then(|| Self { calibration, freshness, ..Self::default() })
    }

    /// Whether a history's mix of categories is wanted.
    #[must_use]
    pub fn calibrates(&self) -> bool {
        self.calibration > Ratio::ZERO
    }

    /// An item this old, in milliseconds, counts half as fresh as a new one.
    #[must_use]
    pub fn with_half_life_ms(self, half_life_ms: NonZeroU64) -> Self {
        Self { half_life_ms, ..self }
    }

    /// No creator has more than this share of a slate's items, or than one item. What the packs' floors want and
    /// what else would leave places empty comes first.
    #[must_use]
    pub fn with_creator_share_max(self, creator_share_max: Ratio) -> Self {
        Self { creator_share_max, ..self }
    }
}

/// The objectives, and what they need to know for one slate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aims {
    /// What is asked for.
    pub objectives: Objectives,
    /// The mix of categories to come near to; without any, calibration counts nothing.
    pub taste: Mix,
    /// The moment of the request.
    pub now: UnixMillis,
}

impl Aims {
    /// The weight of calibration, where there is a mix to come near to.
    fn calibration(&self) -> Ratio {
        if self.taste.is_empty() { Ratio::ZERO } else { self.objectives.calibration }
    }

    /// Whether anything but relevance has a weight.
    pub(super) fn weigh(&self) -> bool {
        self.calibration().plus(self.objectives.freshness) > Ratio::ZERO
    }

    fn capped(&self) -> bool {
        self.objectives.creator_share_max < Ratio::ONE
    }

    /// The weights of sources, which sum to one, and those of the objectives that counted beside them; the sum stays
    /// one. A limit has no weight: it is told with 0.
    pub(super) fn told(&self, sources: Vec<Weight>) -> Vec<Weight> {
        if sources.is_empty() || !(self.weigh() || self.capped()) {
            return sources;
        }
        let scaled = |w: Weight| Weight { weight: w.weight * self.relevance() as f32, ..w };
        let mut told: Vec<Weight> = sources.into_iter().map(scaled).collect();
        let objective =
            |source, words, weight: Ratio| Weight { source, words, weight: weight.get() };
        let weighed = [
            objective("calibration", "balance among your categories", self.calibration()),
            objective("freshness", "how new it is", self.objectives.freshness),
        ];
        told.extend(weighed.into_iter().filter(|objective| objective.weight > 0.0));
        told.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let limit = objective("creator_share_max", "a limit on one creator's items", Ratio::ZERO);
        told.extend(self.capped().then_some(limit));
        told
    }

    /// The weight that is left to relevance.
    fn relevance(&self) -> f64 {
        1.0 - f64::from(self.calibration().get()) - f64::from(self.objectives.freshness.get())
    }

    /// 0 to 1; 0 for an item of unknown age.
    fn fresh(&self, published: Option<UnixMillis>) -> f64 {
        let age = |at: UnixMillis| self.now.0.saturating_sub(at.0).max(0) as f64;
        let half_life = self.objectives.half_life_ms.get() as f64;
        published.map_or(0.0, |at| (-age(at) / half_life).exp2())
    }
}

/// What the objectives look at of an item.
#[derive(Debug, Clone, Default)]
struct Traits<'a> {
    given: Vec<Given>,
    fresh: f64,
    creator: Option<&'a str>,
}

/// Which of the objectives a choice heeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heed {
    /// All that are set.
    All,
    /// The creators' share alone.
    Creators,
    /// None.
    Nothing,
}

/// The objectives over one shortlist.
#[derive(Debug)]
pub(super) struct Weighing<'a> {
    aims: &'a Aims,
    traits: BTreeMap<Row, Traits<'a>>,
    /// The best score.
    top: f64,
    /// The most items of one creator.
    creator_items_max: usize,
}

impl<'a> Weighing<'a> {
    /// Of a slate of `limit` items out of `ranked`.
    pub(super) fn of(
        shelf: &'a dyn Shelf,
        ranked: &[(Row, f32)],
        limit: usize,
        aims: &'a Aims,
    ) -> Self {
        let looked_at = if aims.weigh() || aims.capped() { ranked } else { &[] };
        let traits = |row: Row| {
            let facts = shelf.facts(row);
            Traits {
                given: aims.taste.given(shelf, row),
                fresh: aims.fresh(facts.and_then(|item| item.published)),
                creator: facts.and_then(|item| item.creator.as_deref()),
            }
        };
        Self {
            aims,
            traits: looked_at.iter().map(|(row, _)| (*row, traits(*row))).collect(),
            top: ranked.first().map_or(1.0, |(_, score)| score.max(f32::MIN_POSITIVE)).into(),
            creator_items_max: aims.objectives.creator_share_max.within(limit).max(1),
        }
    }

    /// The choices to compare, the one that heeds most first.
    pub(super) fn choices(&self) -> Vec<Heed> {
        let all = self.aims.weigh().then_some(Heed::All);
        let creators = self.aims.capped().then_some(Heed::Creators);
        all.into_iter().chain(creators).chain([Heed::Nothing]).collect()
    }

    /// Whether a slate comes nearer to what is asked for than another one.
    pub(super) fn prefers(&self, items: &[(Row, f32)], to: &[(Row, f32)]) -> bool {
        let excess = self.excess(items).cmp(&self.excess(to));
        excess.then(self.reached(to).total_cmp(&self.reached(items))).is_lt()
    }

    /// The objective that a finished slate reaches.
    fn reached(&self, items: &[(Row, f32)]) -> f64 {
        let mut filling = Filling::of(&self.aims.taste);
        let (mut worth, mut weight) = (0.0, 0.0);
        for ((row, score), place) in items.iter().zip(1..) {
            filling.take(&self.traits(*row).given);
            worth += attention(place) * self.alone(*row, *score);
            weight += attention(place);
        }
        let mean = if weight > 0.0 { worth / weight } else { 0.0 };
        mean - f64::from(self.aims.calibration().get()) * filling.divergence()
    }

    /// Items above the creators' share.
    fn excess(&self, items: &[(Row, f32)]) -> usize {
        let mut creators = Creators::default();
        items.iter().for_each(|(row, _)| creators.take(self.traits(*row).creator));
        let over = |items: &usize| items.saturating_sub(self.creator_items_max);
        creators.0.values().map(over).sum()
    }

    /// What an item adds by itself, wherever it stands.
    fn alone(&self, row: Row, score: f32) -> f64 {
        let relevance = self.aims.relevance() * f64::from(score) / self.top;
        relevance + f64::from(self.aims.objectives.freshness.get()) * self.traits(row).fresh
    }

    fn traits(&self, row: Row) -> &Traits<'a> {
        static UNKNOWN: Traits<'static> = Traits { given: Vec::new(), fresh: 0.0, creator: None };
        self.traits.get(&row).unwrap_or(&UNKNOWN)
    }
}

/// Items by creator.
#[derive(Debug, Clone, Default)]
struct Creators<'a>(BTreeMap<&'a str, usize>);

impl<'a> Creators<'a> {
    fn take(&mut self, creator: Option<&'a str>) {
        if let Some(creator) = creator {
            *self.0.entry(creator).or_default() += 1;
        }
    }
}

/// A slate while it is filled.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    weighing: &'a Weighing<'a>,
    heed: Heed,
    filling: Filling,
    creators: Creators<'a>,
}

impl<'a> Filled<'a> {
    pub(super) fn nothing(weighing: &'a Weighing<'a>, heed: Heed) -> Self {
        let filling = Filling::of(&weighing.aims.taste);
        Self { weighing, heed, filling, creators: Creators::default() }
    }

    pub(super) fn take(&mut self, row: Row) {
        let traits = self.weighing.traits(row);
        self.filling.take(&traits.given);
        self.creators.take(traits.creator);
    }

    /// What an item is worth at the next place; none where relevance alone counts.
    pub(super) fn worth(&self, row: Row, score: f32) -> Option<f64> {
        let weighing = self.weighing;
        let gain = || self.filling.gain(&weighing.traits(row).given);
        let calibration = f64::from(weighing.aims.calibration().get());
        let worth = || weighing.alone(row, score) + calibration * gain();
        (self.heed == Heed::All).then(worth)
    }

    /// Whether an item's creator has room.
    pub(super) fn has_room(&self, row: Row) -> bool {
        let taken = |creator| self.creators.0.get(creator).copied().unwrap_or_default();
        let creator = self.weighing.traits(row).creator.filter(|_| self.heed != Heed::Nothing);
        creator.is_none_or(|creator| taken(creator) < self.weighing.creator_items_max)
    }
}
