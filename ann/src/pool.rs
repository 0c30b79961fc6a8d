//! The candidates of a walk: one sorted list in place of two heaps.
//!
//! A candidate is one number that sorts best first: the inverted score, the node, whether the filter
//! fails it, whether it has been expanded. The list ends with the `ef`-th candidate that passes;
//! failing ones in between stay, since the way to passing ones may lead through them.

/// Nodes that fit into a candidate.
pub(crate) const NODES_MAX: usize = 1 << 30;
/// Candidates kept while fewer than `ef` pass.
const KEPT_MAX: usize = 1 << 16;

const EXPANDED: u64 = 1;
const FAILING: u64 = 2;

/// Candidates, best first.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    keys: Vec<u64>,
    /// All before it are expanded.
    cursor: usize,
    passing: usize,
    ef: usize,
    threshold: i32,
    /// Scores from here on are worth looking at.
    floor: i32,
}

#[inline]
fn key(score: i32, node: u32, passes: bool) -> u64 {
    // Wrapping turns the range of i32 round: the greatest score becomes 0.
    let worse = u64::from(i32::MAX.wrapping_sub(score).cast_unsigned());
    worse << 32 | u64::from(node) << 2 | if passes { 0 } else { FAILING }
}

#[inline]
fn node(key: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half holds the node")]
    let low = key as u32;
    low >> 2
}

#[inline]
fn score(key: u64) -> i32 {
    let worse = (key >> 32) as u32;
    i32::MAX.wrapping_sub(worse.cast_signed())
}

/// How many of the sorted keys are below `key`. Halves long lists; short ones are counted through,
/// which takes eight comparisons at a time and no branch.
#[inline(always)]
fn place(keys: &[u64], key: u64) -> usize {
    const COUNTED: usize = 64;
    let (mut rest, mut before) = (keys, 0);
    while rest.len() > COUNTED {
        let (low, high) = rest.split_at(rest.len() / 2);
        if low.last().is_some_and(|&last| last < key) {
            (rest, before) = (high, before + low.len());
        } else {
            rest = low;
        }
    }
    before + rest.iter().map(|&k| usize::from(k < key)).sum::<usize>()
}

impl Pool {
    /// Empties the pool, to hold `ef` passing candidates.
    pub(crate) fn reset(&mut self, ef: usize) {
        self.keys.clear();
        (self.cursor, self.passing, self.ef) = (0, 0, ef.max(1));
        (self.threshold, self.floor) = (i32::MIN, i32::MIN);
    }

    /// Only better scores than this are worth offering.
    #[inline(always)]
    pub(crate) fn threshold(&self) -> i32 {
        self.threshold.max(self.floor.saturating_sub(1))
    }

    /// From now on scores below `floor` count for nothing.
    #[inline(always)]
    pub(crate) fn raise_floor(&mut self, floor: i32) {
        self.floor = self.floor.max(floor);
        while let Some(&key) = self.keys.last().filter(|key| score(**key) < floor) {
            self.keys.pop();
            self.passing -= usize::from(key & FAILING == 0);
        }
        self.cursor = self.cursor.min(self.keys.len());
    }

    /// Whether all candidates pass.
    #[inline(always)]
    pub(crate) fn all_pass(&self) -> bool {
        self.passing == self.keys.len()
    }

    /// The score of the passing candidate of this rank, from 1 on.
    #[inline(always)]
    pub(crate) fn score_of(&self, rank: usize) -> Option<i32> {
        let at = rank.checked_sub(1)?;
        if self.all_pass() {
            return self.keys.get(at).map(|&key| score(key));
        }
        self.passing().nth(at).map(|(score, _)| score)
    }

    /// Adds a candidate, and drops what no longer counts. Its place; none if it does not count.
    #[inline(always)]
    pub(crate) fn offer(&mut self, score: i32, node: u32, passes: bool) -> Option<usize> {
        if self.passing >= self.ef && score <= self.threshold {
            return None;
        }
        let key = key(score, node, passes);
        let at = place(&self.keys, key);
        self.keys.insert(at, key);
        self.cursor = self.cursor.min(at);
        self.passing += usize::from(passes);
        self.trim();
        Some(at)
    }

    #[inline(always)]
    fn trim(&mut self) {
        if self.passing > self.ef {
            self.keys.pop();
            self.passing -= 1;
        }
        if self.passing == self.ef {
            while self.keys.last().is_some_and(|k| k & FAILING != 0) {
                self.keys.pop();
            }
            self.threshold = self.keys.last().map_or(i32::MIN, |&k| self::score(k));
        } else if self.keys.len() > KEPT_MAX {
            self.passing -= usize::from(self.keys.pop().is_some_and(|k| k & FAILING == 0));
        }
        self.cursor = self.cursor.min(self.keys.len());
    }

    /// The best candidate that is not expanded; it is from now on.
    #[inline(always)]
    pub(crate) fn expand(&mut self) -> Option<u32> {
        let floor = self.floor;
        while let Some(key) = self.keys.get_mut(self.cursor).filter(|key| score(**key) >= floor) {
            self.cursor += 1;
            if *key & EXPANDED == 0 {
                *key |= EXPANDED;
                return Some(node(*key));
            }
        }
        None
    }

    /// Where the next candidate to expand is looked for.
    #[inline(always)]
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// The next candidates to expand, as things stand.
    #[inline(always)]
    pub(crate) fn ahead(&self, count: usize) -> impl Iterator<Item = u32> {
        let ahead = self.keys.iter().skip(self.cursor).filter(|k| *k & EXPANDED == 0);
        ahead.take(count).map(|&k| node(k))
    }

    /// The passing candidates, best first, with the scores of their codes.
    pub(crate) fn passing(&self) -> impl Iterator<Item = (i32, u32)> {
        self.keys.iter().filter(|k| *k & FAILING == 0).map(|&k| (score(k), node(k)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_keeps_the_best_passing_and_expands_best_first(
            offers in prop::collection::vec((any::<i32>(), any::<bool>()), 0..80),
            ef in 1usize..20,
        ) {
            let mut pool = Pool::default();
            pool.reset(ef);
            for (&(score, passes), node) in offers.iter().zip(0..) {
                pool.offer(score, node, passes);
            }
            let mut best: Vec<(i32, u32)> = offers.iter().zip(0..).filter(|((_, p), _)| *p)
                .map(|(&(s, _), n)| (s, n)).collect();
            best.sort_by_key(|&(s, n)| (std::cmp::Reverse(s), n));
            let worst_kept = (best.len() >= ef).then(|| best[ef - 1].0);
            best.truncate(ef);
            let kept: Vec<i32> = pool.passing().map(|(s, _)| s).collect();
            assert_eq!(kept, best.iter().map(|b| b.0).collect::<Vec<_>>());
            assert_eq!(pool.threshold(), worst_kept.unwrap_or(i32::MIN));
            let order: Vec<i32> = std::iter::from_fn(|| pool.expand()).map(|n| offers[n as usize].0).collect();
            assert!(order.is_sorted_by(|a, b| a >= b) && order.len() >= kept.len());
        }
    }
}
