//! The index over the target vectors of a model: built once, and read by everybody else out of the model's file.

use bailiwick_ann::{AnnError, Keep, LiveIndex, Metric, Options, Space};
use bailiwick_core::learning::PooledModel;

use crate::recommend::tune;

/// Vectors that the index takes before it merges.
const MERGE_AT: usize = 131_072;
/// By which part of the greatest value a value may differ between the index, which has them in twelve bits, and the
/// model: a thirtieth of a unit of which the greatest has 127.
const ROUNDING: f32 = 1.0 / (127.0 * 29.0);

fn space(model: &PooledModel) -> Result<Space, AnnError> {
    // The first part's directions are of length 1 each; what the second one adds, it adds by its lengths too.
    let metric = match model.split() == model.dimensions() {
        true => Metric::Cosine,
        false => Metric::InnerProduct,
    };
    Space::new("learned", model.dimensions(), metric)
}

fn options() -> Options {
    // Scores are the model's own; the index only says who is near.
    Options { threads: 1, keep: Keep::Rounded, ..Options::default() }
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
    let greatest =
        known(model).flat_map(|(_, direction)| direction).fold(0.0_f32, |m, v| m.max(v.abs()));
    let off = greatest * ROUNDING;
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= off);
    let same = |(number, direction): (u32, &[f32])| {
        index.vector(number).is_some_and(|found| near(&found, direction))
    };
    (index.len() == known(model).count() && known(model).all(same)).then_some(index)
}

fn known(model: &PooledModel) -> impl Iterator<Item = (u32, &[f32])> {
    (0..).zip(model.targets().rows()).filter(|(number, _)| model.knows(*number))
}
