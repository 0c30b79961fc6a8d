//! What everybody takes: the variant that uses nothing of the person.

use super::slates::best;
use super::{EvalError, Slates};
use crate::data::Split;

/// Items by how many people took them, where at least `K_MIN` did.
pub(super) struct Popular<'a> {
    split: &'a Split,
    counts: Vec<f32>,
}

/// Below this a count could tell of single people.
const K_MIN: f32 = 20.0;

impl<'a> Popular<'a> {
    pub(super) fn of(split: &'a Split) -> Self {
        let mut counts = vec![0.0_f32; split.items()];
        for &item in split.people().flat_map(|person| split.train(person)) {
            if let Some(count) = counts.get_mut(item as usize) {
                *count += 1.0;
            }
        }
        Self { split, counts }
    }
}

impl Slates for Popular<'_> {
    fn name(&self) -> &'static str {
        "popular_k"
    }

    fn slates(&self, people: &[usize], limit: usize) -> Result<Vec<Vec<u32>>, EvalError> {
        let slate = |&person: &usize| {
            let without = self.split.train(person);
            best(self.counts.clone(), without, K_MIN - 0.5, limit)
        };
        Ok(people.iter().map(slate).collect())
    }
}
