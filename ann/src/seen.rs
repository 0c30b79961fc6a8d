//! Nodes met on a walk: a bit each, and a log by which the bits are cleared again.

use std::ops::Range;

use crate::graph::Links;

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
        let mut pen = self.pen(1);
        pen.note(node);
        self.len = pen.len;
        self.len > before
    }

    /// Notes a node's links.
    #[inline(always)]
    pub(crate) fn note_all(&mut self, links: Links<'_>) {
        let mut pen = self.pen(links.len());
        links.each(|link| pen.note(link));
        self.len = pen.len;
    }

    /// What `most` nodes are noted with.
    #[inline(always)]
    fn pen(&mut self, most: usize) -> Pen<'_> {
        self.reserve(most);
        Pen { bits: &mut self.bits, log: &mut self.log, len: self.len }
    }

    /// Nodes by the order in which they were met.
    #[inline(always)]
    pub(crate) fn among(&self, places: Range<usize>) -> &[u32] {
        self.log.get(places).unwrap_or_default()
    }
}

/// The tables, held in registers: after each store the compiler would have to read them again through
/// `Seen`.
struct Pen<'a> {
    bits: &'a mut [u64],
    log: &'a mut [u32],
    len: usize,
}

impl Pen<'_> {
    /// Without a branch on whether the node is new: that can't be foretold.
    #[inline(always)]
    fn note(&mut self, node: u32) {
        let Some(word) = self.bits.get_mut((node >> 6) as usize) else { return };
        let new = !(*word >> (node & 63)) & 1;
        *word |= 1_u64 << (node & 63);
        if let Some(slot) = self.log.get_mut(self.len) {
            *slot = node;
        }
        self.len += usize::from(new != 0);
    }
}
