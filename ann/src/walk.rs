//! The walk through the frozen graph: from some pivots, always on from the best candidates.

use std::ops::Range;

use crate::codes::{Coder, Codes, FITTED, Order, QueryCode};
use crate::error::AnnError;
use crate::graph::Graph;
use crate::kernel::{self, widest};
use crate::matrix::Rows;
use crate::pool::Pool;
use crate::seen::Seen;
use crate::sift::{Sifted, sift};

/// Nodes of which all codes are compared to find where to start, in place of upper layers.
const PIVOTS: usize = 256;
/// Of these, the best that the walk starts from.
const STARTS: usize = 4;
/// Pivots compared before the bar is raised to the worst of the best.
const PIVOTS_AT_ONCE: usize = 64;
/// Candidates expanded at a time: while one's links arrive the other's are worked on.
const ABREAST: usize = 1;
/// Where some candidates fail the filter, finding the `k`-th that passes takes a while: done so seldom.
const SELDOM: usize = 4;

/// Codes and links of the same nodes.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) coder: Coder,
    pub(crate) codes: Codes,
    pub(crate) graph: Graph,
    pivots: Vec<u32>,
    pivot_codes: Codes,
}

/// What a walk cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Codes compared.
    pub(crate) compared: usize,
    /// Nodes expanded.
    pub(crate) expanded: usize,
    /// Whether the budget ended it.
    pub(crate) cut: bool,
}

/// Memory that walks use again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) pool: Pool,
    pub(crate) sifted: Sifted,
    seen: Seen,
    wave: Vec<u32>,
}

impl Scratch {
    /// Nodes that a walk listed.
    #[inline(always)]
    pub(crate) fn listed(&self, stride: Stride, places: Range<usize>) -> &[u32] {
        match stride {
            Stride::Through => self.seen.among(places),
            Stride::TwoHop => self.wave.get(places).unwrap_or_default(),
        }
    }

    /// What comparing writes to, and nodes that a walk listed.
    #[inline(always)]
    pub(crate) fn split(
        &mut self,
        stride: Stride,
        places: Range<usize>,
    ) -> ((&mut Pool, &mut Sifted), &[u32]) {
        let Self { pool, sifted, seen, wave } = self;
        let list = match stride {
            Stride::Through => seen.among(places),
            Stride::TwoHop => wave.get(places).unwrap_or_default(),
        };
        ((pool, sifted), list)
    }
}

/// How a walk treats nodes that the filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stride {
    /// They are compared like others, and only not returned.
    Through,
    /// They are not compared: their links are followed at once.
    TwoHop,
}

/// How to walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    /// Passing nodes to keep.
    pub(crate) ef: usize,
    /// Nodes to meet at most.
    pub(crate) budget: usize,
    pub(crate) stride: Stride,
    /// When it has seen enough, besides having expanded all it keeps.
    pub(crate) stop: Option<Stop>,
    /// Nodes to start from, besides the pivots.
    pub(crate) starts: &'a [u32],
}

/// A walk stops at candidates whose gap to the best possible score is that much greater than that of the
/// `k`-th.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Rows wanted.
    pub(crate) k: usize,
    /// Candidates that are looked at in any case: so many are scored exactly.
    pub(crate) least: usize,
    /// Times the `k`-th gap.
    pub(crate) ratio: f32,
}

impl Stop {
    /// Where candidates no longer count; none as long as there are too few.
    #[inline(always)]
    fn floor(self, query: &QueryCode, pool: &Pool) -> Option<i32> {
        let least = pool.score_of(self.least)?;
        Some(query.farther(pool.score_of(self.k)?, self.ratio).min(least))
    }
}

/// A walk, to be compiled for each instruction set.
struct Walking<'a, P: Fn(u32) -> bool> {
    map: &'a Map,
    query: &'a QueryCode,
    how: Walk<'a>,
    passes: &'a P,
    scratch: &'a mut Scratch,
}

impl<P: Fn(u32) -> bool> kernel::Work for Walking<'_, P> {
    type Out = Work;

    #[inline(always)]
    fn run(self) -> Work {
        self.map.walk_on(self.query, self.how, self.passes, self.scratch)
    }
}

impl Map {
    /// A map of `rows` with these links, `room` for each at most.
    pub(crate) fn of(
        rows: Rows<'_>,
        order: Order,
        lists: &[Vec<u32>],
        room: usize,
    ) -> Result<Self, AnnError> {
        Self::new(rows, order, FITTED, Graph::of(lists, room)?)
    }

