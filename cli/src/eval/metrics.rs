//! What slates are judged by: the formulas of the policy's page of fairness and public-value metrics.

use std::collections::BTreeSet;

use crate::data::{Split, ndcg, recall};

/// The split as it judges slates.
pub(super) struct Judge<'a> {
    split: &'a Split,
    people: Vec<usize>,
    /// Who took each item in training, ascending.
    takers: Vec<Vec<u32>>,
}

/// One person's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) recall: f64,
    pub(super) ndcg: f64,
    /// Intra-list diversity.
    pub(super) diversity: f64,
    /// Mean -log2 of the part of people who took an item.
    pub(super) novelty: f64,
    /// How much more popular the slate is than the history.
    pub(super) popularity_lift: f64,
}

/// Everybody's figures, and what is one for all.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    /// The people, and the figures of each.
    pub(super) people: Vec<(usize, Figures)>,
    /// Part of the catalogue that is in some slate.
    pub(super) coverage: f64,
    /// Gini of the items' places in slates: 0 equal, 1 all on one.
    pub(super) gini: f64,
}

impl<'a> Judge<'a> {
    /// Judges by every `step`-th person who has test items.
    pub(super) fn new(split: &'a Split, step: usize) -> Self {
        let lawful = || split.people().filter(|&person| split.is_lawful(person));
        let judged = lawful().filter(|&person| !split.test(person).is_empty());
        let people = judged.step_by(step.max(1)).collect();
        let mut takers = vec![Vec::new(); split.items()];
        for person in lawful() {
            for &item in &split.train(person).iter().collect::<BTreeSet<_>>() {
                if let Some(takers) = takers.get_mut(*item as usize) {
                    takers.push(person as u32);
                }
            }
        }
        Self { split, people, takers }
    }

    pub(super) fn people(&self) -> &[usize] {
        &self.people
    }

    /// The figures of a slate for each of [`Judge::people`].
    pub(super) fn judge(&self, slates: &[Vec<u32>]) -> Judged {
        let figures = |(&person, slate): (&usize, &Vec<u32>)| (person, self.figures(person, slate));
        let mut exposure = vec![0_u32; self.split.items()];
        for &item in slates.iter().flatten() {
            if let Some(count) = exposure.get_mut(item as usize) {
                *count += 1;
            }
        }
        let shown = exposure.iter().filter(|&&count| count > 0).count();
        Judged {
            people: self.people.iter().zip(slates).map(figures).collect(),
            coverage: shown as f64 / self.split.items().max(1) as f64,
            gini: gini(exposure),
        }
    }

    fn figures(&self, person: usize, slate: &[u32]) -> Figures {
        let test = self.split.test(person);
        let history = self.mean_popularity(self.split.train(person));
        let lift = (self.mean_popularity(slate) - history) / history;
        Figures {
            recall: recall(slate, test),
            ndcg: ndcg(slate, test),
            diversity: self.diversity(slate),
            novelty: self.novelty(slate),
            // Without a history, or without a slate, there is nothing to compare.
            popularity_lift: if history > 0.0 && !slate.is_empty() { lift } else { 0.0 },
        }
    }

    fn takers(&self, item: u32) -> &[u32] {
        self.takers.get(item as usize).map_or(&[], Vec::as_slice)
    }

    /// `2/(n(n-1)) * sum_{i<j} d(i,j)`, where `d` is 1 less the cosine of two items' sets of takers: no
    /// model is asked, so that models can be compared. 1 below two items.
    fn diversity(&self, slate: &[u32]) -> f64 {
        let pairs = slate
            .iter()
            .enumerate()
            .flat_map(|(at, a)| slate.iter().skip(at + 1).map(move |b| (*a, *b)));
        let near: f64 = pairs.map(|(a, b)| cosine(self.takers(a), self.takers(b))).sum();
        let count = slate.len() as f64 * (slate.len() as f64 - 1.0) / 2.0;
        if count > 0.0 { 1.0 - near / count } else { 1.0 }
    }

    fn novelty(&self, slate: &[u32]) -> f64 {
        let people = self.split.people().len().max(1) as f64;
        // An item that nobody took counts as taken by one: nothing is infinitely novel.
        let surprise = |&item: &u32| -((self.takers(item).len().max(1) as f64) / people).log2();
        mean(slate.iter().map(surprise))
    }

    fn mean_popularity(&self, items: &[u32]) -> f64 {
        mean(items.iter().map(|&item| self.takers(item).len() as f64))
    }
}

/// 0 where there is nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

/// Of two ascending sets.
fn cosine(a: &[u32], b: &[u32]) -> f64 {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let both = few.iter().filter(|person| many.binary_search(person).is_ok()).count();
    if both == 0 { 0.0 } else { both as f64 / (a.len() as f64 * b.len() as f64).sqrt() }
}

/// `sum_k (2k - m - 1) x_k / (m sum_k x_k)`, x ascending over all m items; 0 where nothing is shown.
fn gini(mut counts: Vec<u32>) -> f64 {
    counts.sort_unstable();
    let items = counts.len() as f64;
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let weighted =
        (1..).zip(&counts).map(|(k, &x)| (2.0 * f64::from(k) - items - 1.0) * f64::from(x));
    let weighted: f64 = weighted.sum();
    if total > 0.0 { weighted / (items * total) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_follows_its_definition() {
        assert!(gini(vec![3, 3, 3, 3]).abs() < 1e-12);
        assert!((gini(vec![0, 0, 0, 9]) - 0.75).abs() < 1e-12);
        assert!((gini(vec![1, 3]) - 0.25).abs() < 1e-12);
        assert_eq!(gini(vec![0, 0]), 0.0);
    }

    #[test]
    fn nearness_is_the_cosine_of_sets() {
        assert_eq!(cosine(&[1, 2, 3, 4], &[4]), 0.5);
        assert_eq!(cosine(&[1, 2], &[3]), 0.0);
        assert_eq!(cosine(&[], &[3]), 0.0);
    }
}
