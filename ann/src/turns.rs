//! Several walks that take turns: while one's codes are compared, the codes of the next one arrive, and
//! the links of all others.

use std::ops::Range;

use crate::codes::QueryCode;
use crate::kernel::{self, widest};
use crate::sift::ask;
use crate::walk::{Map, Scratch, Walk, Work};

/// Walks under way at a time.
const TURNS: usize = 4;

/// One walk among several.
#[derive(Debug, Default)]
struct Stroll {
    scratch: Scratch,
    query: QueryCode,
    work: Work,
    /// The number of its query; none if there is none left for it.
    number: Option<usize>,
    /// Where the nodes are whose codes were asked for.
    asked: Range<usize>,
}

/// Memory that walks in turns use again and again.
#[derive(Debug, Default)]
pub(crate) struct Strolls([Stroll; TURNS]);

/// What to walk to, and what to do when there.
pub(crate) struct Errand<'a, P, D> {
    pub(crate) map: &'a Map,
    pub(crate) queries: &'a [&'a [f32]],
    pub(crate) how: Walk<'a>,
    pub(crate) passes: &'a P,
    /// Told the number of a query, and what the walk to it found.
    pub(crate) done: D,
}

impl<P: Fn(u32) -> bool, D: FnMut(usize, &Scratch, Work)> Errand<'_, P, D> {
    /// Walks to every query.
    pub(crate) fn run(self, strolls: &mut Strolls) {
        widest(Running { errand: self, strolls, begun: 0 });
    }
}

struct Running<'a, 's, P, D> {
    errand: Errand<'a, P, D>,
    strolls: &'s mut Strolls,
    /// Queries begun so far.
    begun: usize,
}

impl<P: Fn(u32) -> bool, D: FnMut(usize, &Scratch, Work)> kernel::Work for Running<'_, '_, P, D> {
    type Out = ();

    #[inline(always)]
    fn run(mut self) {
        (0..TURNS).for_each(|at| self.begin(at));
        let (mut last, mut waiting) = (0, None);
        loop {
            let ready = (1..=TURNS).map(|step| (last + step) % TURNS);
            let next = ready.filter(|&at| Some(at) != waiting).find(|&at| self.advance(at));
            if waiting.is_none() && next.is_none() {
                return;
            }
            self.settle(waiting, next);
            last = next.unwrap_or(last);
            waiting = next;
        }
    }
}

impl<P: Fn(u32) -> bool, D: FnMut(usize, &Scratch, Work)> Running<'_, '_, P, D> {
    /// Sends a walk to the next query, if there is one.
    #[inline(always)]
    fn begin(&mut self, at: usize) {
        let Self { errand, strolls: Strolls(strolls), begun } = self;
        let Some(stroll) = strolls.get_mut(at) else { return };
        let query = errand.queries.get(*begun);
        stroll.number = query.map(|_| *begun);
        if let Some(query) = query {
            *begun += 1;
            stroll.query = errand.map.coder.query(query);
            let (how, passes) = (errand.how, errand.passes);
            stroll.work = errand.map.start(&stroll.query, how, passes, &mut stroll.scratch);
        }
    }

    /// Has a walk list the nodes that it wants to compare next. One that is through is reported and
    /// sent to another query; false if there is none.
    #[inline(always)]
    fn advance(&mut self, at: usize) -> bool {
        loop {
            let Self { errand, strolls: Strolls(strolls), .. } = self;
            let Some(stroll) = strolls.get_mut(at) else { return false };
            let Some(number) = stroll.number else { return false };
            let Stroll { scratch, work, .. } = stroll;
            let next = errand.map.gather(errand.how, errand.passes, scratch, work);
            if let Some(next) = next {
                stroll.asked = next;
                return true;
            }
            (errand.done)(number, &stroll.scratch, stroll.work);
            self.begin(at);
        }
    }

    /// Compares what one walk has asked for, and asks for what another one wants.
    #[inline(always)]
    fn settle(&mut self, waiting: Option<usize>, next: Option<usize>) {
        let Self { errand, strolls: Strolls(strolls), .. } = self;
        match (waiting, next) {
            (Some(waiting), Some(next)) => {
                if let Ok([waiting, next]) = strolls.get_disjoint_mut([waiting, next]) {
                    errand.compare(waiting, next.wanted(errand.how));
                }
            }
            (Some(at), None) => {
                strolls.get_mut(at).into_iter().for_each(|s| errand.compare(s, &[]))
            }
            (None, Some(at)) => {
                let wanted = strolls.get(at).map(|s| s.wanted(errand.how)).unwrap_or_default();
                ask(&errand.map.codes, wanted);
            }
            (None, None) => {}
        }
    }
}

impl<P: Fn(u32) -> bool, D> Errand<'_, P, D> {
    #[inline(always)]
    fn compare(&self, stroll: &mut Stroll, wanted: &[u32]) {
        let Stroll { scratch, query, asked, .. } = stroll;
        let (front, now) = scratch.split(self.how.stride, asked.clone());
        self.map.compare(query, self.how, self.passes, front, now, wanted);
    }
}

impl Stroll {
    #[inline(always)]
    fn wanted(&self, how: Walk<'_>) -> &[u32] {
        self.scratch.listed(how.stride, self.asked.clone())
    }
}