    /// A map of `rows` linked by `graph`, whose codes fit a share of `fitted` of the values.
    pub(crate) fn new(
        rows: Rows<'_>,
        order: Order,
        fitted: f64,
        graph: Graph,
    ) -> Result<Self, AnnError> {
        let coder = Coder::fit(rows, order, fitted);
        let codes = Codes::of(&coder, rows.len(), rows.iter())?;
        Self::of_codes(coder, codes, graph)
    }

    /// A map of nodes with these codes, linked by `graph`, which has as many.
    pub(crate) fn of_codes(coder: Coder, codes: Codes, graph: Graph) -> Result<Self, AnnError> {
        let step = (graph.nodes() / PIVOTS).max(1);
        let nodes = u32::try_from(graph.nodes()).unwrap_or(u32::MAX);
        let pivots: Vec<u32> = (0..nodes).step_by(step).take(PIVOTS).collect();
        let pivot_codes = codes.pick(&pivots)?;
        Ok(Self { coder, codes, graph, pivots, pivot_codes })
    }

    /// Where walks start.
    pub(crate) fn pivots(&self) -> &[u32] {
        &self.pivots
    }

    /// Fills `scratch.pool` with the `ef` passing nodes that it finds best.
    pub(crate) fn walk(
        &self,
        query: &QueryCode,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Work {
        widest(Walking { map: self, query, how, passes, scratch })
    }

    #[inline(always)]
    fn walk_on(
        &self,
        query: &QueryCode,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Work {
        let mut work = self.start(query, how, passes, scratch);
        let mut now = 0..0;
        loop {
            let next = self.gather(how, passes, scratch, &mut work);
            if now.is_empty() && next.is_none() {
                return work;
            }
            let next = next.unwrap_or(now.end..now.end);
            let (front, list) = scratch.split(how.stride, 0..next.end);
            let (now_list, next_list) = (list.get(now).unwrap_or_default(), list.get(next.clone()));
            // The next codes are on their way while these are compared.
            self.compare(query, how, passes, front, now_list, next_list.unwrap_or_default());
            now = next;
        }
    }

    /// Compares some nodes and puts the good ones into the pool; asks for the codes that are `wanted`
    /// next, and for the links of the nodes that will be expanded next.
    #[inline(always)]
    pub(crate) fn compare(
        &self,
        query: &QueryCode,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        (pool, sifted): (&mut Pool, &mut Sifted),
        now: &[u32],
        wanted: &[u32],
    ) {
        if let Some(stop) = how.stop
            && (pool.all_pass() || pool.cursor().is_multiple_of(SELDOM))
            && let Some(floor) = stop.floor(query, pool)
        {
            pool.raise_floor(floor);
        }
        pool.ahead(ABREAST).for_each(|node| self.graph.prefetch(node));
        sift(&self.codes, query, now, pool.threshold(), sifted, wanted);
        for (score, node) in sifted.iter() {
            let passes = how.stride == Stride::TwoHop || passes(node);
            let at = pool.offer(score, node, passes);
            if at.is_some_and(|at| at < pool.cursor() + ABREAST) {
                self.graph.prefetch(node);
            }
        }
    }

    /// Puts the best pivots and the given starts into the empty pool.
    #[inline(always)]
    pub(crate) fn start(
        &self,
        query: &QueryCode,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Work {
        let Scratch { pool, sifted, seen, wave } = scratch;
        pool.reset(how.ef);
        seen.reset(self.graph.nodes());
        wave.clear();
        seen.reserve(self.pivots.len() + how.starts.len());
        let all: [u32; PIVOTS] = std::array::from_fn(|at| u32::try_from(at).unwrap_or_default());
        let pivots = all.get(..self.pivots.len()).unwrap_or(&all);
        let mut best = [(i32::MIN, 0); STARTS];
        for some in pivots.chunks(PIVOTS_AT_ONCE) {
            let [.., (least, _)] = best;
            sift(&self.pivot_codes, query, some, least, sifted, &[]);
            sifted.iter().for_each(|found| note_best(&mut best, found));
        }
        for (score, pivot) in best.into_iter().take(self.pivots.len()) {
            let node = self.pivots.get(pivot as usize).copied().unwrap_or_default();
            if seen.note(node) {
                pool.offer(score, node, passes(node));
            }
        }
        sift(&self.codes, query, how.starts, i32::MIN, sifted, &[]);
        for (score, node) in sifted.iter() {
            if seen.note(node) {
                pool.offer(score, node, passes(node));
            }
        }
        Work { compared: self.pivots.len() + how.starts.len(), ..Work::default() }
    }

    /// Expands the best candidates: lists their unseen neighbours, and says where in the list. None if
    /// there was no candidate, or no budget.
    #[inline(always)]
    pub(crate) fn gather(
        &self,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
        work: &mut Work,
    ) -> Option<Range<usize>> {
        let Scratch { pool, seen, wave, .. } = scratch;
        if seen.len() >= how.budget {
            work.cut = pool.expand().is_some();
            return None;
        }
        let (met, taken) = (seen.len(), wave.len());
        let before = work.expanded;
        while work.expanded < before + ABREAST {
            let Some(node) = pool.expand() else { break };
            work.expanded += 1;
            match how.stride {
                Stride::Through => seen.note_all(self.graph.links(node)),
                Stride::TwoHop => self.gather_two_hop(node, passes, seen, wave),
            }
        }
        let found = match how.stride {
            Stride::Through => met..seen.len(),
            Stride::TwoHop => taken..wave.len(),
        };
        work.compared += found.len();
        (work.expanded > before).then_some(found)
    }

    /// Takes passing neighbours only, in place of failing ones their passing neighbours.
    #[inline(always)]
    fn gather_two_hop(
        &self,
        node: u32,
        passes: &impl Fn(u32) -> bool,
        seen: &mut Seen,
        wave: &mut Vec<u32>,
    ) {
        self.graph.links(node).each(|link| {
            let beyond = self.graph.links(link);
            seen.reserve(1 + beyond.len());
            if !seen.note(link) {
                return;
            }
            if passes(link) {
                wave.push(link);
            } else {
                beyond.each(|far| {
                    if passes(far) && seen.note(far) {
                        wave.push(far);
                    }
                });
            }
        });
    }
}

/// Puts a better one into its place among the best, best first; the last one drops out.
#[inline(always)]
fn note_best(best: &mut [(i32, u32); STARTS], found: (i32, u32)) {
    let at = best.partition_point(|&(score, _)| score >= found.0);
    if let Some(tail) = best.get_mut(at..).filter(|tail| !tail.is_empty()) {
        tail.rotate_right(1);
        tail.iter_mut().take(1).for_each(|slot| *slot = found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prune::measured;

    /// Every node linked to the eight nearest.
    fn map(values: &[f32], width: usize, order: Order) -> Map {
        let rows = Rows::new(width, values);
        let nodes: Vec<u32> = (0u32..).take(rows.len()).collect();
        let near = |&node: &u32| {
            let mut near: Vec<_> = measured(rows, node, &nodes).filter(|n| n.1 != node).collect();
            near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            near.into_iter().map(|(_, other)| other).take(8).collect()
        };
        Map::of(rows, order, &nodes.iter().map(near).collect::<Vec<_>>(), 8).unwrap()
    }

    proptest! {
        #[test]
        fn a_walk_stops_where_candidates_are_too_far_and_no_earlier(
            values in prop::collection::vec(-1.0f32..1.0, 8 * 300..8 * 500),
            ratio in 1.0f32..2.0,
            half in any::<bool>(),
            by_distance in any::<bool>(),
        ) {
            let order = if by_distance { Order::Distance } else { Order::Product };
            let map = map(&values[..values.len() / 8 * 8], 8, order);
            let query = map.coder.query(&values[3..11]);
            let passes = |node: u32| !half || node.is_multiple_of(2);
            let walk = |stop: Option<Stop>| {
                let mut scratch = Scratch::default();
                let stride = Stride::Through;
                let how = Walk { ef: 60, budget: usize::MAX, stride, stop, starts: &[] };
                let work = map.walk(&query, how, &passes, &mut scratch);
                (work, scratch.pool.passing().collect::<Vec<_>>())
            };
            let (k, least) = (5, 15);
            let (whole, all) = walk(None);
            assert_eq!(walk(Some(Stop { k, least, ratio: 1e6 })), (whole, all.clone()));
            let (work, found) = walk(Some(Stop { k, least, ratio }));
            assert!(work.compared <= whole.compared && found.len() >= least);
            // What was left out is beyond the ratio and beyond those that are looked at in any case.
            let floor = query.farther(found[k - 1].0, ratio).min(found[least - 1].0);
            assert!(found.iter().zip(&all).all(|(f, a)| f.0 <= a.0));
            assert!(half || found.iter().all(|f| f.0 >= floor));
        }
    }
}
