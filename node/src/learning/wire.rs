//! Shares and models as bytes, in parts that fit a frame. A part ends where its block does, and holds whole values.
//!
//! A round moves some hundred megabytes, so values are written into the bytes that are sent, and read from the
//! frame that came into the block that is added up: nothing lies in between.

use bailiwick_core::ids::DomainId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Block, FixedBlock, Held, PooledModel, Share, Task};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{LearnHeld, LearnTask};
use bytes::Bytes;

use super::{Attempt, MaskedShare};

/// Bytes of one part.
pub(super) const PART_BYTES: usize = 1 << 20;
/// Bytes of a value of a share, and of a model.
const SHARE_VALUE: usize = 8;
const MODEL_VALUE: usize = 4;
/// Numbers of a share that are counts.
const COUNTS: usize = 3;

fn refused(words: impl Into<String>) -> Failure {
    Failure::new(Kind::Refused, words)
}

/// What a round is for, as it is told.
pub(super) fn task_told(task: Task) -> LearnTask {
    match task {
        Task::Contrast => LearnTask::Contrast,
        Task::Spectrum => LearnTask::Spectrum,
        Task::Judging => LearnTask::Judging,
    }
}

/// What a round is for.
pub(super) fn task_of(told: LearnTask) -> Task {
    match told {
        LearnTask::Contrast => Task::Contrast,
        LearnTask::Spectrum => Task::Spectrum,
        LearnTask::Judging => Task::Judging,
    }
}

/// What is held back, as it is told.
pub(super) fn held_told(Held { seed, people, items }: Held) -> LearnHeld {
    LearnHeld { seed, people, items }
}

/// What is held back; none for parts that are none.
pub(super) fn held_of(LearnHeld { seed, people, items }: LearnHeld) -> Option<Held> {
    Some(Held { seed, people, items }).filter(Held::is_usable)
}

/// The parts of a masked share, made one by one: by targets, by history, counts.
pub(super) fn share_parts(masked: &MaskedShare) -> impl Iterator<Item = Bytes> {
    let blocks = masked.masked().blocks().map(FixedBlock::steps);
    parts_of::<i64, SHARE_VALUE>(blocks, i64::to_le_bytes)
}

/// The parts of a model, made one by one: directions, then history vectors.
pub(super) fn model_parts(model: &PooledModel) -> impl Iterator<Item = Bytes> {
    let blocks = [model.targets(), model.history()].map(Block::values);
    parts_of::<f32, MODEL_VALUE>(blocks, f32::to_le_bytes)
}

fn parts_of<'a, T: Copy + 'a, const VALUE: usize>(
    blocks: impl IntoIterator<Item = &'a [T]>,
    bytes: fn(T) -> [u8; VALUE],
) -> impl Iterator<Item = Bytes> {
    let parts = blocks.into_iter().flat_map(|block| block.chunks(PART_BYTES / VALUE));
    parts.map(move |values| {
        let mut part = vec![0; std::mem::size_of_val(values)];
        let (places, _) = part.as_chunks_mut::<VALUE>();
        places.iter_mut().zip(values).for_each(|(place, value)| *place = bytes(*value));
        part.into()
    })
}

/// Blocks of values that come in parts.
struct Arriving<T, const VALUE: usize> {
    blocks: Vec<(usize, Vec<T>)>,
    value: fn([u8; VALUE]) -> T,
}

impl<T, const VALUE: usize> Arriving<T, VALUE> {
    /// What is announced is not believed: memory grows with what comes.
    fn new(wanted: impl IntoIterator<Item = usize>, value: fn([u8; VALUE]) -> T) -> Self {
        Self { blocks: wanted.into_iter().map(|values| (values, Vec::new())).collect(), value }
    }

    fn is_missing(&self) -> bool {
        self.blocks.iter().any(|(wanted, values)| values.len() < *wanted)
    }

    fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        let ((came, rest), value) = (part.as_chunks::<VALUE>(), self.value);
        let due = self.blocks.iter_mut().find(|(wanted, values)| values.len() < *wanted);
        let (wanted, values) = due.ok_or_else(|| refused("no more values are due"))?;
        let left = wanted.saturating_sub(values.len());
        if came.is_empty() || !rest.is_empty() || came.len() > left {
            let words = format!("a part of {} bytes came, {left} values were due", part.len());
            return Err(refused(words));
        }
        values.extend(came.iter().map(|bytes| value(*bytes)));
        Ok(())
    }

    fn next_block(&mut self) -> Vec<T> {
        if self.blocks.is_empty() { Vec::new() } else { self.blocks.remove(0).1 }
    }
}

/// A masked share that comes in parts.
pub(super) struct ArrivingShare {
    shape: (usize, usize),
    values: Arriving<i64, SHARE_VALUE>,
}

impl ArrivingShare {
    /// Of `items` x `dimensions`.
    pub(super) fn of((items, dimensions): (usize, usize)) -> Self {
        let block = items.saturating_mul(dimensions);
        let values = Arriving::new([block, block, COUNTS], i64::from_le_bytes);
        Self { shape: (items, dimensions), values }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.values.is_missing()
    }

    /// # Errors
    /// A part that is not due.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        self.values.take(part)
    }

    /// The share that `from` sent.
    ///
    /// # Errors
    /// Where parts are missing.
    pub(super) fn whole(
        mut self,
        from: &DomainId,
        attempt: Attempt,
    ) -> Result<MaskedShare, Failure> {
        let (items, dimensions) = self.shape;
        let mut block = |rows, columns| FixedBlock::new(rows, columns, self.values.next_block());
        let share = block(items, dimensions).and_then(|targets| {
            let history = block(items, dimensions)?;
            Share::new(targets, history, block(1, COUNTS)?)
        });
        let share = share.map_err(|error| refused(error.to_string()))?;
        Ok(MaskedShare::new(from.clone(), attempt, share))
    }
}

/// A model that comes in parts.
pub(super) struct ArrivingModel {
    shape: (usize, usize),
    values: Arriving<f32, MODEL_VALUE>,
}

impl ArrivingModel {
    /// Of `items` x `dimensions`.
    pub(super) fn of((items, dimensions): (usize, usize)) -> Self {
        let block = items.saturating_mul(dimensions);
        let values = Arriving::new([block, block], f32::from_le_bytes);
        Self { shape: (items, dimensions), values }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.values.is_missing()
    }

    /// # Errors
    /// A part that is not due.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        self.values.take(part)
    }

    /// The model that the coordinator sent.
    ///
    /// # Errors
    /// Where parts are missing, or a value is not finite.
    pub(super) fn whole(mut self) -> Result<PooledModel, Failure> {
        let (items, dimensions) = self.shape;
        let mut block = || Block::new(items, dimensions, self.values.next_block());
        let model = block().and_then(|targets| PooledModel::received(targets, block()?));
        model.map_err(|error| refused(error.to_string()))
    }
}
