//! A hash of a set of rows that is kept up to date row by row, in any order.
//!
//! The sum modulo 2^256 of the SHA-256 of every row: adding and removing commute, so each batch pays
//! for its own rows alone. It finds damage and divergence; it is no defence against someone who
//! chooses rows to collide, and is not used as one.

use std::fmt;

use sha2::{Digest, Sha256};

/// The hash of a set of rows.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SetHash([u64; 4]);

impl SetHash {
    /// Bytes of a hash.
    pub const LEN: usize = 32;

    /// Adds a row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut carry = false;
        for (limb, term) in self.0.iter_mut().zip(row_hash(key, value)) {
            let (sum, first) = limb.overflowing_add(term);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    /// Removes a row.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        let mut borrow = false;
        for (limb, term) in self.0.iter_mut().zip(row_hash(key, value)) {
            let (difference, first) = limb.overflowing_sub(term);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first || second;
        }
    }

    /// 48 bits of the hash, which a metric carries without rounding.
    #[must_use]
    pub fn short(&self) -> u64 {
        let [first, ..] = self.0;
        first >> 16
    }

    /// The hash as bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|limb| limb.to_le_bytes()).collect()
    }

    /// The hash of [`Self::to_bytes`]; none when there are not 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (limbs, rest) = bytes.as_chunks::<8>();
        let limbs: [[u8; 8]; 4] = limbs.try_into().ok()?;
        rest.is_empty().then(|| Self(limbs.map(u64::from_le_bytes)))
    }
}

/// Four limbs, the least significant first. The key's length comes first, so that no two rows read
/// the same.
fn row_hash(key: &[u8], value: &[u8]) -> [u64; 4] {
    let mut hasher = Sha256::new();
    hasher.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let bytes: [u8; 32] = hasher.finalize().into();
    let (limbs, _) = bytes.as_chunks::<8>();
    let mut out = [0; 4];
    for (slot, limb) in out.iter_mut().zip(limbs) {
        *slot = u64::from_le_bytes(*limb);
    }
    out
}

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_of_rows_does_not_matter_and_removing_undoes_adding(
            rows in proptest::collection::vec((".{0,6}", ".{0,6}"), 0..20), cut in 0_usize..20,
        ) {
            let mut forth = SetHash::default();
            let mut back = SetHash::default();
            for (k, v) in &rows { forth.add(k.as_bytes(), v.as_bytes()); }
            for (k, v) in rows.iter().rev() { back.add(k.as_bytes(), v.as_bytes()); }
            prop_assert_eq!(forth, back);
            prop_assert_eq!(SetHash::from_bytes(&forth.to_bytes()), Some(forth));
            let cut = cut.min(rows.len());
            for (k, v) in &rows[cut..] { forth.remove(k.as_bytes(), v.as_bytes()); }
            let mut head = SetHash::default();
            for (k, v) in &rows[..cut] { head.add(k.as_bytes(), v.as_bytes()); }
            prop_assert_eq!(forth, head);
        }
    }

    #[test]
    fn moving_a_byte_from_key_to_value_changes_the_hash() {
        let (mut a, mut b) = (SetHash::default(), SetHash::default());
        a.add(b"ab", b"c");
        b.add(b"a", b"bc");
        assert_ne!(a, b);
    }
}
