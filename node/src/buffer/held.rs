//! What waits, as it is known in memory.

use std::collections::BTreeMap;

use bailiwick_core::ids::UnixMillis;

use super::error::BufferError;

/// How much may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferBounds {
    /// Batches.
    pub batches_max: usize,
    /// Bytes of all files.
    pub bytes_max: u64,
    /// Age after which a batch is dropped: `decide` allows 24 h.
    pub age_ms_max: i64,
}

impl Default for BufferBounds {
    fn default() -> Self {
        Self { batches_max: 100_000, bytes_max: 256 << 20, age_ms_max: 24 * 3600 * 1000 }
    }
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Batches.
    pub batches: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

/// A file's name without its ending. Its order is the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    received_ms: u64,
    number: u64,
}

impl Ticket {
    pub(super) fn name(self, ending: &str) -> String {
        format!("{:020}-{:020}.{ending}", self.received_ms, self.number)
    }

    pub(super) fn of(name: &str) -> Option<(Self, &str)> {
        let (stem, ending) = name.split_once('.')?;
        let (received_ms, number) = stem.split_once('-')?;
        Some((
            Self { received_ms: received_ms.parse().ok()?, number: number.parse().ok()? },
            ending,
        ))
    }

    pub(super) fn is_over(self, now: UnixMillis, age_ms_max: i64) -> bool {
        let received = i64::try_from(self.received_ms).unwrap_or(i64::MAX);
        now.0.saturating_sub(received) > age_ms_max
    }
}

/// The files that wait, and the room they take.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whole files and their sizes.
    files: BTreeMap<Ticket, u64>,
    /// Of the whole files and of those that are being written.
    waiting: Waiting,
    /// The next file's number.
    next: u64,
}

impl Held {
    /// How much waits.
    pub(super) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// When the oldest was taken.
    pub(super) fn oldest(&self) -> Option<UnixMillis> {
        let (ticket, _) = self.files.first_key_value()?;
        Some(UnixMillis(i64::try_from(ticket.received_ms).unwrap_or(i64::MAX)))
    }

    /// Oldest first.
    pub(super) fn tickets(&self) -> Vec<Ticket> {
        self.files.keys().copied().collect()
    }

    /// Reserves room for a file that is about to be written, so that batches that are put at once keep
    /// the bounds together.
    pub(super) fn reserve(
        &mut self,
        received: UnixMillis,
        bytes: u64,
        bounds: &BufferBounds,
    ) -> Result<Ticket, BufferError> {
        let Waiting { batches, bytes: taken } = self.waiting;
        if batches >= bounds.batches_max || taken.saturating_add(bytes) > bounds.bytes_max {
            return Err(BufferError::Full { batches, bytes: taken });
        }
        self.take(bytes);
        let number = self.next;
        self.next = number.saturating_add(1);
        Ok(Ticket { received_ms: u64::try_from(received.0).unwrap_or_default(), number })
    }

    /// Gives back the room of a file that was not written.
    pub(super) fn release(&mut self, bytes: u64) {
        self.waiting.batches = self.waiting.batches.saturating_sub(1);
        self.waiting.bytes = self.waiting.bytes.saturating_sub(bytes);
    }

    /// The file of a reserved ticket is whole.
    pub(super) fn written(&mut self, ticket: Ticket, bytes: u64) {
        self.files.insert(ticket, bytes);
    }

    /// Takes in a file that an earlier process wrote.
    pub(super) fn adopt(&mut self, ticket: Ticket, bytes: u64) {
        self.take(bytes);
        self.written(ticket, bytes);
        self.next = self.next.max(ticket.number.saturating_add(1));
    }

    /// The file is gone.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        if let Some(bytes) = self.files.remove(&ticket) {
            self.release(bytes);
        }
    }

    fn take(&mut self, bytes: u64) {
        self.waiting.batches += 1;
        self.waiting.bytes = self.waiting.bytes.saturating_add(bytes);
    }
}
