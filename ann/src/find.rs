//! Searching one frozen generation: by scan or walk over codes, then exactly.

use std::cell::Cell;

use crate::bitmap::{Bitmap, ones};
use crate::frozen::Frozen;
use crate::plan::Plan;
use crate::sift::sift;
use crate::space::Space;
use crate::walk::{Scratch, Stride, Walk, Work};

/// Candidates scored exactly beyond `k`, at least: codes may misjudge the order that much.
const SPARE_MIN: usize = 10;
/// As above after a scan, which is meant to be all but exact.
const SPARE_SCAN_MIN: usize = 32;
/// Codes asked for before the first of them is compared.
const BLOCK: usize = 64;
/// A filter is asked about this many times as many nodes as may be compared, at most.
const TRIES: usize = 4;
/// What a filtered walk may meet at least before it is given up for a scan.
const WALK_LEAST: usize = 2000;
/// Slots that a predicate is tried on to estimate how many it accepts.
const TRIED: usize = 256;
/// Matching nodes that a two-hop walk starts from besides the pivots.
const STARTS: usize = 24;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) space: &'a Space,
    pub(crate) query: &'a [f32],
    pub(crate) k: usize,
    pub(crate) ef: usize,
    /// Nodes to compare at most.
    pub(crate) budget: usize,
    /// Go this way, whatever it costs.
    pub(crate) plan: Option<Plan>,
}

/// What is known of the slots that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matches<'a> {
    /// All that live; some do not.
    All,
    /// All that live; nearly all do.
    Most,
    /// No others than those of these rows.
    Rows(&'a Bitmap),
    /// No others than those of these nodes, a bit each, so many set.
    Nodes(&'a [u64], usize),
    /// Nothing.
    Unknown,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Scores and slots, best first.
    pub(crate) best: Vec<(f32, u32)>,
    pub(crate) plan: Plan,
    /// Nodes compared.
    pub(crate) compared: usize,
    /// Nodes expanded.
    pub(crate) expanded: usize,
    /// Whether the budget ended the search early.
    pub(crate) cut: bool,
}

impl Frozen {
    /// The best `k` slots that `accepts`.
    pub(crate) fn find(
        &self,
        ask: Ask<'_>,
        matches: Matches<'_>,
        accepts: &impl Fn(u32) -> bool,
    ) -> Found {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let passes = |node: u32| self.slots.of_node(node).any(accepts);
        let mut found = None;
        if matches == Matches::Most {
            // Looking up each candidate's death costs a cache miss; the few dead are left out last.
            let search = Search { frozen: self, ask, matches, passes: |_| true };
            found = Some(search.run(&mut scratch, accepts)).filter(|f| f.best.len() == ask.k);
        }
        let found = found.unwrap_or_else(|| {
            Search { frozen: self, ask, matches, passes }.run(&mut scratch, accepts)
        });
        SCRATCH.set(Some(scratch));
        found
    }
}

/// How to go about it.
#[derive(Debug, Clone, Copy)]
struct Way {
    plan: Plan,
    ef: usize,
    /// Matches expected.
    expected: usize,
    /// Nodes to compare at most.
    budget: usize,
}

struct Search<'a, P: Fn(u32) -> bool> {
    frozen: &'a Frozen,
    ask: Ask<'a>,
    matches: Matches<'a>,
    passes: P,
}

