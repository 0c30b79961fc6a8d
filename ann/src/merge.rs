//! Putting fresh vectors into a new frozen generation, beside the searches.

use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

use crate::error::AnnError;
use crate::frozen::{Frozen, Input};
use crate::live::{Generation, LiveIndex, State, Writer};
use crate::matrix::Matrix;
use crate::segment::Segment;

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The number of the new generation.
    pub generation: u64,
    /// Rows in it.
    pub rows: usize,
    /// Wall time of the merge.
    pub took: Duration,
}

/// Takes the journal away when the merge ends, however it ends.
struct Journal<'a>(&'a LiveIndex);

impl<'a> Journal<'a> {
    /// Starts the journal, with the state from which on it counts.
    fn start(index: &'a LiveIndex) -> (Self, Arc<State>) {
        let mut writer = index.writer();
        writer.journal = Some(Vec::new());
        (Self(index), index.state.load_full())
    }
}

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        self.0.writer().journal = None;
    }
}

impl LiveIndex {
    /// Whether a merge is due: the mutable segment has grown enough to slow searches down, or many
    /// frozen rows are dead.
    #[must_use]
    pub fn needs_merge(&self) -> bool {
        let state = self.state.load();
        let frozen = state.generation.frozen.slots.len();
        let all = frozen + state.segment.len();
        state.segment.len() >= self.options.merge_at || (all - state.live) * 5 > all.max(1024)
    }

    /// Merges the mutable segment into a new generation and swaps it in. Long: call it from a
    /// background thread. Searches and writes go on meanwhile; what is written meanwhile stays in the
    /// mutable segment.
    ///
    /// # Errors
    /// [`AnnError::Merging`] when one is under way, [`AnnError::Build`] when the builder failed: the
    /// index is then as it was.
    pub fn merge(&self) -> Result<Merged, AnnError> {
        let _one_at_a_time = match self.merging.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(AnnError::Merging),
        };
        let began = Instant::now();
        let (journal, state) = Journal::start(self);
        let input = survivors(&state, self.space.dimensions);
        let older = &state.generation.frozen;
        let frozen = Frozen::build(&self.space, &input, older, &self.options)?;
        let generation = Generation::new(frozen, state.generation.number + 1);
        let merged =
            Merged { generation: generation.number, rows: input.rows.len(), took: began.elapsed() };
        self.swap(generation, state.segment.len());
        drop(journal);
        Ok(merged)
    }

    /// Makes `generation`, which holds the first `taken` vectors of the segment, the current one.
    fn swap(&self, generation: Generation, taken: usize) {
        let mut writer = self.writer();
        let state = self.state.load();
        for row in writer.journal.iter().flatten() {
            let slot = generation.frozen.slots.slot(*row);
            _ = slot.is_some_and(|slot| generation.deaths.mark(slot, 0));
        }
        let left = || state.segment.live(taken, state.now);
        let segment = Segment::of(self.space.dimensions, left());
        let fresh = left().map(|entry| entry.row).zip(0..).collect();
        *writer = Writer { fresh, journal: None };
        // Sequence numbers begin anew with the new deaths, so they never run out.
        let next = State { generation: Arc::new(generation), segment, now: 0, live: state.live };
        self.state.store(Arc::new(next));
    }
}

/// Rows that live in `state`, with their vectors.
pub(crate) fn survivors(state: &State, dimensions: usize) -> Input {
    let frozen = &state.generation.frozen;
    let mut input = Input {
        rows: Vec::with_capacity(state.live),
        vectors: Matrix::with_capacity(dimensions, state.live),
        nodes: Vec::with_capacity(frozen.slots.len()),
    };
    let mut room = Vec::new();
    for (&row, slot) in frozen.slots.rows().iter().zip(0u32..) {
        if state.generation.spares(slot, state.now) {
            let node = frozen.slots.node(slot);
            input.rows.push(row);
            input.vectors.push(frozen.node_vector(node, &mut room));
            input.nodes.push(node);
        }
    }
    for entry in state.segment.live(0, state.now) {
        input.rows.push(entry.row);
        input.vectors.push(entry.vector);
    }
    input
}
