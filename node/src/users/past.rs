//! What somebody erased leaves behind: a tombstone, by which what is of before the erasure is known, whenever it comes.
//!
//! Three things keep a life from coming back. A command is made for the life that its proposer saw, so that none brings
//! the old data key. What was asked for earlier than the erasure changes nothing. And of events, those count as past
//! that happened before it, or whose id was among what was erased in the last two days.

use bailiwick_core::ids::{EventId, UnixMillis};
use bailiwick_proto::store::{PersonChange, TombstoneRow, WrappedKey};

use super::aggregate::mark_key;
use super::counters::{DAY_MS, day_of};
use super::event::NewEvent;
use super::outcome::Refused;
use super::schema::{FORMAT, RowKind};
use super::vault::Vault;
use crate::seal::{DataKey, PersonKey, SealError, TENANT};

/// Ids of events of so many days are remembered when they are erased, longer than anything waits to be sent again.
const REMEMBERED_MS: i64 = 2 * DAY_MS;

/// The key of a person's tombstone.
pub(super) fn tombstone_key(person: &PersonKey) -> Vec<u8> {
    RowKind::Tombstone.of_person(TENANT, person)
}

/// A past life of a person; none of somebody who was never erased.
#[derive(Default)]
pub(super) struct Past {
    row: Option<TombstoneRow>,
    /// Opens the marks of erased ids; none once they are gone.
    marks: Option<DataKey>,
}

impl Past {
    /// What the tombstone says, as of `now`.
    pub(super) fn open(
        vault: &Vault,
        person: &PersonKey,
        row: Option<TombstoneRow>,
        now: UnixMillis,
    ) -> Result<Self, SealError> {
        // INVARIANT: the key is not asked for when it is of no use any more, since its epoch may be gone by then.
        let useful = row.as_ref().filter(|row| day_of(now) <= marked_day(row));
        let wrapped = useful.and_then(|row| row.marks.as_ref());
        let marks = wrapped.map(|wrapped| vault.unwrap_marks(person, wrapped)).transpose()?;
        Ok(Self { row, marks })
    }

    /// The life that commands are made for: the log index of the erasure, 0 before the first.
    pub(super) fn life(&self) -> u64 {
        self.row.as_ref().map_or(0, |row| row.life)
    }

    /// Refuses what was made for another life: it may carry a key that was erased.
    pub(super) fn lets_in(&self, change: &PersonChange) -> Result<(), Refused> {
        if change.life == self.life() { Ok(()) } else { Err(Refused::erased()) }
    }

    /// Refuses what was asked for in a life that is over.
    pub(super) fn heeds(&self, asked: UnixMillis) -> Result<(), Refused> {
        if self.was_over_since(asked) { Err(Refused::late()) } else { Ok(()) }
    }

    /// Whether the erasure was asked for later than `asked`; what has no time is not known to be earlier.
    pub(super) fn was_over_since(&self, asked: UnixMillis) -> bool {
        asked.0 != 0 && self.row.as_ref().is_some_and(|row| asked.0 < row.asked_ms)
    }

    /// Whether an event belongs to a life that is over; `has` looks for a row.
    pub(super) fn holds(&self, event: &NewEvent, has: impl Fn(&[u8]) -> bool) -> bool {
        let Some(row) = &self.row else { return false };
        event.at.0 <= row.erased_ms || self.mark(event).is_some_and(|mark| has(&mark))
    }

    /// The key of the mark by which an event of a life that is over is known again; none while there is no such life,
    /// or when nothing waits any more to be sent again.
    pub(super) fn mark(&self, event: &NewEvent) -> Option<Vec<u8>> {
        let day = marked_day(self.row.as_ref()?)?;
        self.marks.as_ref().map(|key| erased_mark(key, day, &event.id))
    }
}

/// The marks of a person's ids stand among those of this day, and go with it: the day after the erasure.
fn marked_day(row: &TombstoneRow) -> Option<u32> {
    day_of(UnixMillis(row.erased_ms))?.checked_add(1)
}

/// Whether marks of days before `day` are gone, those of the erasure at `erased` among them.
pub(super) fn unmarked(day: u32, erased: UnixMillis) -> bool {
    let last = day_of(erased).and_then(|day| day.checked_add(1));
    last.is_none_or(|last| day > last)
}

fn erased_mark(key: &DataKey, day: u32, id: &EventId) -> Vec<u8> {
    mark_key(day, &key.mark("erased event", &[id.as_str().as_bytes()]))
}

/// A tombstone that is being set.
pub(super) struct Tombstone {
    row: TombstoneRow,
    marks: DataKey,
}

impl Tombstone {
    pub(super) fn new(
        vault: &Vault,
        person: &PersonKey,
        (asked, erased): (UnixMillis, UnixMillis),
        life: u64,
        marks: &WrappedKey,
    ) -> Result<Self, SealError> {
        let key = vault.unwrap_marks(person, marks)?;
        let row = TombstoneRow {
            format: FORMAT,
            asked_ms: asked.0,
            erased_ms: erased.0,
            life,
            marks: Some(marks.clone()),
        };
        Ok(Self { row, marks: key })
    }

    pub(super) fn row(&self) -> &TombstoneRow {
        &self.row
    }

    /// The key of the mark that tells an erased event when it is sent again; none of one that is too old for that.
    pub(super) fn mark(&self, event: &NewEvent) -> Option<Vec<u8>> {
        let recent = event.at.0 > self.row.erased_ms.saturating_sub(REMEMBERED_MS);
        let day = marked_day(&self.row).filter(|_| recent)?;
        Some(erased_mark(&self.marks, day, &event.id))
    }
}
