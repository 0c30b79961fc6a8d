//! The walk through the frozen graph: from some pivots, always on from the best candidates.

use crate::codes::{Coder, Codes, LINE, Order, QueryCode};
use crate::error::AnnError;
use crate::graph::Graph;
use crate::matrix::Rows;
use crate::pool::Pool;
use crate::sift::{Sifted, prefetch, sift};

/// Nodes of which all codes are compared to find where to start, in place of upper layers.
const PIVOTS: usize = 256;
/// Of these, the best that the walk starts from.
const STARTS: usize = 4;
/// Candidates expanded at a time: while one's links arrive the other's are worked on.
const ABREAST: usize = 2;

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

/// Nodes met on a walk: a bit each, and a log by which the bits are cleared again.
#[derive(Debug, Default)]
struct Seen {
    bits: Vec<u64>,
    log: Vec<u32>,
    len: usize,
}

impl Seen {
    fn reset(&mut self, nodes: usize) {
        for &node in self.log.iter().take(self.len) {
            if let Some(word) = self.bits.get_mut((node >> 6) as usize) {
                *word = 0;
            }
        }
        self.len = 0;
        self.bits.resize(self.bits.len().max(nodes.div_ceil(64)), 0);
    }

    /// Makes room for so many more.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.log.len() < self.len + more {
            self.log.resize((self.len + more).next_power_of_two().max(4096), 0);
        }
    }

    /// Notes the node; whether it is new. Without a branch on that: it can't be foretold.
    #[inline(always)]
    fn note(&mut self, node: u32) -> bool {
        let bit = 1_u64 << (node & 63);
        let Some(word) = self.bits.get_mut((node >> 6) as usize) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        if let Some(slot) = self.log.get_mut(self.len) {
            *slot = node;
        }
        self.len += usize::from(new);
        new
    }

    /// Notes these nodes, and calls `each` with every one. Holds its tables in registers: after each
    /// store the compiler would have to read them again through `self`.
    #[inline(always)]
    fn note_all(&mut self, nodes: &[u32], each: impl Fn(u32)) {
        self.reserve(nodes.len());
        let (bits, log) = (self.bits.as_mut_slice(), self.log.as_mut_slice());
        let mut len = self.len;
        for &node in nodes {
            let bit = 1_u64 << (node & 63);
            let Some(word) = bits.get_mut((node >> 6) as usize) else { continue };
            let new = *word & bit == 0;
            *word |= bit;
            if let Some(slot) = log.get_mut(len) {
                *slot = node;
            }
            len += usize::from(new);
            each(node);
        }
        self.len = len;
    }

    #[inline]
    fn since(&self, from: usize) -> &[u32] {
        self.log.get(from..self.len).unwrap_or_default()
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
    /// Nodes to start from, besides the pivots.
    pub(crate) starts: &'a [u32],
}

impl Map {
    /// A map of `rows` with these links, `room` for each at most.
    pub(crate) fn of(
        rows: Rows<'_>,
        order: Order,
        lists: &[Vec<u32>],
        room: usize,
    ) -> Result<Self, AnnError> {
        Self::new(rows, order, Graph::of(lists, room)?)
    }

