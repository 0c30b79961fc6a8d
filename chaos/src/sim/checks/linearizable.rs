//! The history of each register, a person's interests or an item, is that of one register: some order of its
//! operations agrees with when they began and ended, and every read finds the write before it.
//!
//! Found by search as Wing and Gong describe it, with states that led nowhere remembered (Lowe, 2017).

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::history::{Act, Operation};

/// Registers whose history no order explains.
#[must_use]
pub fn check(histories: &BTreeMap<String, Vec<Operation>>) -> Vec<String> {
    let wrong = histories.iter().filter(|(_, history)| !is_linearizable(history));
    wrong
        .map(|(register, history)| format!("{register}: no order explains {}", told(history)))
        .collect()
}

fn told(history: &[Operation]) -> String {
    let mut history = history.to_vec();
    history.sort_by_key(|operation| operation.began_us);
    let told = history.iter().map(|operation| {
        let end = operation.ended_us.map_or_else(|| "?".to_owned(), |end| (end / 1000).to_string());
        format!("{:?}@{}..{end}", operation.act, operation.began_us / 1000)
    });
    told.collect::<Vec<_>>().join(" ")
}

/// The operations that are done, one bit each, and the value that they left.
type Place = (u128, Option<u64>);

/// Whether some order explains `history`, which has at most 128 operations.
#[must_use]
pub fn is_linearizable(history: &[Operation]) -> bool {
    let due =
        (0..history.len()).filter(|at| history.get(*at).is_some_and(|o| o.ended_us.is_some()));
    let due = due.fold(0_u128, |bits, at| bits | 1 << at);
    let mut seen: BTreeSet<Place> = BTreeSet::new();
    let mut open: Vec<Place> = vec![(0, None)];
    while let Some(place) = open.pop() {
        if place.0 & due == due {
            return true;
        }
        if seen.insert(place) {
            open.extend(next(history, place));
        }
    }
    false
}

/// The operations that may come next: those that began before any that is left has ended.
fn next(history: &[Operation], (done, value): Place) -> Vec<Place> {
    let left = || history.iter().enumerate().filter(move |(at, _)| done & (1 << at) == 0);
    let first_end =
        left().filter_map(|(_, operation)| operation.ended_us).min().unwrap_or(u64::MAX);
    let may = left().filter(|(_, operation)| operation.began_us <= first_end);
    let after = may.filter_map(|(at, operation)| match operation.act {
        Act::Write(new) => Some((done | 1 << at, Some(new))),
        Act::Read(found) => (found == value).then_some((done | 1 << at, value)),
    });
    after.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: u64, began_us: u64, ended_us: Option<u64>) -> Operation {
        Operation { act: Act::Write(value), began_us, ended_us }
    }

    fn read(value: Option<u64>, began_us: u64, ended_us: u64) -> Operation {
        Operation { act: Act::Read(value), began_us, ended_us: Some(ended_us) }
    }

    #[test]
    fn histories_are_judged() {
        let check = |history: &[Operation], expected| {
            assert_eq!(is_linearizable(history), expected, "{history:?}");
        };
        check(&[], true);
        check(&[write(1, 0, Some(1)), read(Some(1), 2, 3)], true);
        check(&[write(1, 0, Some(1)), read(None, 2, 3)], false);
        // A read beside a write may find either value, but two reads in a row can't go back.
        check(&[write(1, 0, Some(9)), read(Some(1), 1, 2), read(None, 1, 2)], true);
        check(&[write(1, 0, Some(9)), read(Some(1), 1, 2), read(None, 3, 4)], false);
        // A write of unknown outcome may come late, or never.
        check(&[write(1, 0, Some(1)), write(2, 2, None), read(Some(1), 5, 6)], true);
        check(
            &[write(1, 0, Some(1)), write(2, 2, None), read(Some(1), 5, 6), read(Some(2), 7, 8)],
            true,
        );
        check(
            &[write(1, 0, Some(1)), write(2, 2, None), read(Some(2), 5, 6), read(Some(1), 7, 8)],
            false,
        );
        // Lost: acknowledged, and then an older value again.
        check(&[write(1, 0, Some(1)), write(2, 2, Some(3)), read(Some(1), 5, 6)], false);
    }
}
