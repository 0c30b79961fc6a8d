//! How often a node did what with generations.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Built here.
    Built,
    /// Named in the catalogue's log, after it was built here.
    Named,
    /// Fetched from a peer and taken over.
    Fetched,
    /// Taken over from this node's own disk.
    Opened,
    /// Not to be had, or of no use.
    Failed,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Built, Self::Named, Self::Fetched, Self::Opened, Self::Failed];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Named => "named",
            Self::Fetched => "fetched",
            Self::Opened => "opened",
            Self::Failed => "failed",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Built => 0,
            Self::Named => 1,
            Self::Fetched => 2,
            Self::Opened => 3,
            Self::Failed => 4,
        }
    }
}

/// Counts since the node started.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; How::ALL.len()]);

impl Counts {
    pub(super) fn note(&self, how: How) {
        if let Some(count) = self.0.get(how.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often it was done.
    #[must_use]
    pub fn of(&self, how: How) -> u64 {
        self.0.get(how.place()).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
