//! Taking over a generation that another node built.
//!
//! Nothing of it is believed but its graph: a node holds all vectors itself, so what the generation has of
//! a row counts only where it is that row's vector to the bit. All else is dead in it from the start, and
//! stays, or becomes, fresh. So the index holds after it what it held before, however old the file is.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::attributes::Attributes;
use crate::error::AnnError;
use crate::frozen::{Frozen, Input};
use crate::live::{Generation, LiveIndex};
use crate::merge::{Journal, Merged, survivors};
use crate::segment::Entry;
use crate::space::{ROW_LIMIT, Row};

/// No row of the input.
const NONE: u32 = u32::MAX;

impl LiveIndex {
    /// Makes the frozen generation of `other`, which was opened from a file, that of this index, in place of
    /// a merge, and searches as `other` was tuned to. `rows` says of each of its slots, in the file's order, which row that is here, if any. Long:
    /// call it from a background thread; searches and writes go on meanwhile.
    ///
    /// # Errors
    /// [`AnnError::Merging`] when a merge is under way, [`AnnError::OtherSpace`], [`AnnError::File`] when
    /// `rows` do not fit, [`AnnError::NoGain`] when a merge would have as much to do after it as before. The
    /// index is then as it was.
    pub fn adopt(&self, other: Self, rows: &[Option<Row>]) -> Result<Merged, AnnError> {
        let _one_at_a_time = self.turn()?;
        if other.space != self.space {
            let (found, expected) = (other.space.to_string(), self.space.to_string());
            return Err(AnnError::OtherSpace { found, expected });
        }
        let began = Instant::now();
        let ef = other.ef();
        let frozen = renumbered(frozen_of(other)?, rows)?;
        let (journal, state) = Journal::start(self);
        let input = survivors(&state, self.space.dimensions);
        let attributes = state.attributes()?;
        let columns = state.columns_of(&frozen.slots)?;
        let frozen = Frozen { columns, ..frozen };
        let generation = Generation::new(frozen, state.generation.number + 1);
        let kept = keep_equal(&generation, rows, &input);
        let carried: Vec<Entry<'_>> =
            entries(&input, &attributes).zip(&kept).filter(|(_, k)| !**k).map(|(e, _)| e).collect();
        let alive = input.rows.len() - carried.len();
        let left = carried.len() + (rows.len() - alive);
        if left >= state.backlog() {
            return Err(AnnError::NoGain { left, before: state.backlog() });
        }
        let merged = Merged { generation: generation.number, rows: alive, took: began.elapsed() };
        self.swap(generation, &carried, state.segment.len());
        drop(journal);
        self.ef.store(ef, Ordering::Relaxed);
        Ok(merged)
    }
}

fn unfit(why: &str) -> AnnError {
    AnnError::File { why: why.to_owned() }
}

/// The generation of an index that nobody else holds.
fn frozen_of(index: LiveIndex) -> Result<Frozen, AnnError> {
    let shared = || AnnError::Build { why: "an index that is adopted is still in use".to_owned() };
    let state = Arc::into_inner(index.state.into_inner()).ok_or_else(shared)?;
    Ok(Arc::into_inner(state.generation).ok_or_else(shared)?.frozen)
}

/// The generation under this index's rows. What has none here gets a number that no other slot has; it is
/// dead in any case.
fn renumbered(frozen: Frozen, rows: &[Option<Row>]) -> Result<Frozen, AnnError> {
    if rows.len() != frozen.slots.len() {
        return Err(unfit("its note speaks of other rows than it has"));
    }
    let mut known = HashSet::with_capacity(rows.len());
    if !rows.iter().flatten().all(|&row| row < ROW_LIMIT && known.insert(row)) {
        return Err(unfit("its note names a row twice"));
    }
    let mut free = (0..ROW_LIMIT).filter(|row| !known.contains(row));
    let mut number = |row: &Option<Row>| row.or_else(|| free.next());
    let numbers: Option<Vec<Row>> = rows.iter().map(&mut number).collect();
    let numbers = numbers.ok_or_else(|| unfit("it has too many rows"))?;
    frozen.with_rows(&numbers)
}

/// Ends each slot that has no row here or whose vector is not that of its row in `input`, and says which
/// rows of the input have one.
fn keep_equal(generation: &Generation, rows: &[Option<Row>], input: &Input) -> Vec<bool> {
    let length = input.rows.iter().max().map_or(0, |&row| row as usize + 1);
    let mut at = vec![NONE; length];
    for (&row, place) in input.rows.iter().zip(0u32..) {
        at.get_mut(row as usize).into_iter().for_each(|entry| *entry = place);
    }
    let mut kept = vec![false; input.rows.len()];
    let (slots, mut room) = (&generation.frozen.slots, Vec::new());
    for (row, slot) in rows.iter().zip(0u32..) {
        let place = row.and_then(|row| at.get(row as usize)).copied().unwrap_or(NONE) as usize;
        let found = generation.frozen.node_vector(slots.node(slot), &mut room);
        match kept.get_mut(place) {
            Some(kept) if input.vectors.row(place) == found => *kept = true,
            _ => _ = generation.deaths.mark(slot, 0),
        }
    }
    kept
}

fn entries<'a>(
    input: &'a Input,
    attributes: &'a [Option<Arc<Attributes>>],
) -> impl Iterator<Item = Entry<'a>> {
    let rows = input.rows.iter().zip(input.vectors.iter()).zip(attributes);
    let entry = |((&row, vector), known)| Entry { row, vector, attributes: Option::as_ref(known) };
    rows.map(entry)
}
