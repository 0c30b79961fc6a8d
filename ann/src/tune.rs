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

    /// The `ef` of the last tuning, [`crate::Options::ef`] before.
    #[must_use]
    pub fn ef(&self) -> usize {
        match self.ef.load(Ordering::Relaxed) {
            0 => self.options.ef,
            ef => ef,
        }
    }
}

/// The share of `wanted` that is in `found`, over all lists.
pub(crate) fn share(wanted: &[Vec<Row>], found: &[Vec<Row>]) -> f64 {
    let all: usize = wanted.iter().map(Vec::len).sum();
    let hits = wanted.iter().zip(found).map(|(w, f)| w.iter().filter(|r| f.contains(r)).count());
    hits.sum::<usize>() as f64 / all.max(1) as f64
}
