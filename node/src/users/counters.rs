//! Counters of an item's people, and how their weight fades.

use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::policy::Decision;
use bailiwick_proto::store::CounterRow;

use super::draft::Draft;
use super::outcome::Stop;
use super::schema::{FORMAT, RowKind};
use crate::seal::TENANT;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;
/// After this many days a weight counts half.
const HALF_LIFE_DAYS: i64 = 30;

/// The number of the day that a moment falls on, since 1970-01-01 UTC; none before and far beyond.
pub(super) fn day_of(at: UnixMillis) -> Option<u32> {
    u32::try_from(at.0.div_euclid(DAY_MS)).ok()
}

/// Whether a person is counted among the people of what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// As everybody.
    Counted,
    /// Not at all: the law bounds what sums may tell of them, and counters have no noise.
    Uncounted,
}

impl Counting {
    /// What a decision on events lets be counted.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        match decision.epsilon_max() {
            None => Self::Counted,
            Some(_) => Self::Uncounted,
        }
    }
}

/// A person, or a person of one day, was counted.
pub(super) enum Counted {
    /// One with linked events, once for ever.
    Linked,
    /// One with aggregate events, once a day.
    OnDay(u32),
}

/// Adds one person with `weight` to an item's counter.
///
/// INVARIANT: people with linked events and people of different days can't be told apart from each
/// other, so their numbers are never added up: what is released is the largest of them.
pub(super) fn count(
    draft: &mut Draft<'_, '_>,
    item: &ItemId,
    counted: &Counted,
    weight: f64,
    at: UnixMillis,
) -> Result<(), Stop> {
    let key = RowKind::Counter.key(TENANT, &[item.as_str().as_bytes()]);
    let mut row: CounterRow = draft.get_plain(&key)?.unwrap_or_default();
    row.format = FORMAT;
    match counted {
        Counted::Linked => row.people = row.people.saturating_add(1),
        Counted::OnDay(day) => {
            if row.day != *day {
                (row.day, row.day_people) = (*day, 0);
            }
            row.day_people = row.day_people.saturating_add(1);
            row.day_best = row.day_best.max(row.day_people);
        }
    }
    add_weight(&mut row, weight, at);
    draft.put_plain(key, &row)
}

/// Takes back what a person with linked events added to an item's counter on `day`. A counter that nobody is left in
/// goes, so that nothing tells that there was one.
pub(super) fn uncount(draft: &mut Draft<'_, '_>, item: &ItemId, day: u32) -> Result<(), Stop> {
    let key = RowKind::Counter.key(TENANT, &[item.as_str().as_bytes()]);
    let Some(mut row) = draft.get_plain::<CounterRow>(&key)? else { return Ok(()) };
    row.people = row.people.saturating_sub(1);
    let days = row.at_ms.div_euclid(DAY_MS) - i64::from(day);
    row.weight = (row.weight - faded(days)).max(0.0);
    if row.people == 0 && row.day_best == 0 {
        draft.delete(key);
        return Ok(());
    }
    draft.put_plain(key, &row)
}

/// Brings the weight to the later of the two days, and adds.
fn add_weight(row: &mut CounterRow, weight: f64, at: UnixMillis) {
    let at_ms = at.0.div_euclid(DAY_MS).saturating_mul(DAY_MS);
    let days = (at_ms - row.at_ms).div_euclid(DAY_MS);
    if days >= 0 {
        row.weight = row.weight * faded(days) + weight;
        row.at_ms = at_ms;
    } else {
        row.weight += weight * faded(-days);
    }
}

/// What is left of a weight of 1 after so many days: `2^(-days / 30)`.
///
/// The same bits on every machine: only products of stored constants, whose rounding IEEE 754 fixes,
/// and not `exp2`, which every libm rounds as it likes.
#[must_use]
pub(super) fn faded(days: i64) -> f64 {
    // 2^(-1/30), 2^(-2/30), 2^(-4/30), 2^(-8/30), 2^(-16/30), each the nearest f64.
    const POWERS: [f64; 5] = [
        0.977_159_968_434_245_9,
        0.954_841_603_910_416_5,
        0.911_722_488_558_217,
        0.831_237_896_142_787_8,
        0.690_956_439_983_888_2,
    ];
    let (halvings, rest) = (days.max(0) / HALF_LIFE_DAYS, days.max(0) % HALF_LIFE_DAYS);
    let part = (0..).zip(POWERS).filter(|(bit, _)| rest >> bit & 1 == 1).map(|(_, power)| power);
    // Halving is exact; after 1000 half-lives nothing is left.
    let halved = (0..halvings.min(1000)).fold(1.0, |left, _| left * 0.5);
    part.fold(halved, |left, power| left * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_halves_in_thirty_days() {
        assert_eq!(faded(0), 1.0);
        assert_eq!(faded(30), 0.5);
        assert_eq!(faded(90), 0.125);
        for days in 0..400_i32 {
            let exact = 2_f64.powf(-f64::from(days) / 30.0);
            let found = faded(days.into());
            assert!((found / exact - 1.0).abs() < 1e-14, "{days}: {found} {exact}");
        }
        assert!(faded(i64::MAX) < 1e-300);
    }

    #[test]
    fn weights_of_one_day_add_up_exactly_in_any_order() {
        let mut row = CounterRow::default();
        for hour in [13, 2, 23, 0] {
            add_weight(&mut row, 1.0, UnixMillis(20_000 * DAY_MS + hour * 3_600_000));
        }
        assert_eq!((row.weight, row.at_ms), (4.0, 20_000 * DAY_MS));
        add_weight(&mut row, 1.0, UnixMillis(19_970 * DAY_MS));
        assert_eq!((row.weight, row.at_ms), (4.5, 20_000 * DAY_MS));
    }
}
