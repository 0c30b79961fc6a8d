//! Putting fresh vectors into a new frozen generation, beside the searches.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use crate::error::AnnError;
use crate::frozen::{Frozen, Input};
use crate::live::{Generation, LiveIndex, State, Writer};
use crate::matrix::Matrix;
use crate::segment::{Entry, Segment};
use crate::space::Row;

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
pub(crate) struct Journal<'a>(&'a LiveIndex);

impl<'a> Journal<'a> {
    /// Starts the journal, with the state from which on it counts.
    pub(crate) fn start(index: &'a LiveIndex) -> (Self, Arc<State>) {
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
        let all = state.held();
        state.segment.len() >= self.options.merge_at || (all - state.live) * 5 > all.max(1024)
    }

    /// Rows that a merge would put right: those in the mutable segment, and the dead.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.state.load().backlog()
    }

    /// Whether the mutable segment has taken half of what it may.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.pending() >= self.options.pending_max / 2
    }

    /// Merges the mutable segment into a new generation and swaps it in. Long: call it from a
    /// background thread. Searches and writes go on meanwhile; what is written meanwhile stays in the
    /// mutable segment.
    ///
    /// # Errors
    /// [`AnnError::Merging`] when one is under way, [`AnnError::Build`] when the builder failed: the
    /// index is then as it was.
    pub fn merge(&self) -> Result<Merged, AnnError> {
        let _one_at_a_time = self.turn()?;
        let began = Instant::now();
        let (journal, state) = Journal::start(self);
        let input = survivors(&state, self.space.dimensions);
        let older = &state.generation.frozen;
        let frozen = Frozen::build(&self.space, &input, older, &self.options)?;
        let columns = state.columns_of(&frozen.slots)?;
        let frozen = Frozen { columns, ..frozen };
        let generation = Generation::new(frozen, state.generation.number + 1);
        let merged =
            Merged { generation: generation.number, rows: input.rows.len(), took: began.elapsed() };
        self.swap(generation, &[], state.segment.len());
        drop(journal);
        Ok(merged)
    }

    /// The right to replace the generation, which one has at a time.
    pub(crate) fn turn(&self) -> Result<MutexGuard<'_, ()>, AnnError> {
        match self.merging.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(AnnError::Merging),
        }
    }

    /// Makes `generation` the current one. It holds what lived when the journal began, but for what is
    /// `carried` over; of the segment that is the first `taken` vectors.
    pub(crate) fn swap(&self, generation: Generation, carried: &[Entry<'_>], taken: usize) {
        let mut writer = self.writer();
        let state = self.state.load();
        let written: HashSet<Row> = writer.journal.iter().flatten().copied().collect();
        for &row in &written {
            let slot = generation.frozen.slots.slot(row);
            _ = slot.is_some_and(|slot| generation.deaths.mark(slot, 0));
        }
        let carried = || carried.iter().filter(|entry| !written.contains(&entry.row)).copied();
        let left = || carried().chain(state.segment.live(taken, state.now));
        let segment = Segment::of(self.space.dimensions, left());
        let fresh = left().map(|entry| entry.row).zip(0..).collect();
        *writer = Writer { fresh, journal: None };
        // Sequence numbers begin anew with the new deaths, so they never run out.
        let next = State {
            generation: Arc::new(generation),
            segment,
            kinds: Arc::clone(&state.kinds),
            now: 0,
            live: state.live,
        };
        self.state.store(Arc::new(next));
    }
}

impl State {
    /// Vectors, dead ones too.
    fn held(&self) -> usize {
        self.generation.frozen.slots.len() + self.segment.len()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.segment.len() + (self.held() - self.live)
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
