//! The vectors of a generation: as they came, or where memory counts more, in twelve bits a value.
//!
//! The twelve bits are the eight of the code, which is there anyway, and four of what the code leaves
//! over: a thirtieth of a code's unit is the most that a value is off.

use crate::codes::{Coder, Codes};
use crate::error::AnnError;
use crate::matrix::Rows;
use crate::memory::Huge;
use crate::sift::prefetch;
use crate::table::Table;

/// Steps that a code's unit is divided into.
const STEPS: f32 = 15.0;
/// Values of a cache line.
const PER_LINE: usize = 16;

/// The vectors of a generation.
#[derive(Debug)]
pub(crate) enum Vectors {
    /// As they came.
    Exact(Table<f32>),
    /// What their codes leave over, two values a byte.
    Rest(Table<u8>),
}

impl Vectors {
    /// What the codes of `rows` leave over.
    pub(crate) fn rest(coder: &Coder, rows: Rows<'_>) -> Result<Self, AnnError> {
        let size = rows.width().div_ceil(2);
        let mut bytes = Huge::zeros(rows.len() * size)?;
        for (packed, row) in bytes.chunks_exact_mut(size.max(1)).zip(rows.iter()) {
            for (byte, pair) in packed.iter_mut().zip(row.chunks(2)) {
                let nibble = |at: usize| pair.get(at).map_or(0, |&v| steps(coder.left_over(v)));
                *byte = nibble(0) | nibble(1) << 4;
            }
        }
        Ok(Self::Rest(bytes.into()))
    }

    /// Whether they are `count` of `width` values.
    pub(crate) fn count(&self, count: usize, width: usize) -> bool {
        let (found, size) = match self {
            Self::Exact(values) => (values.len(), width),
            Self::Rest(bytes) => (bytes.len(), width.div_ceil(2)),
        };
        count.checked_mul(size) == Some(found)
    }

    /// Bytes of the table.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Exact(values) => values.len() * 4,
            Self::Rest(bytes) => bytes.len(),
        }
    }

    /// The node's vector of `width` values; `room` is where it is put together if it must be.
    #[inline]
    pub(crate) fn get<'a>(
        &'a self,
        node: u32,
        (coder, codes): (&Coder, &Codes),
        room: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let (node, width) = (node as usize, coder.width());
        match self {
            Self::Exact(values) => values.get(node * width..(node + 1) * width).unwrap_or_default(),
            Self::Rest(bytes) => {
                let size = width.div_ceil(2);
                let packed = bytes.get(node * size..(node + 1) * size).unwrap_or_default();
                let nibbles = packed.iter().flat_map(|&byte| [byte & 15, byte >> 4]);
                let whole = codes.get(node).iter().zip(nibbles).take(width);
                room.clear();
                room.extend(whole.map(|(&code, n)| coder.value(code, f32::from(n) / STEPS - 0.5)));
                room
            }
        }
    }

    /// Asks for a node's vector.
    #[inline(always)]
    pub(crate) fn prefetch(&self, node: u32, width: usize) {
        let node = node as usize;
        match self {
            Self::Exact(values) => {
                (0..width).step_by(PER_LINE).for_each(|at| prefetch(values, node * width + at))
            }
            Self::Rest(bytes) => prefetch(bytes, node * width.div_ceil(2)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=15")]
fn steps(left_over: f32) -> u8 {
    ((left_over + 0.5) * STEPS).round().clamp(0.0, STEPS) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::Order;

    proptest! {
        #[test]
        fn twelve_bits_are_off_by_a_thirtieth_of_a_unit_at_most(
            width in 1usize..70,
            values in prop::collection::vec(-3.0f32..3.0, 70..400),
            lifted in any::<bool>(),
        ) {
            let rows = Rows::new(width, &values[..values.len() / width * width]);
            let order = if lifted { Order::Distance } else { Order::Product };
            let coder = Coder::fit(rows, order, 1.0);
            let codes = Codes::of(&coder, rows.len(), rows.iter()).unwrap();
            let vectors = Vectors::rest(&coder, rows).unwrap();
            let greatest = values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let mut room = Vec::new();
            for (node, row) in (0u32..).zip(rows.iter()) {
                let back = vectors.get(node, (&coder, &codes), &mut room);
                assert_eq!(back.len(), width);
                for (a, b) in back.iter().zip(row) {
                    assert!((a - b).abs() <= greatest / 127.0 / 29.9, "{a} for {b}");
                }
            }
            assert!(vectors.bytes() <= values.len() / 2 + rows.len());
        }
    }
}
