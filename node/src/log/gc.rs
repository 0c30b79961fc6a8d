//! Letting old segments go: those without a live entry are removed, and when too much of the log is
//! dead, the live entries of slow groups (stragglers) are carried over from the oldest.
//!
//! Segments go from the oldest on only, so that a truncation is never removed before what it voids.

use bytes::Bytes;

use super::Position;
use super::error::LogError;
use super::index::{EntryKey, Place};
use super::record::{self, Frame, Record};
use super::segment::Segment;
use super::shared::Shared;
use super::writer::{Need, Writer};

/// What to do next with the oldest segment.
enum Step {
    Nothing,
    /// Removals are queued that the disk does not know yet: later.
    Later,
    Remove,
    CarryOver(Vec<(EntryKey, u64, Place)>),
}

/// Whether the log has been cleaned, or should be after the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleaned {
    Done,
    Later,
}

/// Cleans the log. Called by the writer, between batches.
pub(crate) fn clean(shared: &Shared, writer: &mut Writer) -> Result<Cleaned, LogError> {
    loop {
        match next_step(shared, writer) {
            Step::Nothing => return Ok(Cleaned::Done),
            Step::Later => return Ok(Cleaned::Later),
            Step::Remove => {
                if let Some(number) = writer.remove_oldest()? {
                    shared.state().segments.remove(&number);
                }
            }
            Step::CarryOver(entries) => carry_over(shared, writer, entries)?,
        }
    }
}

fn next_step(shared: &Shared, writer: &Writer) -> Step {
    let Some(oldest) = writer.sealed.keys().next().copied() else { return Step::Nothing };
    let state = shared.state();
    // INVARIANT: with no removal queued, what the index says of written entries is what a replay
    // would find. An entry whose truncation is queued would be needed if the power failed now.
    if state.removals > 0 {
        return Step::Later;
    }
    let (mut live, mut stragglers) = (0, Vec::new());
    for (key, term, place) in state.index.on_disk() {
        live += u64::try_from(place.length).unwrap_or_default();
        if place.segment == oldest {
            stragglers.push((key, term, place));
        }
    }
    if stragglers.is_empty() {
        return Step::Remove;
    }
    match writer.bytes() > 2 * live + 2 * writer.segment_bytes {
        true => Step::CarryOver(stragglers),
        false => Step::Nothing,
    }
}

fn carry_over(
    shared: &Shared,
    writer: &mut Writer,
    entries: Vec<(EntryKey, u64, Place)>,
) -> Result<(), LogError> {
    let mut records = Vec::with_capacity(entries.len());
    for (key, term, place) in &entries {
        let Some((segment, _)) = writer.sealed.get(&place.segment) else { continue };
        let at = Position { term: *term, index: key.index };
        records.push(Record::Entry { group: key.group.clone(), at, body: read(segment, *place)? });
    }
    let places = writer.write(&records.iter().collect::<Vec<_>>(), Need::Durable)?;
    let mut state = shared.state();
    state.segments.insert(writer.active.number, writer.active.clone());
    for ((key, ..), place) in entries.iter().zip(places) {
        state.index.placed(key, place);
    }
    Ok(())
}

/// Reads the entry at a place, and checks it once more.
pub(crate) fn read(segment: &Segment, place: Place) -> Result<Bytes, LogError> {
    let mut bytes = vec![0; place.length];
    let read = segment.file.read_at(&mut bytes, place.offset);
    read.map_err(LogError::io("read", &segment.path))?;
    match record::decode(bytes.into(), segment.salt) {
        Frame::Whole { record: Record::Entry { body, .. }, .. } => Ok(body),
        Frame::Bad { why } => Err(corrupt(segment, place, why)),
        _ => Err(corrupt(segment, place, "another record stands there")),
    }
}

fn corrupt(segment: &Segment, place: Place, why: &str) -> LogError {
    LogError::Corrupt { path: segment.path.clone(), offset: place.offset, why: why.to_owned() }
}
