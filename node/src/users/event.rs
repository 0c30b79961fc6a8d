//! What a person did with an item, and what it says.

use bailiwick_core::ids::{EventId, ItemId, UnixMillis};
use bailiwick_core::limits;
use bailiwick_proto::store::EventRow;
pub use bailiwick_proto::validate::EventKind;

use super::outcome::Refused;
use super::schema::FORMAT;

/// Bytes of an answer's id as an event carries it.
const LOG_ID_BYTES_MAX: usize = 256;
/// Ratings are taken on a scale of half a star to five.
const RATING_MIN: f64 = 0.5;
/// See [`RATING_MIN`].
const RATING_MAX: f64 = 5.0;

/// Which part of a profile an event feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeds {
    /// None: it is recorded.
    Nothing,
    /// Explicit opinions.
    Explicit,
    /// Observed behaviour.
    Behaviour,
}

pub(super) fn feeds(kind: EventKind) -> Feeds {
    match kind {
        EventKind::Impression => Feeds::Nothing,
        EventKind::View | EventKind::Play | EventKind::Purchase => Feeds::Behaviour,
        EventKind::Like
        | EventKind::Dislike
        | EventKind::Rate
        | EventKind::Follow
        | EventKind::Block => Feeds::Explicit,
    }
}

/// An event of a known person.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Unique for the person.
    pub id: EventId,
    /// The item.
    pub item: ItemId,
    /// What was done.
    pub kind: EventKind,
    /// The rating of a [`EventKind::Rate`]; kept, but without meaning, for the others.
    pub value: Option<f64>,
    /// When; a time after the command's own counts as that.
    pub at: UnixMillis,
    /// The answer that showed the item.
    pub log_id: Option<String>,
    /// The item's place in that answer.
    pub position: Option<u32>,
}

impl NewEvent {
    /// Reads a row, or an event in a command.
    pub(crate) fn of(row: &EventRow) -> Result<Self, Refused> {
        let bad = |error: bailiwick_core::ids::IdError| Refused::malformed(error.to_string());
        let event = Self {
            id: EventId::new(row.id.as_str()).map_err(bad)?,
            item: ItemId::new(row.item.as_str()).map_err(bad)?,
            kind: row.kind.parse().map_err(|_| Refused::malformed("an event's kind is unknown"))?,
            value: row.value,
            at: UnixMillis(row.at_ms),
            log_id: Some(row.log_id.clone()).filter(|id| !id.is_empty()),
            position: row.position,
        };
        event.check().map(|()| event)
    }

    /// The row, and the event in a command.
    pub(crate) fn to_row(&self) -> EventRow {
        EventRow {
            format: FORMAT,
            id: self.id.as_str().to_owned(),
            item: self.item.as_str().to_owned(),
            kind: self.kind.as_str().to_owned(),
            value: self.value,
            at_ms: self.at.0,
            log_id: self.log_id.clone().unwrap_or_default(),
            position: self.position,
            counted_day: None,
        }
    }

    /// Whether the event makes sense.
    ///
    /// # Errors
    /// [`Refused`]: a value that is not finite, a rating without one or outside 0.5 to 5, or an
    /// oversized `log_id`.
    pub fn check(&self) -> Result<(), Refused> {
        if self.value.is_some_and(|value| !value.is_finite()) {
            return Err(Refused::malformed("an event's value is not finite"));
        }
        if self.log_id.as_ref().is_some_and(|id| id.len() > LOG_ID_BYTES_MAX) {
            return Err(Refused::malformed(format!("a log_id is over {LOG_ID_BYTES_MAX} bytes")));
        }
        let rated = self.value.is_some_and(|value| (RATING_MIN..=RATING_MAX).contains(&value));
        if self.kind == EventKind::Rate && !rated {
            return Err(Refused::malformed("a rating needs a value of 0.5 to 5"));
        }
        Ok(())
    }

    /// What the event says of the item, -1 to 1. A rating maps its scale's ends to -1 and 1, so that
    /// the middle, 2.75, says nothing; behaviour says the more, the more it cost.
    #[must_use]
    pub fn weight(&self) -> f32 {
        match self.kind {
            EventKind::Impression => 0.0,
            EventKind::View => 0.3,
            EventKind::Play => 0.5,
            EventKind::Purchase | EventKind::Like | EventKind::Follow => 1.0,
            EventKind::Dislike | EventKind::Block => -1.0,
            EventKind::Rate => rating_weight(self.value.unwrap_or_default()),
        }
    }

    /// Whether the event makes the person one of the item's people: whatever speaks for the item.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.weight() > 0.0
    }
}

#[allow(clippy::cast_possible_truncation)] // -1 to 1 fits
fn rating_weight(value: f64) -> f32 {
    let middle = f64::midpoint(RATING_MIN, RATING_MAX);
    ((value - middle) / (RATING_MAX - middle)).clamp(-1.0, 1.0) as f32
}

/// Checks the events of one request: how many there are, and each.
///
/// # Errors
/// [`Refused`].
pub fn check_events(events: &[NewEvent]) -> Result<(), Refused> {
    check_count(events.len())?;
    events.iter().try_for_each(NewEvent::check)
}

/// Checks how many events there are.
pub(super) fn check_count(events: usize) -> Result<(), Refused> {
    if events > limits::EVENTS_MAX {
        return Err(Refused::malformed(format!("{events} events, at most {}", limits::EVENTS_MAX)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, value: Option<f64>, expected: Option<f32>) {
        let row = EventRow {
            format: FORMAT,
            id: "e1".into(),
            item: "318".into(),
            kind: kind.into(),
            value,
            ..EventRow::default()
        };
        let found = NewEvent::of(&row).ok().map(|event| event.weight());
        assert_eq!(found, expected, "{kind} {value:?}");
    }

    #[test]
    fn what_events_say() {
        check("rate", Some(5.0), Some(1.0));
        check("rate", Some(0.5), Some(-1.0));
        check("rate", Some(2.75), Some(0.0));
        check("rate", None, None);
        check("rate", Some(0.0), None);
        check("rate", Some(f64::NAN), None);
        check("rate", Some(1e300), None);
        check("view", Some(f64::INFINITY), None);
        check("view", None, Some(0.3));
        check("impression", None, Some(0.0));
        check("block", None, Some(-1.0));
        check("admire", None, None);
    }

    #[test]
    fn an_event_survives_its_row() {
        for kind in EventKind::ALL {
            let event = NewEvent {
                id: "e1".parse().unwrap(),
                item: "318".parse().unwrap(),
                kind,
                value: Some(4.0),
                at: UnixMillis(5),
                log_id: Some("l".into()),
                position: Some(0),
            };
            assert_eq!(NewEvent::of(&event.to_row()).unwrap(), event);
        }
    }
}
