//! The sources of candidates.

use std::collections::BTreeSet;

use bailiwick_ann::{Filter, Hit};
use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::policy::{Signal, SignalSet};
use bailiwick_core::ranking::{Part, Row, Shelf, Source, SourceError};

use super::history::{Declared, History, faded};
use super::together::Together;
use crate::catalog::ShelfView;
use crate::learning::model::ServedModel;

/// Candidates that a walk over the index keeps.
const EF_MIN: usize = 96;
/// Items of the history that may explain a candidate.
const REASONS_MAX: usize = 50;

type Found = Result<Vec<(Row, Part)>, SourceError>;

fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().copied().collect()
}

/// The vectors that likeness is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Those that items were put with.
    Own,
    /// The model's: what was taken speaks by one vector, what is recommended is found by another.
    Learned,
}

impl Space {
    /// The vector by which a row speaks for others.
    fn speaks<'a>(self, shelf: &'a ShelfView<'_>, row: Row) -> Option<&'a [f32]> {
        match self {
            Self::Own => shelf.vector(row),
            Self::Learned => shelf.model()?.history(shelf.number(row)?),
        }
    }

    /// The vector by which a row is found.
    fn found_by<'a>(self, shelf: &'a ShelfView<'_>, row: Row) -> Option<&'a [f32]> {
        match self {
            Self::Own => shelf.vector(row),
            Self::Learned => shelf.model()?.target(shelf.number(row)?),
        }
    }

    /// The rows nearest to `query`, with their cosine. While a model is served, an item's own vector serves
    /// only where the model knows nothing of the item.
    fn nearest(
        self,
        name: &'static str,
        shelf: &ShelfView<'_>,
        query: &[f32],
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, f32)>, SourceError> {
        let numbered = |number: Row| match self {
            Self::Own => Some(number).filter(|row| shelf.number(*row).is_none()),
            Self::Learned => shelf.numbered(number),
        };
        let index = match self {
            Self::Own => shelf.index(),
            Self::Learned => shelf.model().map(ServedModel::index),
        };
        let Some(index) = index.filter(|_| query.iter().any(|x| *x != 0.0)) else {
            return Ok(Vec::new());
        };
        let keep = |number: Row| numbered(number).is_some_and(keep);
        let hits = index.search(query, wanted, wanted.max(EF_MIN), Filter::Where(&keep));
        let hits =
            hits.map_err(|error| SourceError { source_name: name, reason: error.to_string() })?;
        let row = |hit: Hit| Some((numbered(hit.row)?, hit.score.clamp(0.0, 1.0)));
        Ok(hits.into_iter().filter_map(row).collect())
    }

    /// The weighted sum of the vectors of some rows.
    fn pooled(self, shelf: &ShelfView<'_>, rows: &[(Row, f32)]) -> Vec<f32> {
        let mut sum: Vec<f32> = Vec::new();
        for (row, weight) in rows {
            let Some(vector) = self.speaks(shelf, *row) else { continue };
            sum.resize(vector.len(), 0.0);
            sum.iter_mut().zip(vector).for_each(|(s, x)| *s += weight * x);
        }
        sum
    }
}

/// Similarity to a pool of items: the history or the session.
pub(super) struct Pooled<'a> {
    name: &'static str,
    signal: Signal,
    shelf: &'a ShelfView<'a>,
    rows: Vec<(Row, f32)>,
    space: Space,
}

impl<'a> Pooled<'a> {
    pub(super) const PROFILE: &'static str = "profile";
    pub(super) const SESSION: &'static str = "session";
    /// The same, of items that the model does not know.
    pub(super) const PROFILE_NEW: &'static str = "profile_new";
    /// The same, of items that the model does not know.
    pub(super) const SESSION_NEW: &'static str = "session_new";

    /// Explicit opinions and behaviour together.
    pub(super) fn profile(shelf: &'a ShelfView<'a>, history: &History, now: UnixMillis) -> Self {
        let rows = faded(history.explicit.iter().chain(&history.behaviour), shelf, now);
        Self { name: Self::PROFILE, signal: Signal::Beh, shelf, rows, space: main_space(shelf) }
    }

    /// Explicit opinions alone: nothing inferred.
    pub(super) fn explicit(shelf: &'a ShelfView<'a>, history: &History, now: UnixMillis) -> Self {
        let rows = faded(history.explicit.iter(), shelf, now);
        Self { name: Self::PROFILE, signal: Signal::Exp, shelf, rows, space: main_space(shelf) }
    }

