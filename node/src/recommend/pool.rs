//! Items that speak for others: what a person took, this session's items, the item in view.

use std::sync::Arc;

use bailiwick_ann::{AnnError, Bitmap, Filter, LiveIndex};
use bailiwick_core::ids::UnixMillis;
use bailiwick_core::learning::Likeness;
use bailiwick_core::policy::{Signal, SignalSet};
use bailiwick_core::ranking::{Part, Row, Shelf as _, Source, SourceError};

use super::history::{History, faded};
use crate::catalog::ShelfView;
use crate::learning::model::ServedModel;

/// Items that a source looks for in an index, as a rule: those that indexes are tuned to find.
const SOUGHT: usize = 100;
/// Of these, the share that is to be found.
const RECALL: f64 = 0.97;
/// Where the queries come from that an index is tuned on: the same ones on every node.
const TUNING_SEED: u64 = 1;
/// Items that may explain a candidate.
const REASONS_MAX: usize = 50;

/// Finds out how far searches of an index must go for what sources ask of it, and has the index remember. Computes for
/// a while: on threads that may.
///
/// # Errors
/// None that the index's own vectors could cause.
pub fn tune(index: &LiveIndex) -> Result<(), AnnError> {
    if let Some(tuned) = index.tune_between(SOUGHT, RECALL, TUNING_SEED)? {
        tracing::debug!(ef = tuned.ef, recall = tuned.recall, "tuned an index");
    }
    Ok(())
}

/// Rows with their weights, the weightiest reason first where that is known.
#[derive(Clone)]
pub(super) struct Pool {
    /// The source's name, and its name for items that the model does not know.
    names: [&'static str; 2],
    pub(super) signal: Signal,
    pub(super) rows: Vec<(Row, f32)>,
}

impl Pool {
    pub(super) const PROFILE: [&'static str; 2] = ["profile", "profile_new"];
    pub(super) const SESSION: [&'static str; 2] = ["session", "session_new"];
    pub(super) const IN_VIEW: [&'static str; 2] = ["in_view", "in_view_new"];

    /// Explicit opinions and behaviour together.
    pub(super) fn profile(shelf: &ShelfView<'_>, history: &History, now: UnixMillis) -> Self {
        let rows = faded(history.explicit.iter().chain(&history.behaviour), shelf, now);
        Self { names: Self::PROFILE, signal: Signal::Beh, rows }
    }

    /// Explicit opinions alone: nothing inferred.
    pub(super) fn explicit(shelf: &ShelfView<'_>, history: &History, now: UnixMillis) -> Self {
        let rows = faded(history.explicit.iter(), shelf, now);
        Self { names: Self::PROFILE, signal: Signal::Exp, rows }
    }

    /// This session's items, the latest counting most.
    pub(super) fn session(session: &[Row]) -> Self {
        let latest_first = session.iter().rev().zip(1_u16..);
        let rows = latest_first.map(|(row, place)| (*row, 1.0 / f32::from(place))).collect();
        Self { names: Self::SESSION, signal: Signal::Ses, rows }
    }

    /// The item in view.
    pub(super) fn in_view(row: Option<Row>) -> Self {
        let rows = row.into_iter().map(|row| (row, 1.0)).collect();
        Self { names: Self::IN_VIEW, signal: Signal::Ctx, rows }
    }

    /// The sources that it gives: by the model's vectors and, for what the model does not know, by the items'
    /// own; by the items' own alone while no model is served. Where the request leaves only few rows, `among` says
    /// which, so that an index goes through these instead of asking all that it has.
    pub(super) fn sources<'a>(
        &self,
        shelf: &'a ShelfView<'a>,
        among: Option<&Arc<[Row]>>,
    ) -> Vec<Near<'a>> {
        let [name, new] = self.names;
        let among = || among.map(Arc::clone);
        let near = |name, space| Near { name, pool: self.clone(), shelf, space, among: among() };
        let own = |name| near(name, Space::Own(self.own_direction(shelf)));
        match shelf.model() {
            Some(model) => vec![near(name, self.learned(shelf, model)), own(new)],
            None => vec![own(name)],
        }
    }

    fn learned<'a>(&self, shelf: &ShelfView<'_>, model: &'a ServedModel) -> Space<'a> {
        Space::Learned(Likeness::of(model.vectors(), self.numbers(shelf)).map(|of| (of, model)))
    }

    /// What the model calls the rows that it knows.
    pub(super) fn numbers(
        &self,
        shelf: &ShelfView<'_>,
    ) -> impl Iterator<Item = (u32, f32)> + Clone {
        let number = |(row, weight): &(Row, f32)| Some((shelf.number(*row)?, *weight));
        self.rows.iter().filter_map(number)
    }

    /// The unit vector of the weighted sum of the items' own vectors; empty where there is none.
    fn own_direction(&self, shelf: &ShelfView<'_>) -> Vec<f32> {
        let mut sum: Vec<f32> = Vec::new();
        for (row, weight) in &self.rows {
            let Some(vector) = shelf.vector(*row) else { continue };
            sum.resize(vector.len(), 0.0);
            sum.iter_mut().zip(vector).for_each(|(s, x)| *s += weight * x);
        }
        let length = dot(&sum, &sum).sqrt();
        match length > 0.0 {
            true => sum.into_iter().map(|x| x / length).collect(),
            false => Vec::new(),
        }
    }
}

/// The vectors that likeness is told by.
enum Space<'a> {
    /// Those that items were put with, and the pool's direction among them.
    Own(Vec<f32>),
    /// The model's: what was taken speaks by one vector, what is recommended is found by another. Nothing
    /// where the model knows none of the pool.
    Learned(Option<(Likeness<'a>, &'a ServedModel)>),
}

/// Likeness to a pool.
pub(super) struct Near<'a> {
    name: &'static str,
    pool: Pool,
    shelf: &'a ShelfView<'a>,
    space: Space<'a>,
    /// No others than some of these are wanted, if they are few.
    among: Option<Arc<[Row]>>,
}