impl<P: Fn(u32) -> bool> Search<'_, P> {
    fn run(&self, scratch: &mut Scratch, accepts: &impl Fn(u32) -> bool) -> Found {
        if self.frozen.coarse {
            return self.compare_all(accepts);
        }
        let expected = self.expected();
        let ef = self.ask.ef.max(self.ask.k);
        let nodes = self.frozen.nodes();
        let plan = self.ask.plan.unwrap_or_else(|| self.frozen.costs.choose(expected, nodes, ef));
        let budget = match (plan, self.matches, self.ask.plan) {
            (Plan::Scan, ..) | (_, Matches::All | Matches::Most, _) | (.., Some(_)) => {
                self.ask.budget
            }
            // A walk that goes on for longer than a scan takes was a mistake.
            _ => self.ask.budget.min(expected + nodes / 64 + WALK_LEAST),
        };
        let mut found = self.go(Way { plan, ef, expected, budget }, scratch, accepts);
        let short = found.best.len() < self.ask.k && plan != Plan::Scan && self.ask.plan.is_none();
        if short && found.compared < self.ask.budget {
            let walked = found.compared;
            let budget = self.ask.budget - walked;
            found = self.go(Way { plan: Plan::Scan, ef, expected, budget }, scratch, accepts);
            found.compared += walked;
        }
        found
    }

    /// Compares the vectors of all matching nodes.
    fn compare_all(&self, accepts: &impl Fn(u32) -> bool) -> Found {
        let (frozen, ask) = (self.frozen, self.ask);
        let mut best: Vec<(f32, u32)> = Vec::new();
        let mut compared = 0;
        let whole = self.each_match(|node| {
            let score = ask.space.score(ask.query, frozen.node_vector(node));
            let slots = frozen.slots.of_node(node).filter(|&slot| accepts(slot));
            best.extend(slots.take(ask.k).map(|slot| (score, slot)));
            if best.len() > 2 * ask.k + 1024 {
                keep_best(&mut best, ask.k);
            }
            compared += 1;
            compared < ask.budget
        });
        keep_best(&mut best, ask.k);
        Found { best, plan: Plan::Scan, compared, expanded: 0, cut: !whole }
    }

    /// About how many nodes match.
    fn expected(&self) -> usize {
        let nodes = self.frozen.nodes();
        match self.matches {
            Matches::All | Matches::Most => nodes,
            Matches::Rows(rows) => rows.len().min(nodes),
            Matches::Nodes(_, count) => count,
            Matches::Unknown => {
                let step = nodes.div_ceil(TRIED).max(1);
                let tried = (0u32..).take(nodes).step_by(step);
                tried.filter(|&node| (self.passes)(node)).count() * step
            }
        }
    }

    fn go(&self, way: Way, scratch: &mut Scratch, accepts: &impl Fn(u32) -> bool) -> Found {
        let work = match way.plan {
            Plan::Scan => self.scan(way.budget, scratch),
            Plan::Through | Plan::TwoHop => self.walk(way, scratch),
        };
        let spare = if way.plan == Plan::Scan { SPARE_SCAN_MIN } else { SPARE_MIN };
        let exact = self.ask.k + spare.max(self.ask.k / 4);
        let best = self.rescore(scratch, exact, accepts);
        let Work { compared, expanded, cut } = work;
        Found { best, plan: way.plan, compared, expanded, cut }
    }

    fn walk(&self, way: Way, scratch: &mut Scratch) -> Work {
        let map = &self.frozen.map;
        let query = map.coder.query(self.ask.query);
        let two_hop = way.plan == Plan::TwoHop;
        let starts = if two_hop { self.some_matches(way.expected) } else { Vec::new() };
        let stride = if two_hop { Stride::TwoHop } else { Stride::Through };
        let how = Walk { ef: way.ef, budget: way.budget, stride, starts: &starts };
        map.walk(&query, how, &self.passes, scratch)
    }

    /// A few matching nodes from all over.
    fn some_matches(&self, expected: usize) -> Vec<u32> {
        let step = (expected / STARTS).max(1);
        let mut some = Vec::with_capacity(STARTS);
        let mut count = 0_usize;
        _ = self.each_match(|node| {
            if count.is_multiple_of(step) {
                some.push(node);
            }
            count += 1;
            some.len() < STARTS
        });
        some
    }

    /// Calls `visit` with every matching node until it says no, or until too many were tried.
    fn each_match(&self, mut visit: impl FnMut(u32) -> bool) -> bool {
        let mut nodes = (0u32..).take(self.frozen.nodes());
        let mut tries = self.ask.budget.saturating_mul(TRIES);
        let mut visit = |node: u32| {
            tries = tries.saturating_sub(1);
            tries > 0 && (!(self.passes)(node) || visit(node))
        };
        let slots = &self.frozen.slots;
        match self.matches {
            Matches::All | Matches::Most | Matches::Unknown => nodes.all(&mut visit),
            Matches::Nodes(words, _) => ones(words).all(&mut visit),
            Matches::Rows(rows) if slots.single() => {
                rows.iter().filter_map(|row| slots.slot(row)).all(&mut visit)
            }
            Matches::Rows(rows) => {
                let of_row = |row| slots.slot(row).map(|slot| slots.node(slot));
                let mut nodes: Vec<u32> = rows.iter().filter_map(of_row).collect();
                nodes.sort_unstable();
                nodes.dedup();
                nodes.into_iter().all(&mut visit)
            }
        }
    }

    /// Puts the best of all matching nodes into the pool.
    fn scan(&self, budget: usize, scratch: &mut Scratch) -> Work {
        let map = &self.frozen.map;
        let query = map.coder.query(self.ask.query);
        let Scratch { pool, sifted, .. } = scratch;
        pool.reset(self.ask.k + SPARE_SCAN_MIN.max(self.ask.k / 4));
        let mut block: Vec<u32> = Vec::with_capacity(BLOCK);
        let mut compared = 0;
        let mut compare = |block: &mut Vec<u32>| {
            sift(&map.codes, &query, block, pool.threshold(), sifted);
            sifted.iter().for_each(|(score, node)| _ = pool.offer(score, node, true));
            block.clear();
        };
        let whole = self.each_match(|node| {
            map.prefetch_code(node);
            block.push(node);
            compared += 1;
            if block.len() == BLOCK {
                compare(&mut block);
            }
            compared < budget
        });
        compare(&mut block);
        Work { compared, expanded: 0, cut: !whole }
    }

    /// Scores the best `count` of the pool exactly: the best `k` slots.
    fn rescore(
        &self,
        scratch: &Scratch,
        count: usize,
        accepts: &impl Fn(u32) -> bool,
    ) -> Vec<(f32, u32)> {
        let (frozen, ask) = (self.frozen, self.ask);
        let lives = |node: &u32| frozen.slots.of_node(*node).any(accepts);
        let nodes = || scratch.pool.passing().map(|(_, node)| node).filter(lives).take(count);
        nodes().for_each(|node| frozen.prefetch_vector(node));
        let mut best = Vec::with_capacity(count);
        for node in nodes() {
            let score = ask.space.score(ask.query, frozen.node_vector(node));
            let slots = frozen.slots.of_node(node).filter(|&slot| accepts(slot));
            best.extend(slots.take(ask.k).map(|slot| (score, slot)));
        }
        keep_best(&mut best, ask.k);
        best
    }
}

/// Keeps the best `k`, best first.
fn keep_best(best: &mut Vec<(f32, u32)>, k: usize) {
    best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    best.truncate(k);
}
