//! What sums of learning told of people: a ledger that outlives runs and their coordinators.

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::learning::Rho;
use bailiwick_proto::store::control_row::Row;
use bailiwick_proto::store::{PrivacyLedger, PrivacySpent, SpendPrivacy};

use super::learning::{row, running};
use super::machine::{Key, put};
use crate::raft::machine::View;

/// What was told longer ago no longer counts.
const WINDOW_MS: i64 = 365 * 24 * 3600 * 1000;
/// Entries at most; older ones are then added up.
const ENTRIES_MAX: usize = 1000;

fn is_recent(spent: &PrivacySpent, now_ms: i64) -> bool {
    spent.at_ms > now_ms.saturating_sub(WINDOW_MS)
}

/// The entries that count at `now`, oldest first.
pub fn recent(ledger: &PrivacyLedger, now: UnixMillis) -> impl Iterator<Item = &PrivacySpent> {
    ledger.spent.iter().filter(move |spent| is_recent(spent, now.0))
}

/// What all runs with noise cost together that count at `now`.
#[must_use]
pub fn total(ledger: &PrivacyLedger, now: UnixMillis) -> Rho {
    recent(ledger, now).filter_map(|spent| spent.rho).map(Rho).fold(Rho::default(), Rho::plus)
}

/// What a run paid for, with all its coordinators.
#[must_use]
pub fn spent_by(ledger: &PrivacyLedger, run: &[u8]) -> Rho {
    let of_run = ledger.spent.iter().filter(|spent| spent.run == run);
    of_run.filter_map(|spent| spent.rho).map(Rho).fold(Rho::default(), Rho::plus)
}

/// Notes what a run is about to spend.
pub(super) fn spend(spend: SpendPrivacy, at_ms: i64, view: &mut View<'_>) -> Result<(), String> {
    running(view, &spend.run)?;
    let spent = spend.spent.ok_or("nothing is spent")?;
    if spent.rho.is_some_and(|rho| !rho.is_finite() || rho <= 0.0) {
        return Err("rho must be finite and above 0".into());
    }
    let mut ledger = match row(view, Key::Privacy) {
        Some(Row::Privacy(ledger)) => ledger,
        _ => PrivacyLedger::default(),
    };
    ledger.spent.retain(|spent| is_recent(spent, at_ms));
    ledger.spent.push(PrivacySpent { run: spend.run, at_ms, ..spent });
    if ledger.spent.len() > ENTRIES_MAX {
        let oldest = ledger.spent.remove(0);
        if let (Some(next), Some(rho)) = (ledger.spent.first_mut(), oldest.rho) {
            next.rho = Some(next.rho.unwrap_or_default() + rho);
        }
    }
    put(view, Key::Privacy, Row::Privacy(ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_ago_no_longer_counts() {
        let at = |at_ms: i64, rho| PrivacySpent { at_ms, rho, ..PrivacySpent::default() };
        let spent = vec![at(0, Some(4.0)), at(10, Some(1.0)), at(20, None), at(30, Some(2.0))];
        let ledger = PrivacyLedger { spent };
        let total = |now: i64| super::total(&ledger, UnixMillis(now)).0;
        assert_eq!([total(40), total(WINDOW_MS), total(WINDOW_MS + 15)], [7.0, 3.0, 2.0]);
        assert_eq!(recent(&ledger, UnixMillis(WINDOW_MS + 25)).count(), 1);
    }
}
