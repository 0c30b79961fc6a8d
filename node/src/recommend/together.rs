//! What people of this domain took along with what a person liked.

use std::cell::OnceCell;

use bailiwick_core::learning::Along;
use bailiwick_core::policy::SignalSet;
use bailiwick_core::ranking::{Part, Row, Source, SourceError};

use super::pool::Pool;
use crate::catalog::ShelfView;

/// Lists of home over a pool of rows.
pub(super) struct Together<'a> {
    shelf: &'a ShelfView<'a>,
    pool: Pool,
    /// Added up once it is known what may be shown.
    along: OnceCell<Along>,
}

impl<'a> Together<'a> {
    pub(super) const NAME: &'static str = "taken_together";

    /// By the lists of this domain, if there are any.
    pub(super) fn of(shelf: &'a ShelfView<'a>, pool: &Pool) -> Self {
        Self { shelf, pool: pool.clone(), along: OnceCell::new() }
    }

    fn along(&self, keep: &dyn Fn(Row) -> bool) -> Option<&Along> {
        let lists = self.shelf.lists()?;
        let shown = |number| self.shelf.numbered(number).is_some_and(keep);
        Some(self.along.get_or_init(|| Along::of(lists, self.pool.numbers(self.shelf), shown)))
    }

    fn part(&self, score: f32) -> Part {
        Part { source: Self::NAME, signal: Some(self.pool.signal), score, from: None }
    }
}

impl Source for Together<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        [self.pool.signal].into_iter().collect()
    }

    fn candidates(
        &self,
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError> {
        let best = self.along(keep).map(|along| along.best(wanted)).unwrap_or_default();
        let part = |(number, score)| Some((self.shelf.numbered(number)?, self.part(score)));
        Ok(best.into_iter().filter_map(part).collect())
    }

    fn opinion(&self, row: Row) -> Option<Part> {
        let score = self.along.get()?.score(self.shelf.number(row)?);
        (score > 0.0).then(|| self.part(score))
    }

    fn reason(&self, row: Row) -> Option<Row> {
        let by = self.along.get()?.carried_by(self.shelf.number(row)?)?;
        self.shelf.numbered(by)
    }
}
