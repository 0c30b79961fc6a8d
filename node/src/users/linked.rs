//! Events that are linked to their person.

use bailiwick_core::ids::UnixMillis;
use bailiwick_proto::store::{DecisionFacts, EventRow, LinkedEvents, ProfileRow};

use super::blocks::Blocks;
use super::counters::{Counted, count, day_of};
use super::draft::Draft;
use super::event::{EventKind, NewEvent, check_count};
use super::facts;
use super::outcome::{Applied, Refused, Stop};
use super::past::Past;
use super::profile;
use super::schema::RowKind;
use crate::mutant::{Mutant, planted};
use crate::seal::{DataKey, PersonKey, TENANT};

/// The key of an event's row.
pub(super) fn event_key(person: &PersonKey, key: &DataKey, event: &NewEvent) -> Vec<u8> {
    let id = key.mark("event", &[event.id.as_str().as_bytes()]);
    RowKind::Event.key(TENANT, &[person.as_bytes(), &id])
}

pub(super) fn touch_key(person: &PersonKey, key: &DataKey, event: &NewEvent) -> Vec<u8> {
    let id = key.mark("item", &[event.item.as_str().as_bytes()]);
    RowKind::Touch.key(TENANT, &[person.as_bytes(), &id])
}

/// Reads the events of a command; a time after the command's own counts as that.
pub(super) fn read(events: &LinkedEvents, now: UnixMillis) -> Result<Vec<NewEvent>, Refused> {
    check_count(events.events.len())?;
    let clamped = |event: NewEvent| NewEvent { at: event.at.min(now), ..event };
    events.events.iter().map(|row| NewEvent::of(row).map(clamped)).collect()
}

/// Leaves out what belongs to a life that was erased: all of it, if it was asked for in that life. What is left out is
/// marked, so that it is known when it is sent again.
pub(super) fn living(
    draft: &mut Draft<'_, '_>,
    past: &Past,
    events: Vec<NewEvent>,
    asked: UnixMillis,
) -> Result<Vec<NewEvent>, Stop> {
    let late = past.was_over_since(asked);
    let over = |event: &NewEvent| late || past.holds(event, |key| draft.has(key));
    let (over, living): (Vec<_>, Vec<_>) = events.into_iter().partition(over);
    let marks = over.iter().filter_map(|event| past.mark(event));
    marks.into_iter().try_for_each(|mark| draft.put(mark, Vec::new()))?;
    Ok(living)
}

/// Records events; an id that is there already counts as a duplicate and changes nothing.
pub(super) fn apply(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    events: &[NewEvent],
    (facts, uncounted): (Option<&DecisionFacts>, bool),
    now: UnixMillis,
) -> Result<Applied, Stop> {
    facts::keep(draft, person, key, facts)?;
    let mut applied = Applied::default();
    let profile_key = RowKind::Profile.of_person(TENANT, person);
    let mut profile = profile::Draft::new(draft.get_sealed::<ProfileRow>(key, &profile_key)?);
    let mut blocks = Blocks::new(*person, key);
    for event in events {
        let mut row = event_key(person, key, event);
        while planted(Mutant::CountTwice) && draft.has(&row) {
            row.push(0);
        }
        if draft.has(&row) {
            applied.duplicates += 1;
            continue;
        }
        applied.accepted += 1;
        let counted = !uncounted && count_once(draft, person, key, event, now)?;
        let counted_day = day_of(now).filter(|_| counted);
        draft.put_sealed(key, row, &EventRow { counted_day, ..event.to_row() })?;
        profile.absorb(event);
        if event.kind == EventKind::Block {
            blocks.add(draft, event)?;
        }
    }
    if let Some(row) = profile.finish() {
        draft.put_sealed(key, profile_key, &row)?;
    }
    blocks.finish(draft)?;
    Ok(applied)
}

/// A person counts once among an item's people, whatever they did with it and how often; whether this event did it.
fn count_once(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    event: &NewEvent,
    now: UnixMillis,
) -> Result<bool, Stop> {
    let touch = touch_key(person, key, event);
    if !event.counts() || draft.has(&touch) {
        return Ok(false);
    }
    draft.put(touch, Vec::new())?;
    count(draft, &event.item, &Counted::Linked, 1.0, now).map(|()| true)
}
