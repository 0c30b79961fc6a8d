//! The profile that recommending reads: the newest opinions and behaviour, one entry an item.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bailiwick_proto::store::{Interaction, ProfileRow};
use prost::Message as _;

use super::event::{Feeds, NewEvent, feeds};
use super::schema::FORMAT;

/// Entries of each part.
pub(super) const ENTRIES_MAX: usize = 500;
/// Bytes of the encoded profile.
pub(super) const PROFILE_BYTES_MAX: usize = 48 << 10;

/// A profile while a command is applied.
pub(super) struct Draft {
    row: ProfileRow,
    changed: bool,
}

impl Draft {
    pub(super) fn new(row: Option<ProfileRow>) -> Self {
        Self { row: row.unwrap_or_default(), changed: false }
    }

    /// Takes an event in.
    pub(super) fn absorb(&mut self, event: &NewEvent) {
        let part = match feeds(event.kind) {
            Feeds::Nothing => return,
            Feeds::Explicit => &mut self.row.explicit,
            Feeds::Behaviour => &mut self.row.behaviour,
        };
        self.changed = true;
        let new = Interaction {
            item: event.item.as_str().to_owned(),
            weight: event.weight(),
            at_ms: event.at.0,
            kind: event.kind.as_str().to_owned(),
        };
        match part.iter_mut().find(|old| old.item == new.item) {
            Some(old) => merge(old, new, feeds(event.kind)),
            None => part.push(new),
        }
    }

    /// The row to write, within its bounds and in order; none when nothing changed.
    pub(super) fn finish(mut self) -> Option<ProfileRow> {
        if !self.changed {
            return None;
        }
        self.row.format = FORMAT;
        let mut dropped = keep_newest(&mut self.row.explicit, ENTRIES_MAX);
        dropped.append(&mut keep_newest(&mut self.row.behaviour, ENTRIES_MAX));
        let before = std::mem::take(&mut self.row.older);
        while self.row.encoded_len() > PROFILE_BYTES_MAX {
            dropped.extend(drop_oldest(&mut self.row));
        }
        self.remember(dropped, before);
        Some(self.row)
    }

    /// Notes that what was pushed out, now or `before`, had been seen: the newest first, as far as there is room.
    fn remember(&mut self, mut dropped: Vec<Interaction>, before: Vec<String>) {
        dropped.sort_by(|a, b| newest(b, a));
        let row = &self.row;
        let mut known: BTreeSet<String> =
            row.explicit.iter().chain(&row.behaviour).map(|entry| entry.item.clone()).collect();
        let mut room = PROFILE_BYTES_MAX.saturating_sub(row.encoded_len());
        let fits = |item: &String| {
            let left = room.checked_sub(older_bytes(item));
            room = left.unwrap_or_default();
            left.is_some()
        };
        let older = dropped.into_iter().map(|entry| entry.item).chain(before);
        self.row.older = older.filter(|item| known.insert(item.clone())).take_while(fits).collect();
    }
}

/// Bytes of an item's id in the row: itself, its tag and its length, which is below 2^14.
fn older_bytes(item: &str) -> usize {
    item.len() + 3
}

/// Of two opinions on one item the newest holds. Of behaviour the strongest stays and the newest time
/// counts: looking at what one has bought takes nothing back. Either way the order of arrival does not
/// matter.
fn merge(old: &mut Interaction, new: Interaction, part: Feeds) {
    match part {
        Feeds::Explicit if newest(&new, old).is_gt() => *old = new,
        Feeds::Behaviour => {
            let at_ms = old.at_ms.max(new.at_ms);
            if new.weight.total_cmp(&old.weight).is_gt() {
                *old = new;
            }
            old.at_ms = at_ms;
        }
        _ => (),
    }
}

/// A total order, so that replicas and orders of arrival agree: by time, then by what is said.
fn newest(a: &Interaction, b: &Interaction) -> Ordering {
    a.at_ms
        .cmp(&b.at_ms)
        .then_with(|| a.item.cmp(&b.item))
        .then_with(|| a.weight.total_cmp(&b.weight))
        .then_with(|| a.kind.cmp(&b.kind))
}

/// Newest first, cut to `most`; what is cut off.
fn keep_newest(part: &mut Vec<Interaction>, most: usize) -> Vec<Interaction> {
    part.sort_by(|a, b| newest(b, a));
    part.split_off(most.min(part.len()))
}

