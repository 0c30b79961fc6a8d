//! Nodes met on a walk: a bit each, and a log by which the bits are cleared again.

use std::ops::Range;

/// Words that are cleared in a row in the time that one takes here and there.
const WORDS_AT_ONCE: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    bits: Vec<u64>,
    log: Vec<u32>,
    len: usize,
}

impl Seen {
    /// Forgets all, and makes room for so many nodes.
    #[inline(always)]
    pub(crate) fn reset(&mut self, nodes: usize) {
        if self.bits.len() < self.len * WORDS_AT_ONCE {
            self.bits.fill(0);
        } else {
            for &node in self.log.iter().take(self.len) {
                if let Some(word) = self.bits.get_mut((node >> 6) as usize) {
                    *word = 0;
                }
            }
        }
        self.len = 0;
        self.bits.resize(self.bits.len().max(nodes.div_ceil(64)), 0);
    }

    /// Nodes met so far.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for so many more.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.log.len() < self.len + more {
            self.log.resize((self.len + more).next_power_of_two().max(4096), 0);
        }
    }

    /// Notes the node; whether it is new. Needs room for one more.
    #[inline(always)]
    pub(crate) fn note(&mut self, node: u32) -> bool {
        let before = self.len;
        self.note_all(&[node]);
        self.len > before
    }

    /// Notes these nodes. Without a branch on which of them are new: that can't be foretold. Holds its
    /// tables in registers: after each store the compiler would have to read them again through `self`.
    #[inline(always)]
    pub(crate) fn note_all(&mut self, nodes: &[u32]) {
        self.reserve(nodes.len());
        let (bits, log) = (self.bits.as_mut_slice(), self.log.as_mut_slice());
        let mut len = self.len;
        for &node in nodes {
            let Some(word) = bits.get_mut((node >> 6) as usize) else { continue };
            let new = !(*word >> (node & 63)) & 1;
            *word |= 1_u64 << (node & 63);
            if let Some(slot) = log.get_mut(len) {
                *slot = node;
            }
            len += usize::from(new != 0);
        }
        self.len = len;
    }

    /// Nodes by the order in which they were met.
    #[inline(always)]
    pub(crate) fn among(&self, places: Range<usize>) -> &[u32] {
        self.log.get(places).unwrap_or_default()
    }
}
