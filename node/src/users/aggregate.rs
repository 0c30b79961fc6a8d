//! Events without a link to their person: counters, and marks that fall with the day's salt.

use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_proto::store::{AggregateBody, AggregateEvent, AggregateEvents, SaltRow};
use prost::Message as _;

use super::counters::{Counted, count, day_of};
use super::draft::Draft;
use super::event::check_count;
use super::outcome::{Applied, Refused, Stop};
use super::schema::{FORMAT, RowKind};
use crate::seal::{DataKey, TENANT};

/// Bytes of a mark.
const MARK_BYTES: usize = 16;
/// Marks of days gone by that one command sweeps out. Their salt goes at once, and with it all meaning.
const SWEEP_MAX: usize = 4096;

/// Counts events; an event that was seen that day counts as a duplicate and changes nothing.
pub(super) fn apply(
    draft: &mut Draft<'_, '_>,
    change: &AggregateEvents,
    now: UnixMillis,
) -> Result<Applied, Stop> {
    let day = change.day;
    if day_of(now) != Some(day) {
        return Err(Refused::malformed(format!("day {day} is not the day of the command")).into());
    }
    let salt = take_salt(draft, change)?;
    let events = open(draft, change, &salt)?;
    sweep(draft, day);
    let mut applied = Applied::default();
    for (event, item) in &events {
        if !mark(draft, day, &event.event_mark)? {
            applied.duplicates += 1;
            continue;
        }
        applied.accepted += 1;
        if event.weight > 0.0 && mark(draft, day, &event.person_mark)? {
            count(draft, item, &Counted::OnDay(day), event.weight, now)?;
        }
    }
    Ok(applied)
}

/// The day's salt: the stored one, which must be the command's, or the command's for a new day.
fn take_salt(draft: &mut Draft<'_, '_>, change: &AggregateEvents) -> Result<DataKey, Stop> {
    let wrapped = change.salt.as_ref().ok_or_else(|| Refused::malformed("there is no salt"))?;
    let key = RowKind::Salt.key(TENANT, &[]);
    let stored: Option<SaltRow> = draft.get_plain(&key)?;
    match &stored {
        Some(row) if row.day > change.day => {
            return Err(Refused::salt(format!("day {} is over", change.day)).into());
        }
        Some(row) if row.day == change.day && row.salt.as_ref() != Some(wrapped) => {
            return Err(Refused::salt(format!("day {} has another salt", change.day)).into());
        }
        _ => (),
    }
    let salt = draft.vault.unwrap_day(change.day, wrapped)?;
    if stored.is_none_or(|row| row.day < change.day) {
        let row = SaltRow { format: FORMAT, day: change.day, salt: Some(wrapped.clone()) };
        draft.put_plain(key, &row)?;
    }
    Ok(salt)
}

fn open(
    draft: &Draft<'_, '_>,
    change: &AggregateEvents,
    salt: &DataKey,
) -> Result<Vec<(AggregateEvent, ItemId)>, Stop> {
    let sealed = change.body.as_ref().ok_or_else(|| Refused::malformed("there is no body"))?;
    let plain = salt.open_body(&draft.vault.day_place(change.day), sealed)?;
    let body = AggregateBody::decode(plain.as_slice())
        .map_err(|_| Refused::malformed("the events could not be read"))?;
    check_count(body.events.len())?;
    let checked = body.events.into_iter().map(|event| check(&event).map(|item| (event, item)));
    Ok(checked.collect::<Result<_, Refused>>()?)
}

fn check(event: &AggregateEvent) -> Result<ItemId, Refused> {
    if event.person_mark.len() != MARK_BYTES || event.event_mark.len() != MARK_BYTES {
        return Err(Refused::malformed(format!("a mark has {MARK_BYTES} bytes")));
    }
    if !(0.0..=1.0).contains(&event.weight) {
        return Err(Refused::malformed("a weight is not within 0 and 1"));
    }
    ItemId::new(event.item.as_str()).map_err(|error| Refused::malformed(error.to_string()))
}

/// The key of a mark that goes with its day.
pub(super) fn mark_key(day: u32, mark: &[u8]) -> Vec<u8> {
    RowKind::Mark.key(TENANT, &[&day.to_be_bytes(), mark])
}

/// Sets a mark; whether it is new.
fn mark(draft: &mut Draft<'_, '_>, day: u32, mark: &[u8]) -> Result<bool, Stop> {
    let key = mark_key(day, mark);
    if draft.has(&key) {
        return Ok(false);
    }
    draft.put(key, Vec::new()).map(|()| true)
}

fn sweep(draft: &mut Draft<'_, '_>, day: u32) {
    let old = draft.stored_keys(&mark_key(0, &[]), &mark_key(day, &[]), SWEEP_MAX);
    old.into_iter().for_each(|key| draft.delete(key.to_vec()));
}

/// The mark of a person at an item, and of one event, under a day's salt.
pub(super) fn marks(salt: &DataKey, person: &[u8; 32], item: &str, event: &str) -> [[u8; 16]; 2] {
    [
        salt.mark("person", &[person, item.as_bytes()]),
        salt.mark("event", &[person, event.as_bytes()]),
    ]
}
