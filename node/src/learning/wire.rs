//! Shares and models as bytes, in parts that fit a frame.

use bailiwick_core::ids::DomainId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Block, FixedBlock, PooledModel, Share};
use bailiwick_proto::failure::Failure;

use super::{Attempt, MaskedShare};

/// Bytes of one part.
pub(super) const PART_BYTES: usize = 1 << 20;
/// Bytes of a value of a share, and of a model.
const SHARE_VALUE: usize = 8;
const MODEL_VALUE: usize = 4;

fn refused(words: impl Into<String>) -> Failure {
    Failure::new(Kind::Refused, words)
}

/// The parts of a masked share: by targets, by history, counts, one after the other.
pub(super) fn share_parts(masked: &MaskedShare) -> Vec<Vec<u8>> {
    parts_of(masked.masked().blocks().map(FixedBlock::steps), |step: i64| step.to_le_bytes())
}

/// The parts of a model: directions, then history vectors.
pub(super) fn model_parts(model: &PooledModel) -> Vec<Vec<u8>> {
    let blocks = [model.targets(), model.history()];
    parts_of(blocks.map(Block::values), |value: f32| value.to_le_bytes())
}

/// The values of some blocks as bytes. A part ends where its block does: nothing is copied together first.
fn parts_of<T: Copy, const BLOCKS: usize, const BYTES: usize>(
    blocks: [&[T]; BLOCKS],
    bytes: impl Fn(T) -> [u8; BYTES],
) -> Vec<Vec<u8>> {
    let part = |values: &[T]| {
        let mut part = Vec::with_capacity(std::mem::size_of_val(values));
        values.iter().for_each(|value| part.extend_from_slice(&bytes(*value)));
        part
    };
    blocks.iter().flat_map(|block| block.chunks(PART_BYTES / BYTES)).map(part).collect()
}

/// Bytes that come in parts, and how many there are to be.
pub(super) struct Parts {
    bytes: Vec<u8>,
    wanted: usize,
}

impl Parts {
    /// Of a share of this shape.
    pub(super) fn of_share((items, dimensions): (usize, usize)) -> Self {
        let values = items.saturating_mul(dimensions).saturating_mul(2).saturating_add(3);
        Self::of(values.saturating_mul(SHARE_VALUE))
    }

    /// Of a model of this shape.
    pub(super) fn of_model((items, dimensions): (usize, usize)) -> Self {
        Self::of(items.saturating_mul(dimensions).saturating_mul(2).saturating_mul(MODEL_VALUE))
    }

    fn of(wanted: usize) -> Self {
        // What is announced is not believed: memory grows with what comes.
        Self { bytes: Vec::new(), wanted }
    }

    pub(super) fn are_missing(&self) -> bool {
        self.bytes.len() < self.wanted
    }

    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        let bytes = self.bytes.len().saturating_add(part.len());
        if part.is_empty() || bytes > self.wanted {
            return Err(refused(format!("{bytes} bytes came, {} were due", self.wanted)));
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// The share that `from` sent.
    pub(super) fn into_share(
        self,
        from: &DomainId,
        attempt: Attempt,
        (items, dimensions): (usize, usize),
    ) -> Result<MaskedShare, Failure> {
        let mut steps = self.bytes.chunks_exact(SHARE_VALUE).map(|value| {
            let mut bytes = [0; SHARE_VALUE];
            bytes.copy_from_slice(value);
            i64::from_le_bytes(bytes)
        });
        let mut block = |rows: usize, columns: usize| {
            let steps = steps.by_ref().take(rows.saturating_mul(columns)).collect();
            FixedBlock::new(rows, columns, steps)
        };
        let share = block(items, dimensions).and_then(|targets| {
            let history = block(items, dimensions)?;
            Share::new(targets, history, block(1, 3)?)
        });
        let share = share.map_err(|error| refused(error.to_string()))?;
        Ok(MaskedShare::new(from.clone(), attempt, share))
    }

    /// The model that the coordinator sent. A value that is not finite is refused.
    pub(super) fn into_model(
        self,
        (items, dimensions): (usize, usize),
    ) -> Result<PooledModel, Failure> {
        let mut values = self.bytes.chunks_exact(MODEL_VALUE).map(|value| {
            let mut bytes = [0; MODEL_VALUE];
            bytes.copy_from_slice(value);
            f32::from_le_bytes(bytes)
        });
        let mut block = || {
            let values = values.by_ref().take(items.saturating_mul(dimensions)).collect();
            Block::new(items, dimensions, values)
        };
        let model = block().and_then(|targets| PooledModel::received(targets, block()?));
        model.map_err(|error| refused(error.to_string()))
    }
}
