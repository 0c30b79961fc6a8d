//! Content: items that neither the model nor a vector of their own tells of, by what they share with a pool.
//!
//! `score = 0.4 creator + 0.3 category + 0.2 words + 0.1 language`, each 0 to 1: how much the pool holds of the
//! creator and the language, against what it holds most of; the mean of that over the item's categories; the part of
//! the title's words that the pool's titles have. A language alone is nothing in common. The weights are chosen, not
//! learned: nobody has taken such an item yet.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::policy::SignalSet;
use bailiwick_core::ranking::{ItemFacts, Part, Row, Shelf as _, Source, SourceError};

use super::pool::Pool;
use crate::catalog::ShelfView;

/// The newest items that are looked through for such as are not known yet.
const NEWEST: usize = 2000;
/// Items of a pool that are read, the newest first.
const POOL_MAX: usize = 100;
/// Letters of the shortest title word that says something.
const WORD_MIN: usize = 4;

const CREATOR: f32 = 0.4;
const CATEGORY: f32 = 0.3;
const WORDS: f32 = 0.2;
const LANGUAGE: f32 = 0.1;

/// What is akin to a pool by what is written of it.
pub(super) struct Content<'a> {
    name: &'static str,
    shelf: &'a ShelfView<'a>,
    pool: Pool,
    /// Read once an item is looked at that is not known yet.
    held: OnceCell<Held>,
}

impl<'a> Content<'a> {
    pub(super) const PROFILE: &'static str = "content";
    pub(super) const SESSION: &'static str = "content_session";
    pub(super) const IN_VIEW: &'static str = "content_in_view";

    pub(super) fn of(name: &'static str, shelf: &'a ShelfView<'a>, pool: &Pool) -> Self {
        Self { name, shelf, pool: pool.clone(), held: OnceCell::new() }
    }

    /// Whether nothing else tells of a row. Before there is a model nothing is new to it.
    fn is_new(&self, row: Row) -> bool {
        self.shelf.model().is_some()
            && self.shelf.number(row).is_none()
            && self.shelf.vector(row).is_none()
    }

    fn part(&self, row: Row) -> Option<Part> {
        let held = self.held.get_or_init(|| Held::of(self.shelf, &self.pool.rows));
        let score = held.score(self.shelf.facts(row)?);
        let part = Part { source: self.name, signal: Some(self.pool.signal), score, from: None };
        Some(part).filter(|part| part.score > 0.0)
    }
}

impl Source for Content<'_> {
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
        if self.pool.rows.is_empty() {
            return Ok(Vec::new());
        }
        let new = self.shelf.newest().take(NEWEST).filter(|row| self.is_new(*row) && keep(*row));
        let mut found: Vec<(Row, Part)> =
            new.filter_map(|row| Some((row, self.part(row)?))).collect();
        found.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then(a.0.cmp(&b.0)));
        found.truncate(wanted);
        Ok(found)
    }

    fn opinion(&self, row: Row) -> Option<Part> {
        let asked = self.is_new(row) && !self.pool.rows.is_empty();
        asked.then(|| self.part(row)).flatten()
    }

    /// The row of the pool that has most in common with `row`.
    fn reason(&self, row: Row) -> Option<Row> {
        let facts = self.shelf.facts(row)?;
        let share = |&(by, weight): &(Row, f32)| {
            (by, weight * Held::of(self.shelf, &[(by, weight)]).score(facts))
        };
        let pool = self.pool.rows.iter().take(POOL_MAX).filter(|(_, weight)| *weight > 0.0);
        let shares = pool.map(share).filter(|(_, share)| *share > 0.0);
        shares.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(by, _)| by)
    }
}

/// What a pool holds, by weight; what was disliked takes away.
#[derive(Debug, Default)]
struct Held {
    creators: Weights,
    categories: Weights,
    languages: Weights,
    words: Weights,
}

impl Held {
    fn of(shelf: &ShelfView<'_>, pool: &[(Row, f32)]) -> Self {
        let mut held = Self::default();
        for (row, weight) in pool.iter().take(POOL_MAX) {
            let Some(facts) = shelf.facts(*row) else { continue };
            held.creators.add(facts.creator.iter().cloned(), *weight);
            held.categories.add(facts.category.iter().cloned(), *weight);
            held.languages.add(facts.language.iter().cloned(), *weight);
            held.words.add(words(facts), *weight);
        }
        held
    }

    /// 0 to 1.
    fn score(&self, item: &ItemFacts) -> f32 {
        let creator = self.creators.mean(item.creator.iter());
        let category = self.categories.mean(item.category.iter());
        let words = self.words.known(&words(item));
        let common = CREATOR * creator + CATEGORY * category + WORDS * words;
        match common > 0.0 {
            true => common + LANGUAGE * self.languages.mean(item.language.iter()),
            false => 0.0,
        }
    }
}

/// The words of a title that say something, each once.
fn words(item: &ItemFacts) -> BTreeSet<String> {
    let words = item.title.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| word.chars().count() >= WORD_MIN);
    words.map(str::to_lowercase).collect()
}

#[derive(Debug, Default)]
struct Weights(BTreeMap<String, f32>);

impl Weights {
    fn add(&mut self, names: impl IntoIterator<Item = String>, weight: f32) {
        names.into_iter().for_each(|name| *self.0.entry(name).or_default() += weight);
    }

    /// The mean over some names of their weight against the largest, 0 to 1.
    fn mean<'n>(&self, names: impl ExactSizeIterator<Item = &'n String>) -> f32 {
        let most = self.0.values().copied().fold(f32::MIN_POSITIVE, f32::max);
        let count = names.len().max(1) as f32;
        let weight = |name| self.0.get(name).copied().unwrap_or_default().max(0.0) / most;
        names.map(weight).sum::<f32>() / count
    }

    /// The part of some names that have a weight above 0.
    fn known(&self, names: &BTreeSet<String>) -> f32 {
        let known = names.iter().filter(|name| self.0.get(*name).is_some_and(|w| *w > 0.0));
        known.count() as f32 / names.len().max(1) as f32
    }
}
