//! What was acknowledged, and what may have happened: the only witness that invariants believe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One person's writes.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    /// Events that were acknowledged, and where they were said to be stored.
    pub acknowledged: BTreeMap<String, String>,
    /// Events that were sent without an acknowledgement.
    pub unsure: BTreeSet<String>,
    /// The last interest that was acknowledged.
    pub interest: Option<u64>,
    /// The last interest that was sent.
    pub interest_sent: Option<u64>,
}

/// What was asked of the cluster and what it answered. Shared by all clients.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Entries>);

/// The entries of a ledger.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    /// By person.
    pub people: BTreeMap<String, Writes>,
    /// Items that were acknowledged, with their number.
    pub items: BTreeMap<String, u64>,
    /// Slates that were answered.
    pub answers: u64,
    /// Of these, those that were answered without the person's home, and said so.
    pub without_home: u64,
    /// Slates that came as an error, by the error's words.
    pub failures: BTreeMap<String, u64>,
    /// Answers that the law or the person's choices do not allow.
    pub unlawful: Vec<String>,
}

impl Ledger {
    /// The entries, to be read or added to.
    pub fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an event is about to be sent.
    pub fn sends(&self, person: &str, event: &str) {
        let mut entries = self.entries();
        let writes = entries.people.entry(person.to_owned()).or_default();
        if !writes.acknowledged.contains_key(event) {
            writes.unsure.insert(event.to_owned());
        }
    }

    /// Notes that an event was acknowledged.
    pub fn acknowledged(&self, person: &str, event: &str, stored: &str) {
        let mut entries = self.entries();
        let writes = entries.people.entry(person.to_owned()).or_default();
        writes.unsure.remove(event);
        writes.acknowledged.insert(event.to_owned(), stored.to_owned());
    }
}

impl Entries {
    /// Acknowledgements in all.
    #[must_use]
    pub fn operations(&self) -> u64 {
        let events: usize = self.people.values().map(|writes| writes.acknowledged.len()).sum();
        (events + self.items.len()) as u64 + self.answers
    }

    /// How the slates fared, for a report.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let failures: u64 = self.failures.values().sum();
        let all = format!(
            "slates: {} answered, {} of them without home, {failures} errors",
            self.answers, self.without_home
        );
        let each = self.failures.iter().map(|(why, times)| format!("{times} x {why}"));
        std::iter::once(all).chain(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_no_longer_unsure_nor_becomes_so_again() {
        let ledger = Ledger::default();
        ledger.sends("a", "e-1");
        assert!(ledger.entries().people["a"].unsure.contains("e-1"));
        ledger.acknowledged("a", "e-1", "linked@eu");
        ledger.sends("a", "e-1");
        let entries = ledger.entries();
        assert!(entries.people["a"].unsure.is_empty());
        assert_eq!(entries.operations(), 1);
    }
}
