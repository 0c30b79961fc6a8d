//! How good vectors are on a split into train and test: Recall@20 and NDCG@20 over all items.

use std::path::Path;

use bailiwick_core::learning::{Draws, Interactions, ItemVectors, LearningError};

use super::source::Source;
use super::table::{Form, Table};
use super::{DataError, deal};

/// Length of the lists that are judged.
const AT: usize = 20;

/// One person's items of both sides, in the order of the files, and what is told of them.
#[derive(Debug, Clone, Default)]
struct Sides {
    train: Vec<u32>,
    test: Vec<u32>,
    country: Option<String>,
    age: Option<u8>,
    home: usize,
}

/// Files that may tell of people, beside the sides.
const TOLD: [&str; 2] = ["users.tsv.gz", "user_map.tsv.gz"];
/// Who is younger, or of unknown age where ages are told, is not learned from.
const ADULT: u8 = 18;

/// A public split: who took what, to learn from and to be judged by.
#[derive(Debug, Clone)]
pub struct Split {
    items: usize,
    people: Vec<Sides>,
    ages_told: bool,
    domains: usize,
}

/// Means over all people who have test items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Hits / test items.
    pub recall: f64,
    /// Binary gain, over the ideal for min(20, test items).
    pub ndcg: f64,
    /// People judged.
    pub people: usize,
}

impl Split {
    /// Reads `train.tsv.gz` and `test.tsv.gz` (columns `user` and `item`, numbered from 0) and, where there is one of
    /// them, `users.tsv.gz` or `user_map.tsv.gz` (column `user`, and any of `country` and `age`).
    ///
    /// # Errors
    /// [`DataError`], naming file, line and how to mend it.
    pub fn read(directory: &Path) -> Result<Self, DataError> {
        let mut split = Self { items: 0, people: Vec::new(), ages_told: false, domains: 1 };
        split.read_side(&directory.join("train.tsv.gz"), |sides| &mut sides.train)?;
        split.read_side(&directory.join("test.tsv.gz"), |sides| &mut sides.test)?;
        if let Some(file) = TOLD.iter().map(|name| directory.join(name)).find(|f| f.exists()) {
            split.read_told(&file)?;
        }
        Ok(split)
    }

    /// The same people, dealt over `domains`: in turn, or by country where countries are told (`deal`).
    #[must_use]
    pub fn dealt(mut self, domains: usize) -> Self {
        self.domains = domains.max(1);
        let countries: Vec<Option<&str>> =
            self.people.iter().map(|sides| sides.country.as_deref()).collect();
        let homes = deal::homes(&countries, self.domains);
        self.people.iter_mut().zip(homes).for_each(|(sides, home)| sides.home = home);
        self
    }

    /// Domains that the people are dealt over; 1 where they are not.
    #[must_use]
    pub fn domains(&self) -> usize {
        self.domains
    }

    /// The domain of a person, below [`Split::domains`].
    #[must_use]
    pub fn home(&self, person: usize) -> usize {
        self.people.get(person).map_or(0, |sides| sides.home)
    }

    /// The same people, each judged by this share of their train items, drawn by `seed` and held back from learning,
    /// instead of by the test side: for choices between settings, which must not look at what they are judged by.
    #[must_use]
    pub fn held_out(mut self, share: f64, seed: u64) -> Self {
        for (person, sides) in (0..).zip(&mut self.people) {
            let draws = Draws::new(seed).stream(person);
            let held = |item: &u32| draws.happens((*item).into(), share);
            let train = std::mem::take(&mut sides.train);
            (sides.test, sides.train) = train.into_iter().partition(held);
        }
        self
    }

    /// Reads slates that something else made for these people: columns `user` and `item`, the best item of a
    /// person first, at most `most` of each. By person; who is not in the file has an empty slate.
    ///
    /// # Errors
    /// [`DataError`], naming file, line and how to mend it.
    pub fn read_slates(&self, path: &Path, most: usize) -> Result<Vec<Vec<u32>>, DataError> {
        let mut slates = vec![Vec::new(); self.people.len()];
        let mut table = Table::open(Source::file(path)?, Form::Tabs)?;
        let (user, item) = (table.column("user")?, table.column("item")?);
        while let Some(row) = table.next()? {
            let mend = "number users and items as in train.tsv.gz";
            let person: usize = row.value(user, mend)?;
            let item = row.value(item, mend)?;
            let slate = slates.get_mut(person).ok_or_else(|| row.refuse(user, mend))?;
            if slate.len() < most && !slate.contains(&item) {
                slate.push(item);
            }
        }
        Ok(slates)
    }

    fn read_told(&mut self, path: &Path) -> Result<(), DataError> {
        let mut table = Table::open(Source::file(path)?, Form::Tabs)?;
        let user = table.column("user")?;
        let (country, age) = (table.optional("country"), table.optional("age"));
        self.ages_told = age.is_some();
        while let Some(row) = table.next()? {
            let person: usize = row.value(user, "number users as in train.tsv.gz")?;
            let Some(sides) = self.people.get_mut(person) else { continue };
            sides.country = country.and_then(|column| row.some(column)).map(str::to_owned);
            let age = age.filter(|column| row.some(*column).is_some());
            let years = |column| row.value(column, "give the age in years, or leave it empty");
            sides.age = age.map(years).transpose()?;
        }
        Ok(())
    }