    /// This session's items, the latest counting most.
    pub(super) fn session(shelf: &'a ShelfView<'a>, session: &[Row]) -> Self {
        let latest_first = session.iter().rev().zip(1_u16..);
        let rows = latest_first.map(|(row, place)| (*row, 1.0 / f32::from(place))).collect();
        Self { name: Self::SESSION, signal: Signal::Ses, shelf, rows, space: main_space(shelf) }
    }

    /// The same pool, for items that the model does not know; none while no model is served.
    pub(super) fn of_new(&self) -> Option<Self> {
        let name = match self.name {
            Self::SESSION => Self::SESSION_NEW,
            _ => Self::PROFILE_NEW,
        };
        let (signal, shelf, rows) = (self.signal, self.shelf, self.rows.clone());
        (self.space == Space::Learned).then_some(Self {
            name,
            signal,
            shelf,
            rows,
            space: Space::Own,
        })
    }

    /// The same pool, for what others here took along with it; none while no model is served.
    pub(super) fn together(&self) -> Option<Together<'a>> {
        let (shelf, signal, rows) = (self.shelf, self.signal, self.rows.clone());
        (self.space == Space::Learned).then_some(Together { shelf, signal, rows })
    }

    /// The row of the pool that speaks most for `candidate`.
    fn reason(&self, candidate: Row) -> Option<Row> {
        let target = self.space.found_by(self.shelf, candidate)?;
        let speaks = |(row, weight): &(Row, f32)| {
            let vector = self.space.speaks(self.shelf, *row)?;
            let cosine: f32 = vector.iter().zip(target).map(|(a, b)| a * b).sum();
            Some((*row, weight * cosine)).filter(|(_, share)| *share > 0.0)
        };
        let shares = self.rows.iter().take(REASONS_MAX).filter_map(speaks);
        shares.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
    }
}

impl Source for Pooled<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> SignalSet {
        set(&[self.signal])
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        let query = self.space.pooled(self.shelf, &self.rows);
        let rows = self.space.nearest(self.name, self.shelf, &query, wanted, keep)?;
        let part = |(row, score)| {
            let part = Part {
                source: self.name,
                signal: Some(self.signal),
                score,
                from: self.reason(row),
            };
            (row, part)
        };
        Ok(rows.into_iter().map(part).collect())
    }
}

/// The space that likeness is told by first.
fn main_space(shelf: &ShelfView<'_>) -> Space {
    if shelf.model().is_some() { Space::Learned } else { Space::Own }
}

/// Similarity to the item in view.
pub(super) struct InView<'a> {
    shelf: &'a ShelfView<'a>,
    row: Option<Row>,
    space: Space,
}

impl<'a> InView<'a> {
    pub(super) const NAME: &'static str = "in_view";
    /// The same, of items that the model does not know.
    pub(super) const NEW: &'static str = "in_view_new";

    pub(super) fn new(shelf: &'a ShelfView<'a>, row: Option<Row>) -> Self {
        Self { shelf, row, space: main_space(shelf) }
    }

    /// The same item, for items that the model does not know; none while no model is served.
    pub(super) fn of_new(&self) -> Option<Self> {
        let (shelf, row) = (self.shelf, self.row);
        (self.space == Space::Learned).then_some(Self { shelf, row, space: Space::Own })
    }
}

impl Source for InView<'_> {
    fn name(&self) -> &'static str {
        match (self.space, self.shelf.model().is_some()) {
            (Space::Own, true) => Self::NEW,
            _ => Self::NAME,
        }
    }

    fn needs(&self) -> SignalSet {
        set(&[Signal::Ctx])
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        let found = self.row.and_then(|row| Some((row, self.space.speaks(self.shelf, row)?)));
        let Some((row, vector)) = found else { return Ok(Vec::new()) };
        let rows = self.space.nearest(self.name(), self.shelf, vector, wanted, keep)?;
        let part =
            |score| Part { source: self.name(), signal: Some(Signal::Ctx), score, from: Some(row) };
        Ok(rows.into_iter().map(|(found, score)| (found, part(score))).collect())
    }
}

/// Scores falling with the place in an order: 1, 1/2, 1/3 ...
fn by_place(
    name: &'static str,
    signal: Option<Signal>,
    rows: impl Iterator<Item = Row>,
    wanted: usize,
) -> Vec<(Row, Part)> {
    let scored = rows.take(wanted).zip(1_u16..);
    let part =
        |place: u16| Part { source: name, signal, score: 1.0 / f32::from(place), from: None };
    scored.map(|(row, place)| (row, part(place))).collect()
}

/// The rows of popular items that pass, most popular first.
fn popular_rows<'a>(
    shelf: &'a ShelfView<'a>,
    ranked: &'a [(ItemId, f64)],
) -> impl Iterator<Item = Row> + 'a {
    ranked.iter().filter_map(|(item, _)| shelf.row(item))
}

