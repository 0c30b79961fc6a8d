//! Calibration (Steck 2018): a slate has the mix of categories that a person's history has.

use std::collections::BTreeMap;

use super::{Row, Shelf};

/// How much of the history's mix is mixed into the slate's, so that a category it lacks costs no infinity.
const SMOOTHING: f64 = 0.01;

/// Shares of categories, in the order of their names. They sum to one, unless there is no category at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mix(Vec<(String, f64)>);

/// What an item gives to a category of a mix, by the category's place in it.
pub(super) type Given = (usize, f64);

impl Mix {
    /// The mix of weighted rows. A row counts an equal part for each of its categories; one without a category, or
    /// with a weight that is not above 0, counts nothing.
    #[must_use]
    pub fn of(shelf: &dyn Shelf, rows: impl IntoIterator<Item = (Row, f32)>) -> Self {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (row, weight) in rows.into_iter().filter(|(_, weight)| *weight > 0.0) {
            let categories = categories(shelf, row);
            for category in categories {
                *sums.entry(category).or_default() += f64::from(weight) * part_of(categories);
            }
        }
        let total: f64 = sums.values().sum();
        Self(sums.into_iter().map(|(name, sum)| (name.to_owned(), sum / total)).collect())
    }

    /// Whether there is no category.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a row gives to the categories of this mix.
    pub(super) fn given(&self, shelf: &dyn Shelf, row: Row) -> Vec<Given> {
        let categories = categories(shelf, row);
        let place = |name: &String| self.0.binary_search_by(|(known, _)| known.cmp(name)).ok();
        categories.iter().filter_map(place).map(|at| (at, part_of(categories))).collect()
    }
}

fn categories(shelf: &dyn Shelf, row: Row) -> &[String] {
    shelf.facts(row).map_or(&[], |item| &item.category)
}

/// What each of some categories counts.
fn part_of(categories: &[String]) -> f64 {
    1.0 / (categories.len().max(1) as f64)
}

/// How far a slate's mix is from a history's, in nats: `C_KL(p, q) = sum_g p(g) ln(p(g) / q~(g))`,
/// `q~ = (1 - a) q + a p`, a = 0.01, with `q` weighted by the places' `v(r) = 1 / log2(1 + r)`. 0 where the
/// history tells no category.
#[must_use]
pub fn divergence(shelf: &dyn Shelf, taste: &Mix, rows: &[Row]) -> f64 {
    let mut filling = Filling::of(taste);
    rows.iter().for_each(|row| filling.take(&taste.given(shelf, *row)));
    filling.divergence()
}

/// The weight of a place, from 1: what attention it gets, as metrics of exposure count it.
pub(super) fn attention(place: usize) -> f64 {
    1.0 / (1.0 + place as f64).log2()
}

/// A category while a slate is filled.
#[derive(Debug, Clone, Copy)]
struct Category {
    /// Its share of the history.
    share: f64,
    /// The weights of the places that it has.
    filled: f64,
}

/// A slate that is filled from its first place on, as calibration sees it.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    categories: Vec<Category>,
    places: usize,
    weight: f64,
}

impl Filling {
    pub(super) fn of(taste: &Mix) -> Self {
        let category = |(_, share): &(String, f64)| Category { share: *share, filled: 0.0 };
        Self { categories: taste.0.iter().map(category).collect(), places: 0, weight: 0.0 }
    }

    /// Fills the next place.
    pub(super) fn take(&mut self, given: &[Given]) {
        self.places += 1;
        let weight = attention(self.places);
        self.weight += weight;
        for (at, part) in given {
            if let Some(category) = self.categories.get_mut(*at) {
                category.filled += part * weight;
            }
        }
    }

    pub(super) fn divergence(&self) -> f64 {
        self.categories.iter().map(|category| category.term(self.weight)).sum()
    }

    /// How much nearer to the history an item brings the slate than one of no category would, over the next place's
    /// part of the weight: so that it compares with an item's own score at every place. Only the item's own
    /// categories are looked at.
    pub(super) fn gain(&self, given: &[Given]) -> f64 {
        let weight = attention(self.places + 1);
        let after = self.weight + weight;
        let known = given.iter().filter_map(|(at, part)| Some((self.categories.get(*at)?, part)));
        let gains = known.map(|(category, part)| {
            let with = Category { filled: category.filled + part * weight, ..*category };
            category.term(after) - with.term(after)
        });
        gains.sum::<f64>() * after / weight
    }
}

impl Category {
    /// Its part of the divergence, in a slate of so much weight.
    fn term(self, weight: f64) -> f64 {
        let there = if weight > 0.0 { self.filled / weight } else { 0.0 };
        self.share * (self.share / ((1.0 - SMOOTHING) * there + SMOOTHING * self.share)).ln()
    }
}
