//! When the rows of a generation were replaced or removed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::segment::{Death, Sequence};

/// A death a slot, and a bit a slot that says whether there may be one: searches look at the bits, of
/// which even a large index has only as many as a near cache holds.
#[derive(Debug)]
pub(crate) struct Deaths {
    marked: Vec<AtomicU64>,
    at: Vec<Death>,
}

impl Deaths {
    /// Nobody of `slots` is dead.
    pub(crate) fn none(slots: usize) -> Self {
        let marked: Vec<AtomicU64> = (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        // Bits beyond the last slot are set, so that it is looked up and found missing.
        if let Some(last) = marked.last().filter(|_| !slots.is_multiple_of(64)) {
            last.store(u64::MAX << (slots % 64), Ordering::Relaxed);
        }
        Self { marked, at: (0..slots).map(|_| Death::alive()).collect() }
    }

    /// Whether the slot exists and lives for a reader at `now`.
    #[inline(always)]
    pub(crate) fn spares(&self, slot: u32, now: Sequence) -> bool {
        let Some(word) = self.marked.get((slot >> 6) as usize) else { return false };
        word.load(Ordering::Relaxed) >> (slot & 63) & 1 == 0
            || self.at.get(slot as usize).is_some_and(|death| death.spares(now))
    }

    /// The write `now`, which is yet to be published, ends the slot. Whether there is such a slot.
    pub(crate) fn mark(&self, slot: u32, now: Sequence) -> bool {
        let Some(death) = self.at.get(slot as usize) else { return false };
        death.mark(now);
        if let Some(word) = self.marked.get((slot >> 6) as usize) {
            word.fetch_or(1 << (slot & 63), Ordering::Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_seen_by_readers_from_its_write_on() {
        let deaths = Deaths::none(70);
        assert!((0..70).all(|slot| deaths.spares(slot, 0)));
        assert!(!deaths.spares(70, 0) && !deaths.spares(5000, 0));
        assert!(deaths.mark(69, 4) && !deaths.mark(70, 4));
        assert!(deaths.spares(69, 3) && !deaths.spares(69, 4) && deaths.spares(68, 4));
    }
}
