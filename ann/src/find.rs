//! Searching one frozen generation: by scan or walk over codes, then exactly.

use std::cell::Cell;

use roaring::RoaringBitmap;

use crate::bitmap::Bitmap;
use crate::frozen::Frozen;
use crate::kernel::{Work, widest};
use crate::plan::Plan;
use crate::scan::SPARE_SCAN_MIN;
use crate::space::Space;
use crate::turns::{Errand, Strolls};
use crate::walk::{self, Scratch, Stride, Walk};

/// Candidates scored exactly beyond `k`, at least: codes may misjudge the order that much.
pub(crate) const SPARE_MIN: usize = 10;
/// What a filtered walk may meet at least before it is given up for a scan.
const WALK_LEAST: usize = 2000;
/// Slots that a predicate is tried on to estimate how many it accepts.
const TRIED: usize = 256;
/// Matching nodes that a two-hop walk starts from besides the pivots.
const STARTS: usize = 24;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    static STROLLS: Cell<Option<Box<Strolls>>> = const { Cell::new(None) };
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
    /// No others than those of these nodes, rising.
    Listed(&'a [u32]),
    /// No others than those of these slots.
    Slots(&'a RoaringBitmap),
    /// No others than some of these slots.
    Among(&'a RoaringBitmap),
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
    /// Nodes scored exactly.
    pub(crate) rescored: usize,
    /// Whether the budget ended the search early.
    pub(crate) cut: bool,
}

impl Frozen {
    /// The best `k` slots that `accepts`.
    fn find(&self, ask: Ask<'_>, matches: Matches<'_>, accepts: &impl Fn(u32) -> bool) -> Found {
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

impl Frozen {
    /// The best `k` slots that `accepts` for each of the queries, all else of `ask` being alike.
    pub(crate) fn find_all(
        &self,
        ask: Ask<'_>,
        queries: &[&[f32]],
        matches: Matches<'_>,
        accepts: &impl Fn(u32) -> bool,
    ) -> Vec<Found> {
        let alone = |query| self.find(Ask { query, ..ask }, matches, accepts);
        if queries.len() < 2 {
            return queries.iter().map(|query| alone(query)).collect();
        }
        let mut strolls = STROLLS.take().unwrap_or_default();
        let found = if matches == Matches::Most {
            let search = Search { frozen: self, ask, matches, passes: |_| true };
            search.run_all(queries, &mut strolls, accepts)
        } else {
            let passes = |node: u32| self.slots.of_node(node).any(accepts);
            let search = Search { frozen: self, ask, matches, passes };
            search.run_all(queries, &mut strolls, accepts)
        };
        STROLLS.set(Some(strolls));
        found.into_iter().zip(queries).map(|(f, query)| f.unwrap_or_else(|| alone(query))).collect()
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

pub(crate) struct Search<'a, P: Fn(u32) -> bool> {
    pub(crate) frozen: &'a Frozen,
    pub(crate) ask: Ask<'a>,
    pub(crate) matches: Matches<'a>,
    pub(crate) passes: P,
}

/// A search on its way, to be compiled for each instruction set.
struct Going<'a, P: Fn(u32) -> bool, A: Fn(u32) -> bool> {
    search: &'a Search<'a, P>,
    way: Way,
    scratch: &'a mut Scratch,
    accepts: &'a A,
}

impl<P: Fn(u32) -> bool, A: Fn(u32) -> bool> Work for Going<'_, P, A> {
    type Out = Found;

    #[inline(always)]
    fn run(self) -> Found {
        self.search.go_on(self.way, self.scratch, self.accepts)
    }
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
        let budget = self.budget(plan, expected);
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

    /// Nodes to compare at most.
    fn budget(&self, plan: Plan, expected: usize) -> usize {
        match (plan, self.matches, self.ask.plan) {
            (Plan::Scan, ..) | (_, Matches::All | Matches::Most, _) | (.., Some(_)) => {
                self.ask.budget
            }
            // A walk that goes on for longer than a scan takes was a mistake.
            _ => self.ask.budget.min(expected + self.frozen.nodes() / 64 + WALK_LEAST),
        }
    }

    /// Walks to all of these queries in turns, if that is the way to go: what each one found, none
    /// where another way must be gone.
    fn run_all(
        &self,
        queries: &[&[f32]],
        strolls: &mut Strolls,
        accepts: &impl Fn(u32) -> bool,
    ) -> Vec<Option<Found>> {
        let mut all: Vec<Option<Found>> = queries.iter().map(|_| None).collect();
        let (expected, ef) = (self.expected(), self.ask.ef.max(self.ask.k));
        let plan = self
            .ask
            .plan
            .unwrap_or_else(|| self.frozen.costs.choose(expected, self.frozen.nodes(), ef));
        if self.frozen.coarse || plan != Plan::Through {
            return all;
        }
        let budget = self.budget(plan, expected);
        let how = self.how(Way { plan, ef, expected, budget }, Stride::Through);
        let done = |number: usize, scratch: &Scratch, work: walk::Work| {
            let query = queries.get(number).copied().unwrap_or_default();
            let found = self.found(query, plan, work, scratch, accepts);
            if let Some(slot) = all.get_mut(number).filter(|_| found.best.len() == self.ask.k) {
                *slot = Some(found);
            }
        };
        let map = &self.frozen.map;
        Errand { map, queries, how, passes: &self.passes, done }.run(strolls);
        all
    }

    /// Compares the vectors of all matching nodes.
    fn compare_all(&self, accepts: &impl Fn(u32) -> bool) -> Found {
        let (frozen, ask) = (self.frozen, self.ask);
        let mut best: Vec<(f32, u32)> = Vec::new();
        let (mut compared, mut room) = (0, Vec::new());
        let whole = self.each_candidate(|node| {
            let score = ask.space.score(ask.query, frozen.node_vector(node, &mut room));
            let slots = frozen.slots.of_node(node).filter(|&slot| accepts(slot));
            best.extend(slots.take(ask.k).map(|slot| (score, slot)));
            if best.len() > 2 * ask.k + 1024 {
                keep_best(&mut best, ask.k);
            }
            compared += 1;
            compared < ask.budget
        });
        keep_best(&mut best, ask.k);
        Found { best, plan: Plan::Scan, compared, expanded: 0, rescored: compared, cut: !whole }
    }

    /// About how many nodes match.
    fn expected(&self) -> usize {
        let nodes = self.frozen.nodes();
        match self.matches {
            Matches::All | Matches::Most => nodes,
            Matches::Rows(rows) => rows.len().min(nodes),
            Matches::Nodes(_, count) => count,
            Matches::Listed(nodes) => nodes.len(),
            Matches::Slots(slots) => held(slots).min(nodes),
            Matches::Among(slots) => self.sampled().min(held(slots)),
            Matches::Unknown => self.sampled(),
        }
    }

    /// About how many nodes pass, by some of them.
    fn sampled(&self) -> usize {
        let nodes = self.frozen.nodes();
        let step = nodes.div_ceil(TRIED).max(1);
        let tried = (0u32..).take(nodes).step_by(step);
        tried.filter(|&node| (self.passes)(node)).count() * step
    }

    fn go(&self, way: Way, scratch: &mut Scratch, accepts: &impl Fn(u32) -> bool) -> Found {
        widest(Going { search: self, way, scratch, accepts })
    }

    #[inline(always)]
    fn go_on(&self, way: Way, scratch: &mut Scratch, accepts: &impl Fn(u32) -> bool) -> Found {
        let work = match way.plan {
            Plan::Scan => self.scan(way.budget, scratch),
            Plan::Through | Plan::TwoHop => self.walk(way, scratch),
        };
        self.found(self.ask.query, way.plan, work, scratch, accepts)
    }

    /// What the pool holds, scored exactly.
    #[inline(always)]
    fn found(
        &self,
        query: &[f32],
        plan: Plan,
        work: walk::Work,
        scratch: &Scratch,
        accepts: &impl Fn(u32) -> bool,
    ) -> Found {
        let spare = if plan == Plan::Scan { SPARE_SCAN_MIN } else { SPARE_MIN };
        let (best, rescored) = self.rescore(query, scratch, exact(self.ask.k, spare), accepts);
        let walk::Work { compared, expanded, cut } = work;
        Found { best, plan, compared, expanded, rescored, cut }
    }

    #[inline(always)]
    fn walk(&self, way: Way, scratch: &mut Scratch) -> walk::Work {
        let map = &self.frozen.map;
        let query = map.coder.query(self.ask.query);
        let two_hop = way.plan == Plan::TwoHop;
        let starts = if two_hop { self.some_matches(way.expected) } else { Vec::new() };
        let stride = if two_hop { Stride::TwoHop } else { Stride::Through };
        let how = Walk { starts: &starts, ..self.how(way, stride) };
        map.walk(&query, how, &self.passes, scratch)
    }

    fn how(&self, way: Way, stride: Stride) -> Walk<'static> {
        let share = way.expected.max(1) as f32 / self.frozen.nodes().max(1) as f32;
        let (k, least) = (self.ask.k, exact(self.ask.k, SPARE_MIN));
        let (ef, stop) = self.frozen.spread.extent((k, least), way.ef, share);
        Walk { ef, budget: way.budget, stride, stop, starts: &[] }
    }

    /// A few matching nodes from all over.
    fn some_matches(&self, expected: usize) -> Vec<u32> {
        let step = (expected / STARTS).max(1);
        let mut some = Vec::with_capacity(STARTS);
        let mut count = 0_usize;
        _ = self.each_candidate(|node| {
            if !(self.passes)(node) {
                return true;
            }
            if count.is_multiple_of(step) {
                some.push(node);
            }
            count += 1;
            some.len() < STARTS
        });
        some
    }

    /// Scores the best `count` of the pool exactly: the best `k` slots, and how many were scored.
    #[inline(always)]
    fn rescore(
        &self,
        query: &[f32],
        scratch: &Scratch,
        count: usize,
        accepts: &impl Fn(u32) -> bool,
    ) -> (Vec<(f32, u32)>, usize) {
        let (frozen, ask) = (self.frozen, self.ask);
        let lives = |node: &u32| frozen.slots.of_node(*node).any(accepts);
        let nodes = || scratch.pool.passing().map(|(_, node)| node).filter(lives).take(count);
        nodes().for_each(|node| frozen.prefetch_vector(node));
        let mut best = Vec::with_capacity(count);
        let (mut scored, mut room) = (0, Vec::new());
        for node in nodes() {
            scored += 1;
            let score = ask.space.score(query, frozen.node_vector(node, &mut room));
            let slots = frozen.slots.of_node(node).filter(|&slot| accepts(slot));
            best.extend(slots.take(ask.k).map(|slot| (score, slot)));
        }
        keep_best(&mut best, ask.k);
        (best, scored)
    }
}

/// Slots of a set.
fn held(slots: &RoaringBitmap) -> usize {
    usize::try_from(slots.len()).unwrap_or(usize::MAX)
}

/// Candidates to score exactly, to find `k`.
fn exact(k: usize, spare: usize) -> usize {
    k + spare.max(k / 4)
}

/// Keeps the best `k`, best first.
fn keep_best(best: &mut Vec<(f32, u32)>, k: usize) {
    best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    best.truncate(k);
}