impl Near<'_> {
    fn part(&self, score: f32) -> Part {
        Part { source: self.name, signal: Some(self.pool.signal), score, from: None }
    }

    /// How near a row is, 0 to 1. While a model is served, an item's own vector serves only where the model
    /// knows nothing of the item.
    fn score(&self, row: Row) -> Option<f32> {
        match &self.space {
            Space::Learned(known) => Some(known.as_ref()?.0.score(self.shelf.number(row)?)),
            Space::Own(direction) if self.shelf.number(row).is_none() => {
                let vector = self.shelf.vector(row).filter(|_| !direction.is_empty())?;
                Some(dot(vector, direction).clamp(0.0, 1.0))
            }
            Space::Own(_) => None,
        }
    }

    fn nearest(
        &self,
        index: &LiveIndex,
        direction: &[f32],
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<Row>, SourceError> {
        let kept = |number: u32| self.row_of(number).is_some_and(keep);
        let among = self.among.as_ref().map(|rows| self.numbers_of(rows, keep));
        let filter = among.as_ref().map_or(Filter::Where(&kept), Filter::Rows);
        let hits = index.search(direction, wanted, wanted.max(index.ef()), filter);
        let reason = |error: bailiwick_ann::AnnError| error.to_string();
        let hits = hits.map_err(|e| SourceError { source_name: self.name, reason: reason(e) })?;
        Ok(hits.into_iter().filter_map(|hit| self.row_of(hit.row)).collect())
    }

    /// What the space's index calls those of the rows that are kept.
    fn numbers_of(&self, rows: &[Row], keep: &dyn Fn(Row) -> bool) -> Bitmap {
        rows.iter().filter(|row| keep(**row)).filter_map(|row| self.number_of(*row)).collect()
    }

    fn number_of(&self, row: Row) -> Option<u32> {
        match &self.space {
            Space::Own(_) => Some(row).filter(|row| self.shelf.number(*row).is_none()),
            Space::Learned(_) => self.shelf.number(row),
        }
    }

    fn row_of(&self, number: u32) -> Option<Row> {
        match &self.space {
            Space::Own(_) => self.number_of(number),
            Space::Learned(_) => self.shelf.numbered(number),
        }
    }
}

impl Source for Near<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> SignalSet {
        [self.pool.signal].into_iter().collect()
    }

    fn candidates(
        &self,
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError> {
        let shelf = self.shelf;
        let rows = match &self.space {
            Space::Learned(Some((likeness, model))) => {
                self.nearest(model.index(), likeness.direction(), wanted, keep)?
            }
            Space::Own(direction) => {
                let index = shelf.index().filter(|_| !direction.is_empty());
                let near = |index| self.nearest(index, direction, wanted, keep);
                index.map_or_else(|| Ok(Vec::new()), near)?
            }
            Space::Learned(None) => Vec::new(),
        };
        Ok(rows.into_iter().filter_map(|row| Some((row, self.part(self.score(row)?)))).collect())
    }

    fn opinion(&self, row: Row) -> Option<Part> {
        self.score(row).filter(|score| *score > 0.0).map(|score| self.part(score))
    }

    /// The row of the pool that speaks most for `row`.
    fn reason(&self, row: Row) -> Option<Row> {
        let reasons = self.pool.rows.iter().take(REASONS_MAX);
        match &self.space {
            Space::Learned(known) => {
                let number = |(row, weight): &(Row, f32)| Some((self.shelf.number(*row)?, *weight));
                let target = self.shelf.number(row)?;
                let by = known.as_ref()?.0.carried_by(target, reasons.filter_map(number))?;
                self.shelf.numbered(by)
            }
            Space::Own(_) => {
                let target = self.shelf.vector(row)?;
                let share = |(by, weight): &(Row, f32)| {
                    let share = weight * dot(self.shelf.vector(*by)?, target);
                    Some((*by, share)).filter(|(_, share)| *share > 0.0)
                };
                let shares = reasons.filter_map(share);
                shares.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(by, _)| by)
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
