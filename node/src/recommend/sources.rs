//! The sources that look at nothing a person took: popularity, categories, declared interests, the editors.

use std::collections::BTreeSet;

use bailiwick_core::ids::ItemId;
use bailiwick_core::policy::{Signal, SignalSet};
use bailiwick_core::ranking::{Part, Row, Shelf, Source, SourceError};

use super::history::Declared;
use crate::catalog::ShelfView;

type Found = Result<Vec<(Row, Part)>, SourceError>;

fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().copied().collect()
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
