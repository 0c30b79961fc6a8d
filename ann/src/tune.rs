//! How many candidates a walk must keep to find a wanted share of what a scan finds.

use std::sync::atomic::Ordering;

use crate::error::AnnError;
use crate::filter::Filter;
use crate::live::{LiveIndex, Request};
use crate::plan::Plan;
use crate::space::Row;

/// Candidates kept, as far as tuning goes.
const EF_MAX: usize = 4096;
/// Each step keeps so much more than the one before, in percent.
const STEP_PERCENT: usize = 125;

/// Queries made up between vectors, and vectors that each is made of.
const QUERIES: usize = 64;
const POOLED: usize = 3;

/// What tuning found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuned {
    /// Candidates to keep.
    pub ef: usize,
    /// Mean share found with that.
    pub recall: f64,
}

impl LiveIndex {
    /// Finds the least `ef` with which walks find `wanted` (0 to 1) of the best `k` rows of `queries`,
    /// and keeps it as [`LiveIndex::ef`]. The queries should be such as will be asked, but not vectors
    /// of the index themselves. None if there is nothing to find, or no `ef` in bounds suffices.
    ///
    /// # Errors
    /// [`AnnError`] of kind `Invalid` for a query that can't be compared.
    pub fn tune(
        &self,
        queries: &[&[f32]],
        k: usize,
        wanted: f64,
    ) -> Result<Option<Tuned>, AnnError> {
        let best = |ef: usize, plan: Plan| -> Result<Vec<Vec<Row>>, AnnError> {
            let rows = |query: &&[f32]| {
                let (filter, plan) = (Filter::All, Some(plan));
                let answer = self.answer(&Request { query, k, ef, filter, budget: None, plan })?;
                Ok(answer.hits.iter().map(|hit| hit.row).collect())
            };
            queries.iter().map(rows).collect()
        };
        let truth = best(k, Plan::Scan)?;
        if truth.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let mut ef = k.max(8);
        while ef <= EF_MAX {
            let recall = share(&truth, &best(ef, Plan::Through)?);
            if recall >= wanted {
                self.ef.store(ef, Ordering::Relaxed);
                return Ok(Some(Tuned { ef, recall }));
            }
            ef = ef * STEP_PERCENT / 100;
        }
        Ok(None)
    }

    /// As [`LiveIndex::tune`], on queries between the index's own vectors: sums of three drawn by `seed`, as what
    /// somebody took together lies between what was taken.
    ///
    /// # Errors
    /// As [`LiveIndex::tune`].
    pub fn tune_between(
        &self,
        k: usize,
        wanted: f64,
        seed: u64,
    ) -> Result<Option<Tuned>, AnnError> {
        let queries = self.between(seed);
        let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        self.tune(&queries, k, wanted)
    }

    fn between(&self, seed: u64) -> Vec<Vec<f32>> {
        let state = self.state.load_full();
        let rows = state.generation.frozen.slots.rows();
        let mut draws = Draws(seed);
        let mut sum = |_: usize| {
            let mut sum = vec![0.0; self.space.dimensions];
            for _ in 0..POOLED {
                let row = rows.get(draws.below(rows.len())).copied();
                let vector = row.and_then(|row| self.vector(row)).unwrap_or_default();
                sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v / POOLED as f32);
            }
            sum
        };
        let sums = (0..QUERIES).map(&mut sum);
        sums.filter(|sum| self.space.admit(sum).is_ok()).collect()
    }

    /// The `ef` of the last tuning, [`crate::Options::ef`] before.
    #[must_use]
    pub fn ef(&self) -> usize {
        match self.ef.load(Ordering::Relaxed) {
            0 => self.options.ef,
            ef => ef,
        }
    }
}

/// The numbers of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Draws(u64);

impl Draws {
    /// One of the first `count` numbers; 0 if there are none.
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let drawn = (z ^ (z >> 31)) % (count as u64).max(1);
        usize::try_from(drawn).unwrap_or_default()
    }
}

/// The share of `wanted` that is in `found`, over all lists.
pub(crate) fn share(wanted: &[Vec<Row>], found: &[Vec<Row>]) -> f64 {
    let all: usize = wanted.iter().map(Vec::len).sum();
    let hits = wanted.iter().zip(found).map(|(w, f)| w.iter().filter(|r| f.contains(r)).count());
    hits.sum::<usize>() as f64 / all.max(1) as f64
}
