//! A column of numbers as a file has it: of each slot its number, and the slots that have one in the numbers'
//! order, so that it is known exactly how many a range has, and the few of a narrow one are at hand.
//!
//! Little-endian: eight bytes a slot, [`ABSENT`] where there is none; four bytes of each slot that has one.

use crate::attributes::NUMBER_MIN;
use crate::bytes::unusable;
use crate::error::AnnError;
use crate::piece::Piece;

/// What stands for no number.
const ABSENT: i64 = NUMBER_MIN - 1;
const NUMBER_BYTES: usize = 8;
const SLOT_BYTES: usize = 4;

/// A column of numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    numbers: Piece,
    order: Piece,
}

impl Numbers {
    /// The column that `body` is, so many of `slots` slots having a number; none if it is of another size.
    pub(crate) fn of(body: &Piece, count: usize, slots: usize) -> Option<Self> {
        let (numbers, order) = body.split(slots.checked_mul(NUMBER_BYTES)?)?;
        (count.checked_mul(SLOT_BYTES) == Some(order.len())).then_some(Self { numbers, order })
    }

    /// Slots that have one.
    pub(crate) fn len(&self) -> usize {
        self.order.len() / SLOT_BYTES
    }

    /// The number of a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<i64> {
        let bytes = self.numbers.get(slot as usize * NUMBER_BYTES..)?.first_chunk()?;
        Some(i64::from_le_bytes(*bytes)).filter(|&number| number != ABSENT)
    }

    /// The slot with the `at`-th number.
    fn slot(&self, at: usize) -> Option<u32> {
        let bytes = self.order.get(at * SLOT_BYTES..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    fn ordered(&self, at: usize) -> Option<(i64, u32)> {
        let slot = self.slot(at)?;
        Some((self.get(slot)?, slot))
    }

    /// Slots with lesser numbers, by their order.
    fn below(&self, number: i64) -> usize {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.ordered(middle) {
                Some((found, _)) if found < number => from = middle + 1,
                _ => to = middle,
            }
        }
        from
    }

    /// Slots with a number of the range.
    pub(crate) fn count(&self, least: i64, most: i64) -> usize {
        self.places(least, most).len()
    }

    /// The slots with a number of the range, in the numbers' order.
    pub(crate) fn slots(&self, least: i64, most: i64) -> impl Iterator<Item = u32> {
        self.places(least, most).filter_map(|at| self.slot(at))
    }

    fn places(&self, least: i64, most: i64) -> std::ops::Range<usize> {
        let to = most.checked_add(1).map_or(self.len(), |beyond| self.below(beyond));
        self.below(least).min(to)..to
    }

    /// Whether each slot with a number, and no other, comes once, by number and slot.
    pub(crate) fn check(&self) -> Result<(), AnnError> {
        let unfit = || unusable("a column's numbers are out of order");
        let there = self.numbers.as_chunks().0.iter().filter(|n| i64::from_le_bytes(**n) != ABSENT);
        if there.count() != self.len() {
            return Err(unfit());
        }
        let mut before = None;
        for at in 0..self.len() {
            let now = self.ordered(at).ok_or_else(unfit)?;
            if before.is_some_and(|before| before >= now) {
                return Err(unfit());
            }
            before = Some(now);
        }
        Ok(())
    }
}

/// The bytes of a column of these numbers of `slots` slots, in the order of numbers and slots.
pub(crate) fn encode(slots: usize, ordered: &[(i64, u32)]) -> Vec<u8> {
    let mut bytes = ABSENT.to_le_bytes().repeat(slots);
    let numbers = bytes.as_chunks_mut().0;
    for &(number, slot) in ordered {
        numbers.get_mut(slot as usize).into_iter().for_each(|n| *n = number.to_le_bytes());
    }
    bytes.extend(ordered.iter().flat_map(|(_, slot)| slot.to_le_bytes()));
    bytes
}
