//! A growing set of rows, one bit each.

use crate::space::Row;

/// A set of rows. Dense: a bit per row up to the greatest one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn insert(&mut self, row: Row) {
        let (word, bit) = place(row);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(w) = self.words.get_mut(word) {
            *w |= bit;
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: Row) {
        let (word, bit) = place(row);
        if let Some(w) = self.words.get_mut(word) {
            *w &= !bit;
        }
    }

    /// Whether the row is in the set.
    #[must_use]
    #[inline]
    pub fn contains(&self, row: Row) -> bool {
        contains(&self.words, row)
    }

    /// Rows in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// The rows, rising.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        ones(&self.words)
    }

    /// Keeps only the rows that are in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    /// Adds the rows of `other`.
    pub fn unite(&mut self, other: &Self) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Takes the rows of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }
}

impl FromIterator<Row> for Bitmap {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut set = Self::new();
        rows.into_iter().for_each(|row| set.insert(row));
        set
    }
}

#[inline]
fn place(row: Row) -> (usize, u64) {
    ((row >> 6) as usize, 1 << (row & 63))
}

/// Whether the bit is set.
#[inline]
pub(crate) fn contains(words: &[u64], at: u32) -> bool {
    let (word, bit) = place(at);
    words.get(word).is_some_and(|w| w & bit != 0)
}

/// Positions of the set bits, rising.
pub(crate) fn ones(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (0u32..).zip(words).flat_map(|(at, &word)| {
        let drop_lowest = |w: &u64| Some(w & (w - 1)).filter(|&w| w != 0);
        std::iter::successors(Some(word).filter(|&w| w != 0), drop_lowest)
            .map(move |w| at * 64 + w.trailing_zeros())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(a in prop::collection::btree_set(0u32..500, 0..60),
                       b in prop::collection::btree_set(0u32..500, 0..60)) {
            let (x, y): (Bitmap, Bitmap) = (a.iter().copied().collect(), b.iter().copied().collect());
            let check = |set: &Bitmap, wanted: BTreeSet<u32>| {
                assert_eq!(set.iter().collect::<BTreeSet<_>>(), wanted);
                assert_eq!(set.len(), wanted.len());
                assert_eq!(set.is_empty(), wanted.is_empty());
                assert!((0..500).all(|r| set.contains(r) == wanted.contains(&r)));
            };
            check(&x, a.clone());
            let with = |f: fn(&mut Bitmap, &Bitmap)| { let mut z = x.clone(); f(&mut z, &y); z };
            check(&with(Bitmap::intersect), &a & &b);
            check(&with(Bitmap::unite), &a | &b);
            check(&with(Bitmap::subtract), &a - &b);
        }
    }
}
