//! What is popular in a group: kept in memory, released only for at least `k_min` people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use bailiwick_core::ids::ItemId;
use bailiwick_proto::store::CounterRow;
use bytes::Bytes;

use super::counters::{DAY_MS, faded};
use super::schema::{RowKind, counted_item};
use super::vault::decode;
use crate::seal::TENANT;
use crate::store::reader::Reader;

/// Rows read at once while everything is read anew.
const PAGE: usize = 4096;

/// The popular items of one group.
#[derive(Default)]
pub struct Popularity {
    board: RwLock<Board>,
}

impl std::fmt::Debug for Popularity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Popularity")
    }
}

/// Counters in the order of their weight.
#[derive(Default)]
struct Board {
    counters: BTreeMap<ItemId, Counter>,
    ranked: BTreeSet<(Rank, ItemId)>,
    /// How many items have so many people.
    sizes: BTreeMap<u32, usize>,
    /// The newest day of any counter.
    newest: i64,
}

#[derive(Clone, Copy, PartialEq)]
struct Counter {
    people: u32,
    weight: f64,
    day: i64,
}

/// Falls as the weight rises, the same whichever day two counters are compared on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(i64);

impl Counter {
    fn of(row: &CounterRow) -> Self {
        // INVARIANT: linked people and people of one day may be the same ones: the larger number is
        // proved, their sum is not.
        let people = row.people.max(row.day_best);
        Self { people, weight: row.weight, day: row.at_ms.div_euclid(DAY_MS) }
    }

    /// `-(log2 w + day / 30)` in millionths: a later day counts as much more as it has faded less.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // saturates, in order
    fn rank(self) -> Rank {
        let score = self.weight.max(f64::MIN_POSITIVE).log2() + self.day as f64 / 30.0;
        Rank((score * -1e6) as i64)
    }
}

impl Board {
    fn set(&mut self, item: ItemId, counter: Option<Counter>) {
        if let Some(old) = self.counters.remove(&item) {
            self.ranked.remove(&(old.rank(), item.clone()));
            if let Some(size) = self.sizes.get_mut(&old.people) {
                *size = size.saturating_sub(1);
            }
            if self.sizes.get(&old.people) == Some(&0) {
                self.sizes.remove(&old.people);
            }
        }
        if let Some(new) = counter {
            self.newest = self.newest.max(new.day);
            *self.sizes.entry(new.people).or_default() += 1;
            self.ranked.insert((new.rank(), item.clone()));
            self.counters.insert(item, new);
        }
    }

    /// The first `most` items with at least `k_min` people, without looking further than the last.
    fn released(&self, k_min: u32, most: usize) -> Vec<(ItemId, f64)> {
        // Nobody at all is never enough.
        let k_min = k_min.max(1);
        let enough: usize = self.sizes.range(k_min..).map(|(_, size)| size).sum();
        let counters = self.ranked.iter().filter_map(|(_, item)| {
            self.counters.get(item).filter(|c| c.people >= k_min).map(|c| (item, c))
        });
        counters
            .take(most.min(enough))
            .map(|(item, c)| (item.clone(), c.weight * faded(self.newest - c.day)))
            .collect()
    }
}

impl Popularity {
    /// The `most` popular items with at least `k_min` distinct people, and their weight as of the
    /// newest day that this group counted on, heaviest first.
    #[must_use]
    pub fn popular(&self, k_min: u32, most: usize) -> Vec<(ItemId, f64)> {
        self.board.read().unwrap_or_else(PoisonError::into_inner).released(k_min, most)
    }

    /// Takes in what a batch wrote.
    pub(super) fn update(&self, rows: &[(Bytes, Option<Bytes>)]) {
        let counters = rows.iter().filter(|(key, _)| RowKind::of(key) == Some(RowKind::Counter));
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in counters {
            if let Some(item) = counted_item(key) {
                board.set(item, value.as_deref().and_then(counter));
            }
        }
    }

    /// Starts over from the stored rows.
    pub(super) fn reload(&self, reader: &Reader) {
        let mut board = Board::default();
        let prefix = RowKind::Counter.key(TENANT, &[]);
        let mut after: Option<Bytes> = None;
        loop {
            let rows = match reader.scan_prefix(&prefix, after.as_deref(), PAGE) {
                Ok(rows) => rows,
                Err(error) => {
                    // Nothing is released rather than half of it; the store ends the process if it
                    // fails for good.
                    tracing::error!(%error, "popularity could not be read");
                    board = Board::default();
                    break;
                }
            };
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            for row in &rows {
                if let Some(item) = counted_item(&row.key) {
                    board.set(item, counter(&row.value));
                }
            }
        }
        *self.board.write().unwrap_or_else(PoisonError::into_inner) = board;
    }
}

fn counter(value: &[u8]) -> Option<Counter> {
    decode::<CounterRow>(value).ok().map(|row| Counter::of(&row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn batch(item: &str, row: &CounterRow) -> (Bytes, Option<Bytes>) {
        let key = RowKind::Counter.key(TENANT, &[item.as_bytes()]);
        (key.into(), Some(row.encode_to_vec().into()))
    }

    fn row(people: u32, day_best: u32, weight: f64, day: i64) -> CounterRow {
        CounterRow {
            format: 1,
            people,
            day_best,
            weight,
            at_ms: day * DAY_MS,
            ..CounterRow::default()
        }
    }

    fn names(list: &[(ItemId, f64)]) -> Vec<&str> {
        list.iter().map(|(item, _)| item.as_str()).collect()
    }

    #[test]
    fn the_larger_of_two_counts_is_what_is_proved() {
        let popularity = Popularity::default();
        popularity.update(&[batch("a", &row(12, 12, 24.0, 0)), batch("b", &row(3, 20, 1.0, 0))]);
        assert_eq!(names(&popularity.popular(20, 10)), ["b"], "12 and 12 may be the same people");
        assert_eq!(names(&popularity.popular(12, 10)), ["a", "b"]);
        assert_eq!(names(&popularity.popular(12, 1)), ["a"]);
        assert!(popularity.popular(0, 10).len() == 2 && popularity.popular(21, 10).is_empty());
    }

    #[test]
    fn older_weight_counts_less() {
        let popularity = Popularity::default();
        popularity.update(&[batch("old", &row(9, 0, 9.0, 0)), batch("new", &row(9, 0, 5.0, 30))]);
        assert_eq!(
            popularity.popular(5, 9).iter().map(|(_, w)| *w).collect::<Vec<_>>(),
            [5.0, 4.5]
        );
    }

    proptest! {
        /// Whatever is counted, and however often it is updated, nothing below `k_min` is released,
        /// nothing above it is missing, and the order is by weight.
        #[test]
        fn released_is_exactly_what_has_enough_people(
            updates in prop::collection::vec((0..8_u8, 0..40_u32, 0..40_u32, 0.1..99.0, 0..90_i64), 0..60),
            k_min in 1..40_u32,
        ) {
            let popularity = Popularity::default();
            let mut last = BTreeMap::new();
            for (item, people, day_best, weight, day) in updates {
                let row = row(people, day_best, weight, day);
                popularity.update(&[batch(&item.to_string(), &row)]);
                last.insert(item.to_string(), people.max(day_best));
            }
            let released = popularity.popular(k_min, usize::MAX);
            let mut found: Vec<_> = names(&released);
            found.sort_unstable();
            let expected: Vec<_> =
                last.iter().filter(|(_, people)| **people >= k_min).map(|(item, _)| item.as_str()).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(released.windows(2).all(|w| w[0].1 >= w[1].1 * (1.0 - 1e-5)));
        }
    }
}