    /// A map of `rows` linked by `graph`.
    pub(crate) fn new(rows: Rows<'_>, order: Order, graph: Graph) -> Result<Self, AnnError> {
        let coder = Coder::fit(rows, order);
        let codes = Codes::of(&coder, rows.len(), rows.iter())?;
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

    /// Asks for a node's code.
    #[inline]
    pub(crate) fn prefetch_code(&self, node: u32) {
        let size = self.codes.lines() * LINE;
        for line in (0..size).step_by(LINE) {
            prefetch(self.codes.bytes(), node as usize * size + line);
        }
    }

    /// Fills `scratch.pool` with the `ef` passing nodes that it finds best.
    pub(crate) fn walk(
        &self,
        query: &QueryCode,
        how: Walk<'_>,
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Work {
        scratch.pool.reset(how.ef);
        scratch.seen.reset(self.graph.nodes());
        self.start(query, how.starts, passes, scratch);
        let mut work = Work { compared: self.pivots.len(), ..Work::default() };
        loop {
            let from = scratch.seen.len;
            let expanded = match how.stride {
                Stride::Through => self.gather(scratch),
                Stride::TwoHop => self.gather_two_hop(passes, scratch),
            };
            let Scratch { pool, sifted, seen, wave } = scratch;
            let fresh = match how.stride {
                Stride::Through => seen.since(from),
                Stride::TwoHop => wave,
            };
            work.expanded += expanded;
            work.compared += fresh.len();
            work.cut = seen.len >= how.budget;
            if expanded == 0 || work.cut {
                return work;
            }
            pool.ahead(ABREAST).for_each(|node| self.graph.prefetch(node));
            sift(&self.codes, query, fresh, pool.threshold(), sifted);
            for (score, node) in sifted.iter() {
                let passes = how.stride == Stride::TwoHop || passes(node);
                let at = pool.offer(score, node, passes);
                if at.is_some_and(|at| at < pool.cursor() + ABREAST) {
                    self.graph.prefetch(node);
                }
            }
        }
    }

    /// Puts the best pivots and the given starts into the pool.
    fn start(
        &self,
        query: &QueryCode,
        starts: &[u32],
        passes: &impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) {
        let Scratch { pool, sifted, seen, .. } = scratch;
        seen.reserve(self.pivots.len() + starts.len());
        let all: [u32; PIVOTS] = std::array::from_fn(|at| u32::try_from(at).unwrap_or_default());
        let pivots = all.get(..self.pivots.len()).unwrap_or(&all);
        sift(&self.pivot_codes, query, pivots, i32::MIN, sifted);
        let mut best = [(i32::MIN, 0); STARTS];
        for (score, pivot) in sifted.iter() {
            let at = best.partition_point(|&(s, _)| s >= score);
            if let Some(tail) = best.get_mut(at..).filter(|tail| !tail.is_empty()) {
                tail.rotate_right(1);
                tail.iter_mut().take(1).for_each(|slot| *slot = (score, pivot));
            }
        }
        for (score, pivot) in best.into_iter().take(self.pivots.len()) {
            let node = self.pivots.get(pivot as usize).copied().unwrap_or_default();
            if seen.note(node) {
                pool.offer(score, node, passes(node));
            }
        }
        sift(&self.codes, query, starts, i32::MIN, sifted);
        for (score, node) in sifted.iter() {
            if seen.note(node) {
                pool.offer(score, node, passes(node));
            }
        }
    }

    /// Expands the best candidates: logs their unseen neighbours and asks for the codes.
    #[inline]
    fn gather(&self, scratch: &mut Scratch) -> usize {
        let Scratch { pool, seen, .. } = scratch;
        let mut expanded = 0;
        while expanded < ABREAST {
            let Some(node) = pool.expand() else { break };
            expanded += 1;
            let (codes, lines) = (self.codes.bytes(), self.codes.lines());
            seen.note_all(self.graph.links(node), |link| {
                for line in 0..lines {
                    prefetch(codes, (link as usize * lines + line) * LINE);
                }
            });
        }
        expanded
    }

    /// As [`Map::gather`], but takes passing nodes only, in place of failing ones their neighbours.
    fn gather_two_hop(&self, passes: &impl Fn(u32) -> bool, scratch: &mut Scratch) -> usize {
        let Scratch { pool, seen, wave, .. } = scratch;
        wave.clear();
        let mut take = |node: u32, seen: &mut Seen| {
            if passes(node) && seen.note(node) {
                self.prefetch_code(node);
                wave.push(node);
            }
        };
        let mut expanded = 0;
        while expanded < ABREAST {
            let Some(node) = pool.expand() else { break };
            expanded += 1;
            for &link in self.graph.links(node) {
                seen.reserve(2 + self.graph.links(link).len());
                if passes(link) {
                    take(link, seen);
                } else if seen.note(link) {
                    self.graph.links(link).iter().for_each(|&far| take(far, seen));
                }
            }
        }
        expanded
    }
}