fn drop_oldest(row: &mut ProfileRow) -> Option<Interaction> {
    let explicit_is_older = match (row.explicit.last(), row.behaviour.last()) {
        (Some(explicit), Some(behaviour)) => newest(explicit, behaviour).is_lt(),
        (explicit, _) => explicit.is_some(),
    };
    let part = if explicit_is_older { &mut row.explicit } else { &mut row.behaviour };
    part.pop()
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ids::UnixMillis;

    use super::super::event::EventKind;
    use super::*;

    fn event(item: &str, kind: EventKind, at: i64) -> NewEvent {
        NewEvent {
            id: "e".parse().unwrap(),
            item: item.parse().unwrap(),
            kind,
            value: Some(4.0),
            at: UnixMillis(at),
            log_id: None,
            position: None,
        }
    }

    fn after(events: &[NewEvent]) -> ProfileRow {
        let mut draft = Draft::new(None);
        events.iter().for_each(|e| draft.absorb(e));
        draft.finish().unwrap_or_default()
    }

    #[test]
    fn the_newest_opinion_holds_in_whatever_order_it_came() {
        let (like, dislike) = (event("a", EventKind::Like, 1), event("a", EventKind::Dislike, 2));
        for row in [after(&[like.clone(), dislike.clone()]), after(&[dislike, like])] {
            assert_eq!(row.explicit.len(), 1);
            assert_eq!((row.explicit[0].weight, row.explicit[0].at_ms), (-1.0, 2));
        }
    }

    #[test]
    fn looking_at_what_was_bought_takes_nothing_back() {
        let row = after(&[event("a", EventKind::Purchase, 1), event("a", EventKind::View, 2)]);
        assert_eq!((row.behaviour[0].weight, row.behaviour[0].at_ms), (1.0, 2));
        assert_eq!(row.behaviour[0].kind, "purchase");
    }

    /// A history of 10^5, in parts: the newest count, as many as there is room for are remembered, and the row
    /// stays within its bounds.
    #[test]
    fn a_long_history_is_bounded_and_its_newest_are_remembered() {
        let mut row = ProfileRow::default();
        for part in 0..100 {
            let mut draft = Draft::new(Some(row));
            let events = part * 1000..(part + 1) * 1000;
            events.for_each(|n| draft.absorb(&event(&format!("{n:08}"), EventKind::Like, n)));
            row = draft.finish().unwrap();
            assert!(row.encoded_len() <= PROFILE_BYTES_MAX);
        }
        assert_eq!(row.explicit.len(), ENTRIES_MAX);
        let seen = row.explicit.iter().map(|entry| entry.item.clone()).chain(row.older.clone());
        let newest: Vec<String> = (0..100_000).rev().map(|n| format!("{n:08}")).collect();
        let seen: Vec<String> = seen.collect();
        assert!(seen.len() > 2000, "{}", seen.len());
        assert_eq!(seen, newest[..seen.len()]);
        // Who takes up again what is long past does not have it twice.
        let mut draft = Draft::new(Some(row.clone()));
        draft.absorb(&event(row.older.first().unwrap(), EventKind::Like, 100_001));
        let again = draft.finish().unwrap();
        assert_eq!(again.explicit[0].item, row.older[0]);
        assert!(!again.older.contains(&row.older[0]));
    }

    #[test]
    fn impressions_feed_nothing() {
        assert_eq!(after(&[event("a", EventKind::Impression, 1)]), ProfileRow::default());
    }

    #[test]
    fn the_newest_stay_within_count_and_bytes() {
        let many: Vec<_> = (0..600).map(|n| event(&format!("i{n}"), EventKind::Like, n)).collect();
        let row = after(&many);
        assert_eq!(row.explicit.len(), ENTRIES_MAX);
        assert_eq!((row.explicit[0].at_ms, row.explicit[499].at_ms), (599, 100));
        let older: Vec<String> = (0..100).rev().map(|n| format!("i{n}")).collect();
        assert_eq!(row.older, older, "what is pushed out was seen all the same");
        let long = |n: i64, kind| event(&format!("{n:0>128}"), kind, n);
        let big: Vec<_> = (0..500)
            .flat_map(|n| [long(2 * n, EventKind::Like), long(2 * n + 1, EventKind::View)])
            .collect();
        let row = after(&big);
        assert!(row.encoded_len() <= PROFILE_BYTES_MAX);
        assert!(row.encoded_len() > PROFILE_BYTES_MAX - 200, "no more goes than has to");
        assert_eq!(row.older, Vec::<String>::new(), "opinions go before what was merely seen");
        let oldest = row.explicit.iter().chain(&row.behaviour).map(|i| i.at_ms).min().unwrap();
        assert_eq!(
            row.explicit.len() + row.behaviour.len(),
            usize::try_from(1000 - oldest).unwrap()
        );
    }
}
