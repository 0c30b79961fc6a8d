//! Comparing every node that may match, code by code.

use roaring::RoaringBitmap;

use crate::find::{Matches, Search};
use crate::sift::sift;
use crate::walk::{Scratch, Work};

/// Candidates kept beyond `k` after a scan, which is meant to be all but exact.
pub(crate) const SPARE_SCAN_MIN: usize = 32;
/// Codes asked for before the first of them is compared.
const BLOCK: usize = 64;
/// A predicate is asked about this many times as many nodes as may be compared, at most.
const TRIES: usize = 4;

impl<P: Fn(u32) -> bool> Search<'_, P> {
    /// Calls `visit` with every node that may match until it says no, or until a predicate has been
    /// asked too often; whether neither happened. Other than after a predicate, some may not match.
    #[inline(always)]
    pub(crate) fn each_candidate(&self, visit: impl FnMut(u32) -> bool) -> bool {
        let slots = &self.frozen.slots;
        match self.matches {
            Matches::All | Matches::Most => (0u32..).take(self.frozen.nodes()).all(visit),
            Matches::Unknown => {
                let nodes = (0u32..).take(self.frozen.nodes());
                self.each_passing(nodes, visit)
            }
            Matches::Among(among) => self.each_passing(self.nodes_of(among), visit),
            Matches::Slots(matching) => self.nodes_of(matching).all(visit),
            Matches::Listed(nodes) => nodes.iter().copied().all(visit),
            Matches::Nodes(words, _) => each_one(words, visit),
            Matches::Rows(rows) if slots.single() => {
                rows.iter().filter_map(|row| slots.slot(row)).all(visit)
            }
            Matches::Rows(rows) => {
                let of_row = |row| slots.slot(row).map(|slot| slots.node(slot));
                let mut nodes: Vec<u32> = rows.iter().filter_map(of_row).collect();
                nodes.sort_unstable();
                nodes.dedup();
                nodes.into_iter().all(visit)
            }
        }
    }

    /// Calls `visit` with each of the nodes that passes, as far as the budget of questions goes.
    #[inline(always)]
    fn each_passing(
        &self,
        mut nodes: impl Iterator<Item = u32>,
        mut visit: impl FnMut(u32) -> bool,
    ) -> bool {
        let mut tries = self.ask.budget.saturating_mul(TRIES);
        nodes.all(|node| {
            tries = tries.saturating_sub(1);
            tries > 0 && (!(self.passes)(node) || visit(node))
        })
    }

    /// The nodes of some slots, each once. Both rise.
    #[inline(always)]
    fn nodes_of(&self, set: &RoaringBitmap) -> impl Iterator<Item = u32> {
        let slots = &self.frozen.slots;
        let (count, mut last) = (slots.len(), None);
        let within = set.iter().take_while(move |&slot| (slot as usize) < count);
        within.map(|slot| slots.node(slot)).filter(move |node| last.replace(*node) != Some(*node))
    }

    /// Puts the best of all matching nodes into the pool. While one block is compared the next one's
    /// codes are on their way.
    #[inline(always)]
    pub(crate) fn scan(&self, budget: usize, scratch: &mut Scratch) -> Work {
        let map = &self.frozen.map;
        let query = map.coder.query(self.ask.query);
        let Scratch { pool, sifted, .. } = scratch;
        pool.reset(self.ask.k + SPARE_SCAN_MIN.max(self.ask.k / 4));
        let (mut now, mut next) = ([0_u32; BLOCK], [0_u32; BLOCK]);
        let (mut waiting, mut filled, mut compared) = (0, 0, 0);
        let mut compare = |now: &[u32], next: &[u32]| {
            sift(&map.codes, &query, now, pool.threshold(), sifted, next);
            for (score, node) in sifted.iter() {
                // Asked only now: few get this far, and it may cost a cache miss.
                if score > pool.threshold() && (self.passes)(node) {
                    pool.offer(score, node, true);
                }
            }
        };
        let whole = self.each_candidate(|node| {
            if let Some(slot) = next.get_mut(filled) {
                *slot = node;
            }
            filled += 1;
            compared += 1;
            if filled == BLOCK {
                compare(now.get(..waiting).unwrap_or(&now), &next);
                (now, waiting, filled) = (next, BLOCK, 0);
            }
            compared < budget
        });
        let rest = next.get(..filled).unwrap_or(&next);
        compare(now.get(..waiting).unwrap_or(&now), rest);
        compare(rest, &[]);
        Work { compared, expanded: 0, cut: !whole }
    }
}

/// Calls `visit` with the position of every set bit, rising, until it says no; whether it never did.
#[inline(always)]
fn each_one(words: &[u64], mut visit: impl FnMut(u32) -> bool) -> bool {
    for (at, &word) in (0u32..).zip(words) {
        let mut left = word;
        while left != 0 {
            if !visit(at * 64 + left.trailing_zeros()) {
                return false;
            }
            left &= left - 1;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_bit_is_visited_until_enough() {
        let check = |words: &[u64], most: usize, wanted: &[u32], whole: bool| {
            let mut seen = Vec::new();
            let ended = each_one(words, |at| {
                seen.push(at);
                seen.len() < most
            });
            assert_eq!((seen.as_slice(), ended), (wanted, whole));
        };
        check(&[], 9, &[], true);
        check(&[0b101, 0, 1 << 63], 9, &[0, 2, 191], true);
        check(&[0b101, 0, 1 << 63], 2, &[0, 2], false);
    }
}
