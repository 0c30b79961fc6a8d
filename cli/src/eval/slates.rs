//! Where slates come from.

use std::collections::BTreeMap;

use super::EvalError;

/// One variant of whatever recommends: a model in this process, or a cluster behind its public API.
pub trait Slates {
    /// The variant's name in the report.
    fn name(&self) -> &'static str;

    /// A slate of at most `limit` items, best first, for each person (by number in the split), without
    /// what the person took in training.
    ///
    /// # Errors
    /// [`EvalError`] when the whole is in doubt; a person without a slate gets an empty one.
    fn slates(&self, people: &[usize], limit: usize) -> Result<Vec<Vec<u32>>, EvalError>;

    /// By the name of a variant, how many slates were of it by the answers' own word; empty where nobody decides.
    fn answered(&self) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }
}

/// Does `work` for each of `parts`, spread over `threads`; the answers come in the order of the parts.
pub(super) fn spread<P: Sync, R: Send>(
    parts: &[P],
    threads: usize,
    work: impl Fn(&P) -> R + Sync,
) -> Result<Vec<R>, EvalError> {
    let each = parts.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let mut running = Vec::with_capacity(threads);
        for part in parts.chunks(each) {
            running.push(scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()));
        }
        let mut all = Vec::with_capacity(parts.len());
        for thread in running {
            all.extend(thread.join().map_err(|_| EvalError::Thread)?);
        }
        Ok(all)
    })
}

/// The best `limit` of `scores`, without some items and without those of no score (not above `floor`).
pub(super) fn best(mut scores: Vec<f32>, without: &[u32], floor: f32, limit: usize) -> Vec<u32> {
    for &item in without {
        if let Some(score) = scores.get_mut(item as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
    let mut order: Vec<(f32, u32)> =
        scores.into_iter().zip(0..).filter(|(score, _)| *score > floor).collect();
    let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if order.len() > limit {
        order.select_nth_unstable_by(limit, better);
        order.truncate(limit);
    }
    order.sort_by(better);
    // Copied: collected in place, a slate would hold on to the room of the whole catalogue.
    order.iter().map(|(_, item)| *item).collect()
}
