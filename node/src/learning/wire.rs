//! Shares and models as bytes, in parts that fit a frame. A part ends where its block does, and holds whole values.
//!
//! A round moves some hundred megabytes, so values are written into the bytes that are sent, and read from the
//! frame that came into the block that is added up: nothing lies in between.

use bailiwick_core::ids::DomainId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{
    Block, Fineness, Held, LearningError, PackedShare, PooledModel, Task, half, whole,
};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{LearnHeld, LearnTask};
use bytes::Bytes;

use super::{Attempt, MaskedShare};

/// Bytes of one part.
pub(super) const PART_BYTES: usize = 1 << 20;
/// Bytes of a word of a share, of a number beside the words, and of a value of a model.
const WORD: usize = 4;
const NUMBER: usize = 8;
const VALUE: usize = 2;

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

/// The parts of a masked share, made one by one: words by targets, by history, numbers.
pub(super) fn share_parts(masked: &MaskedShare) -> impl Iterator<Item = Bytes> {
    let words = parts_of::<_, WORD>(masked.masked().words(), |word: u32| word.to_le_bytes());
    let numbers = [masked.masked().numbers()];
    words.chain(parts_of::<_, NUMBER>(numbers, |number: u64| number.to_le_bytes()))
}

/// The parts of a model, made one by one: directions, then history vectors. Its values are those of
/// [`PooledModel::halved`].
pub(super) fn model_parts(model: &PooledModel) -> impl Iterator<Item = Bytes> {
    let blocks = [model.targets(), model.history()].map(Block::values);
    parts_of::<_, VALUE>(blocks, |value: f32| half(value).to_le_bytes())
}

fn parts_of<'a, T: Copy + 'a, const BYTES: usize>(
    blocks: impl IntoIterator<Item = &'a [T]>,
    bytes: impl Fn(T) -> [u8; BYTES] + Copy,
) -> impl Iterator<Item = Bytes> {
    let parts = blocks.into_iter().flat_map(|block| block.chunks(PART_BYTES / BYTES));
    parts.map(move |values| {
        let mut part = vec![0; values.len().saturating_mul(BYTES)];
        let (places, _) = part.as_chunks_mut::<BYTES>();
        places.iter_mut().zip(values).for_each(|(place, value)| *place = bytes(*value));
        part.into()
    })
}

/// Blocks of values that come in parts.
struct Arriving<T> {
    blocks: Vec<(usize, Vec<T>)>,
}

impl<T> Arriving<T> {
    fn new(wanted: impl IntoIterator<Item = usize>) -> Self {
        Self { blocks: wanted.into_iter().map(|values| (values, Vec::new())).collect() }
    }

    fn is_missing(&self) -> bool {
        self.blocks.iter().any(|(wanted, values)| values.len() < *wanted)
    }

    fn take<const BYTES: usize>(
        &mut self,
        part: &[u8],
        value: impl Fn([u8; BYTES]) -> T,
    ) -> Result<(), Failure> {
        let (came, rest) = part.as_chunks::<BYTES>();
        let due = self.blocks.iter_mut().find(|(wanted, values)| values.len() < *wanted);
        let (wanted, values) = due.ok_or_else(|| refused("no more values are due"))?;
        let left = wanted.saturating_sub(values.len());
        if came.is_empty() || !rest.is_empty() || came.len() > left {
            let words = format!("a part of {} bytes came, {left} values were due", part.len());
            return Err(refused(words));
        }
        // At once, since growing would copy it; a block is asked for only when its first part is there, and how many
        // values it has follows from the items that both sides know.
        values.reserve_exact(left);
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
    fineness: [Fineness; 2],
    words: Arriving<u32>,
    numbers: Arriving<u64>,
}

impl ArrivingShare {
    /// Of `items` x `dimensions`, in these steps.
    pub(super) fn of((items, dimensions): (usize, usize), fineness: [Fineness; 2]) -> Self {
        let block = items.saturating_mul(dimensions);
        let words = Arriving::new([block, block]);
        let numbers = Arriving::new([PackedShare::numbers_count()]);
        Self { shape: (items, dimensions), fineness, words, numbers }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.words.is_missing() || self.numbers.is_missing()
    }

    /// # Errors
    /// A part that is not due.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        match self.words.is_missing() {
            true => self.words.take(part, u32::from_le_bytes),
            false => self.numbers.take(part, u64::from_le_bytes),
        }
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
        let words = [self.words.next_block(), self.words.next_block()];
        let numbers = self.numbers.next_block();
        let share = PackedShare::new(self.shape, self.fineness, words, &numbers);
        let share = share.map_err(|error| refused(error.to_string()))?;
        Ok(MaskedShare::new(from.clone(), attempt, share))
    }
}

/// A model that comes in parts.
pub(super) struct ArrivingModel {
    shape: (usize, usize),
    values: Arriving<f32>,
}

impl ArrivingModel {
    /// Of `items` x `dimensions`.
    pub(super) fn of((items, dimensions): (usize, usize)) -> Self {
        let block = items.saturating_mul(dimensions);
        Self { shape: (items, dimensions), values: Arriving::new([block, block]) }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.values.is_missing()
    }

    /// # Errors
    /// A part that is not due.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<(), Failure> {
        self.values.take(part, |bytes| whole(u16::from_le_bytes(bytes)))
    }

    /// The model that the coordinator sent.
    ///
    /// # Errors
    /// Where parts are missing, or a value is not finite.
    pub(super) fn whole(mut self) -> Result<PooledModel, Failure> {
        let (items, dimensions) = self.shape;
        let mut block = || Block::new(items, dimensions, self.values.next_block());
        let model = block().and_then(|targets| PooledModel::received(targets, block()?));
        model.map_err(|error: LearningError| refused(error.to_string()))
    }
}
