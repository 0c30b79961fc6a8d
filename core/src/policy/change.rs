//! What a change of policy is: tightening, loosening, or neither.

use super::cells::{Cell, Run, runs};
use super::effective::{Policy, compare};
use super::order::Order;
use super::vocabulary::Service;
use super::word::words;

words! {
    /// How a new policy stands to the old one.
    Change, "change" {
        /// Equal.
        Same = "same",
        /// The new one is at least as strict: one approver.
        Tightening = "tightening",
        /// The new one is laxer: two approvers, a reason, a delay.
        Loosening = "loosening",
        /// Neither: treated as a loosening.
        Incomparable = "incomparable",
    }
}

impl Change {
    /// From the two halves of a comparison.
    #[must_use]
    pub fn of(new_le_old: bool, old_le_new: bool) -> Self {
        match (new_le_old, old_le_new) {
            (true, true) => Self::Same,
            (true, false) => Self::Tightening,
            (false, true) => Self::Loosening,
            (false, false) => Self::Incomparable,
        }
    }

    /// The change that two changes of different fields make together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Same, change) | (change, Self::Same) => change,
            (a, b) if a == b => a,
            _ => Self::Incomparable,
        }
    }

    /// Compares two values of one type.
    pub fn between<T: Order>(old: &T, new: &T) -> Self {
        Self::of(new.within(old), old.within(new))
    }
}

/// One field of two policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The field's path in a pack file; of age rules, with the kinds of service and the years.
    pub field: String,
    /// How the new value stands to the old.
    pub change: Change,
    /// The old value.
    pub old: String,
    /// The new value.
    pub new: String,
}

impl FieldChange {
    pub(crate) fn new(field: &str, change: Change, old: impl ToString, new: impl ToString) -> Self {
        Self { field: field.to_owned(), change, old: old.to_string(), new: new.to_string() }
    }
}

/// The whole change between two policies.
#[must_use]
pub fn classify(old: &Policy, new: &Policy) -> Change {
    Change::between(old, new)
}

/// Every field of two policies, in order; age rules by runs of years that change alike.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(old.fields(), new.fields(), |path, new_le, old_le, was, is| {
        if path == "age_rules" && !(new_le && old_le) {
            found.extend(cell_changes(old, new));
        } else if path == "age_rules" {
            found.push(FieldChange::new(path, Change::Same, "", ""));
        } else {
            found.push(FieldChange::new(path, Change::of(new_le, old_le), was, is));
        }
    });
    found
}

fn cell_changes(old: &Policy, new: &Policy) -> Vec<FieldChange> {
    let pair = |service: Service, age| {
        (old.fields().cells.at(service, age), new.fields().cells.at(service, age))
    };
    runs(pair).iter().filter(|run| run.value.0 != run.value.1).flat_map(cell_change).collect()
}

fn cell_change(run: &Run<(Cell, Cell)>) -> Vec<FieldChange> {
    let (old, new) = &run.value;
    let named = |part: &str| format!("age_rules[{run}].{part}");
    let mut parts = vec![
        part(named("basis"), &old.basis, &new.basis),
        part(named("without"), &old.without, &new.without),
        part(named("with"), &old.with, &new.with),
        part(named("events_without"), &old.events_without, &new.events_without),
        part(named("events_with"), &old.events_with, &new.events_with),
    ];
    parts.retain(|part| part.change != Change::Same);
    parts
}

fn part<T: Order + ToString>(field: String, old: &T, new: &T) -> FieldChange {
    FieldChange::new(&field, Change::between(old, new), old.to_string(), new.to_string())
}
