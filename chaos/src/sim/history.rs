//! Reads and writes of registers, with when each began and ended: what linearizability is judged by.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Operations of one register that are kept; beyond them a client leaves it alone.
pub const OPERATIONS_MAX: usize = 100;

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Set this value.
    Write(u64),
    /// Found this value; none: nothing was ever written.
    Read(Option<u64>),
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What it did.
    pub act: Act,
    /// When it began, in microseconds; of a read that may be stale, earlier by as much.
    pub began_us: u64,
    /// When it was answered; none where its outcome is unknown: then it may take effect at any time, or never.
    pub ended_us: Option<u64>,
}

/// The histories of all registers, by name.
#[derive(Debug, Default)]
pub struct Histories(Mutex<BTreeMap<String, Vec<Operation>>>);

impl Histories {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Operation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operation to a register's history.
    pub fn add(&self, register: &str, operation: Operation) {
        self.all().entry(register.to_owned()).or_default().push(operation);
    }

    /// Whether the register's history is full.
    #[must_use]
    pub fn full(&self, register: &str) -> bool {
        self.all().get(register).is_some_and(|known| known.len() >= OPERATIONS_MAX)
    }

    /// All of them.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, Vec<Operation>> {
        self.all().clone()
    }
}
