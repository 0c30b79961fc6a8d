//! The index over the target vectors of a model: built once, and read by everybody else out of the model's file.

use bailiwick_ann::{AnnError, LiveIndex, Metric, Options, Space};
use bailiwick_core::learning::PooledModel;

use crate::recommend::tune;

/// Vectors that the index takes before it merges.
const MERGE_AT: usize = 131_072;
/// By how much a value of a direction may differ between the index, which cuts it to length 1 once more, and the model.
const ROUNDING: f32 = 1e-5;

fn space(model: &PooledModel) -> Result<Space, AnnError> {
    // The first part's directions are of length 1 each; what the second one adds, it adds by its lengths too.
    let metric = match model.split() == model.dimensions() {
        true => Metric::Cosine,
        false => Metric::InnerProduct,
    };
    Space::new("learned", model.dimensions(), metric)
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

/// Builds it over the items that the model knows; its rows are their numbers. Computes for long.
pub(super) fn build(model: &PooledModel) -> Result<LiveIndex, AnnError> {
    let index = LiveIndex::new(space(model)?, options())?;
    for (number, direction) in known(model) {
        index.upsert(number, direction)?;
        if index.pending() >= MERGE_AT {
            index.merge()?;
        }
    }
    index.merge()?;
    tune(&index)?;
    Ok(index)
}

/// Reads it. What is not the very index of this model's directions is none.
pub(super) fn read(bytes: &[u8], model: &PooledModel) -> Option<LiveIndex> {
    let index = LiveIndex::from_bytes(bytes, &space(model).ok()?, options()).ok()?;
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING);
    let same = |(number, direction): (u32, &[f32])| {
        index.vector(number).is_some_and(|found| near(&found, direction))
    };
    (index.len() == known(model).count() && known(model).all(same)).then_some(index)
}

fn known(model: &PooledModel) -> impl Iterator<Item = (u32, &[f32])> {
    (0..).zip(model.targets().rows()).filter(|(number, _)| model.knows(*number))
}