    /// Whether a person may be learned from, and is judged: an adult, where ages are told.
    #[must_use]
    pub fn is_lawful(&self, person: usize) -> bool {
        !self.ages_told || self.age(person).is_some_and(|age| age >= ADULT)
    }

    /// A person's country; none where it is not told.
    #[must_use]
    pub fn country(&self, person: usize) -> Option<&str> {
        self.people.get(person)?.country.as_deref()
    }

    /// A person's age in years; none where it is not told.
    #[must_use]
    pub fn age(&self, person: usize) -> Option<u8> {
        self.people.get(person)?.age
    }

    /// Number of items on either side.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// The people, by number.
    pub fn people(&self) -> std::ops::Range<usize> {
        0..self.people.len()
    }

    /// What a person took, to learn from, in the order of the file.
    #[must_use]
    pub fn train(&self, person: usize) -> &[u32] {
        self.people.get(person).map_or(&[], |sides| &sides.train)
    }

    /// What a person took, to be judged by.
    #[must_use]
    pub fn test(&self, person: usize) -> &[u32] {
        self.people.get(person).map_or(&[], |sides| &sides.test)
    }

    fn read_side(
        &mut self,
        path: &Path,
        side: fn(&mut Sides) -> &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let mut table = Table::open(Source::file(path)?, Form::Tabs)?;
        let (user, item) = (table.column("user")?, table.column("item")?);
        while let Some(row) = table.next()? {
            let mend = "number users and items from 0, below 16 million";
            let person: usize = row.value(user, mend)?;
            let number: u32 = row.value(item, mend)?;
            if person >= 1 << 24 || number >= 1 << 24 {
                return Err(row.refuse(user, mend));
            }
            self.items = self.items.max(number as usize + 1);
            if self.people.len() <= person {
                self.people.resize_with(person + 1, Sides::default);
            }
            if let Some(sides) = self.people.get_mut(person) {
                side(sides).push(number);
            }
        }
        Ok(())
    }

    /// The train side of whom may be learned from, by domain.
    ///
    /// # Errors
    /// [`LearningError`] never for a split that was read.
    pub fn interactions(&self, most: usize) -> Result<Vec<Interactions>, LearningError> {
        let mut parts = vec![Interactions::new(self.items); self.domains];
        for ((at, sides), tag) in self.people.iter().enumerate().zip(0..) {
            let taken: &[u32] = if self.is_lawful(at) { &sides.train } else { &[] };
            if let Some(part) = parts.get_mut(sides.home) {
                // By the person's own number: draws are then the same in whichever domain they are.
                part.push_as(tag, taken, most)?;
            }
        }
        Ok(parts)
    }
}

/// Judges the lists that `dot(pooled, vector)` makes, every train item left out. Only every `step`-th
/// person with test items is judged, for a quick look; 1 judges all.
#[must_use]
pub fn evaluate(split: &Split, vectors: &ItemVectors, step: usize) -> Figures {
    let mut figures = Figures { recall: 0.0, ndcg: 0.0, people: 0 };
    let judged = split.people.iter().filter(|sides| !sides.test.is_empty());
    for sides in judged.step_by(step.max(1)) {
        figures.people += 1;
        let Some(pooled) = vectors.pool(sides.train.iter().map(|&item| (item, 1.0))) else {
            continue;
        };
        let list = best(vectors.scores(&pooled), &sides.train);
        figures.recall += recall(&list, &sides.test);
        figures.ndcg += ndcg(&list, &sides.test);
    }
    let people = figures.people.max(1) as f64;
    Figures { recall: figures.recall / people, ndcg: figures.ndcg / people, ..figures }
}

fn best(mut scores: Vec<f32>, without: &[u32]) -> Vec<u32> {
    for &item in without {
        if let Some(score) = scores.get_mut(item as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
    let mut order: Vec<(f32, u32)> = scores.into_iter().zip(0..).collect();
    let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if order.len() > AT {
        order.select_nth_unstable_by(AT, better);
        order.truncate(AT);
    }
    order.sort_by(better);
    order.iter().map(|(_, item)| *item).collect()
}

pub(crate) fn recall(list: &[u32], test: &[u32]) -> f64 {
    list.iter().filter(|item| test.contains(item)).count() as f64 / test.len() as f64
}

pub(crate) fn ndcg(list: &[u32], test: &[u32]) -> f64 {
    let gain = |at: usize| 1.0 / ((at + 2) as f64).log2();
    let hits = list.iter().enumerate().filter(|(_, item)| test.contains(item));
    let ideal: f64 = (0..test.len().min(AT)).map(gain).sum();
    hits.map(|(at, _)| gain(at)).sum::<f64>() / ideal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_their_definitions() {
        let list: Vec<u32> = (0..20).collect();
        assert_eq!(recall(&list, &[0, 99]), 0.5);
        assert_eq!(ndcg(&list, &[0, 1]), 1.0);
        let ideal = 1.0 + 1.0 / 3.0_f64.log2();
        assert!((ndcg(&list, &[2, 99]) - 0.5 / ideal).abs() < 1e-12);
        assert_eq!(best(vec![0.1, 0.5, 0.5, 0.9], &[3]), [1, 2, 0, 3]);
    }
}