/// Released popularity of the domain: counts over at least `k_min` people.
pub(super) struct Popular<'a> {
    pub(super) shelf: &'a ShelfView<'a>,
    pub(super) ranked: &'a [(ItemId, f64)],
}

impl Popular<'_> {
    pub(super) const NAME: &'static str = "popular";
}

impl Source for Popular<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        set(&[Signal::Agg])
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        let top = self.ranked.first().map_or(1.0, |(_, weight)| weight.max(f64::MIN_POSITIVE));
        let rows = self.ranked.iter().filter_map(|(item, weight)| {
            let row = self.shelf.row(item).filter(|row| keep(*row))?;
            let score = relative(*weight / top);
            Some((row, Part { source: Self::NAME, signal: Some(Signal::Agg), score, from: None }))
        });
        Ok(rows.take(wanted).collect())
    }
}

#[allow(clippy::cast_possible_truncation)] // 0 to 1
fn relative(share: f64) -> f32 {
    share.clamp(0.0, 1.0) as f32
}

/// The category in view: its popular items, then its others.
pub(super) struct Category<'a> {
    pub(super) shelf: &'a ShelfView<'a>,
    pub(super) category: &'a str,
    pub(super) popular: &'a [(ItemId, f64)],
}

impl Category<'_> {
    pub(super) const NAME: &'static str = "category";
}

impl Source for Category<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        set(&[Signal::Ctx, Signal::Agg])
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        let inside = |row: &Row| {
            let facts = self.shelf.facts(*row);
            facts.is_some_and(|f| f.category.iter().any(|c| c == self.category)) && keep(*row)
        };
        let mut rows: Vec<Row> =
            popular_rows(self.shelf, self.popular).filter(inside).take(wanted).collect();
        if rows.len() < wanted {
            let known: BTreeSet<Row> = rows.iter().copied().collect();
            let others = self.shelf.in_category(self.category).filter(|row| !known.contains(row));
            rows.extend(others.filter(|row| keep(*row)).take(wanted - known.len()));
        }
        Ok(by_place(Self::NAME, Some(Signal::Ctx), rows.into_iter(), wanted))
    }
}

/// Declared interests: popular items of the categories, creators and languages that a person chose.
pub(super) struct Interests<'a> {
    pub(super) shelf: &'a ShelfView<'a>,
    pub(super) interests: &'a Declared,
    pub(super) popular: &'a [(ItemId, f64)],
}

impl Interests<'_> {
    pub(super) const NAME: &'static str = "interests";

    fn matches(&self, row: Row) -> bool {
        let Some(item) = self.shelf.facts(row) else { return false };
        let one = |list: &[String], value: &Option<String>| {
            value.as_ref().is_some_and(|value| list.contains(value))
        };
        item.category.iter().any(|c| self.interests.categories.contains(c))
            || one(&self.interests.creators, &item.creator)
            || one(&self.interests.languages, &item.language)
    }
}

impl Source for Interests<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        set(&[Signal::Exp, Signal::Agg])
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        if self.interests.is_empty() {
            return Ok(Vec::new());
        }
        let inside = |row: &Row| self.matches(*row) && keep(*row);
        let mut rows: Vec<Row> =
            popular_rows(self.shelf, self.popular).filter(inside).take(wanted).collect();
        if rows.len() < wanted {
            let mut known: BTreeSet<Row> = rows.iter().copied().collect();
            let chosen = &self.interests.categories;
            let others = chosen.iter().flat_map(|category| self.shelf.in_category(category));
            // An item of two chosen categories comes by twice.
            let fresh = others.filter(|row| keep(*row) && known.insert(*row));
            rows.extend(fresh.take(wanted - rows.len()));
        }
        Ok(by_place(Self::NAME, Some(Signal::Exp), rows.into_iter(), wanted))
    }
}

/// Chosen by hand, then the newest: needs nothing of anybody.
pub(super) struct Editorial<'a> {
    pub(super) shelf: &'a ShelfView<'a>,
}

impl Editorial<'_> {
    pub(super) const NAME: &'static str = "editorial";
}

impl Source for Editorial<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        SignalSet::default()
    }

    fn candidates(&self, wanted: usize, keep: &dyn Fn(Row) -> bool) -> Found {
        let ranked =
            |row: &Row| self.shelf.facts(*row).is_some_and(|facts| facts.editorial_rank.is_some());
        let newest = self.shelf.newest().filter(|row| !ranked(row));
        let rows = self.shelf.editorial().chain(newest).filter(|row| keep(*row));
        Ok(by_place(Self::NAME, None, rows, wanted))
    }
}
