//! How many requests may be under way: as many as are still answered about as fast as when it is quiet.
//!
//! A queue makes nobody faster. What comes on top of what the nodes can do is turned away at once, so that
//! what was let in keeps its latency and the work that is done is of use. How much that is nobody needs to
//! know: while answers take as long as in quiet times the limit rises, a little each window; when they take
//! longer it falls by a share (additive increase, multiplicative decrease, as in congestion control).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A window ends after so many answers and so much time.
const ANSWERS: usize = 50;
const WINDOW: Duration = Duration::from_millis(50);
/// Answers of one window that are looked at, at most.
const ANSWERS_MAX: usize = 1000;
/// Slower than this many times the quiet time is too slow.
const TOLERANCE: f64 = 1.6;
/// Differences below this are the machine's, not a queue's.
const GRACE: Duration = Duration::from_millis(1);
/// What is left of the limit after a window that was too slow.
const BACK_OFF: f64 = 0.85;
/// How fast the quiet time follows windows in which there was no queue.
const DRIFT: f64 = 0.05;
/// After so many busy windows one is let be quieter, so that a quiet time that was learned under load is found out.
const PROBE: u32 = 100;
/// Below this the limit never falls: an edge that lets nobody in learns nothing.
const LEAST: usize = 4;
/// Where it begins.
const FIRST: usize = 64;

/// A limit that learns.
#[derive(Debug)]
pub(crate) struct Admission {
    under_way: AtomicUsize,
    limit: AtomicUsize,
    max: usize,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    took: Vec<Duration>,
    /// The most that were under way.
    peak: usize,
    /// The 90th percentile when there was no queue.
    quiet: Option<Duration>,
    /// Busy windows since the last probe.
    busy: u32,
    /// The limit to go back to after a probe.
    back_to: Option<usize>,
}

/// A request that was let in. Dropped, it is over.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Admission>);

impl Admission {
    /// At most `max` at once, whatever is learned.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let window = Window {
            began: Instant::now(),
            took: Vec::new(),
            peak: 0,
            quiet: None,
            busy: 0,
            back_to: None,
        };
        Arc::new(Self {
            under_way: AtomicUsize::new(0),
            limit: AtomicUsize::new(FIRST.min(max)),
            max,
            window: Mutex::new(window),
        })
    }

    /// Lets a request in, unless as many are under way as may be.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let limit = self.limit();
        let room = |now: usize| (now < limit).then_some(now + 1);
        let entered = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        entered.ok().map(|_| Pass(Arc::clone(self)))
    }

    /// How many may be under way now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Acquire)
    }

    /// The nodes answered a request after this time. What a slow client adds does not belong in it.
    pub(crate) fn learn(&self, took: Duration) {
        let under_way = self.under_way.load(Ordering::Acquire);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = self.limit();
        if let Some(next) = window.add(took, under_way, limit) {
            self.limit.store(next.clamp(LEAST.min(self.max), self.max), Ordering::Release);
        }
    }
}

impl Window {
    /// Counts an answer; at the window's end, the limit from now on.
    fn add(&mut self, took: Duration, under_way: usize, limit: usize) -> Option<usize> {
        self.peak = self.peak.max(under_way);
        if self.took.len() < ANSWERS_MAX {
            self.took.push(took);
        }
        if self.took.len() < ANSWERS || self.began.elapsed() < WINDOW {
            return None;
        }
        let (now, peak) = (percentile(&mut self.took), self.peak);
        self.took.clear();
        (self.began, self.peak) = (Instant::now(), 0);
        Some(self.next(now, peak, limit))
    }

    fn next(&mut self, now: Duration, peak: usize, limit: usize) -> usize {
        let quiet = *self.quiet.get_or_insert(now);
        if let Some(back_to) = self.back_to.take() {
            self.quiet = Some(quiet.min(now));
            return back_to;
        }
        if peak * 2 <= limit {
            // Without a queue of ours: if it is slow the work has changed, and the quiet time with it.
            let drift = quiet.mul_f64(1.0 - DRIFT) + now.mul_f64(DRIFT);
            self.quiet = Some(now.min(drift));
            return limit;
        }
        self.busy += 1;
        self.quiet = Some(quiet.min(now));
        let next = match now > quiet.mul_f64(TOLERANCE) + GRACE {
            true => scaled(limit, BACK_OFF),
            false => limit + (limit / 16).max(1),
        };
        if self.busy < PROBE {
            return next;
        }
        (self.busy, self.back_to) = (0, Some(next));
        limit / 2
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small count"
)]
fn scaled(limit: usize, share: f64) -> usize {
    (limit as f64 * share) as usize
}

/// The 90th: what a queue does is seen there sooner than in the middle.
fn percentile(took: &mut [Duration]) -> Duration {
    let at = took.len() * 9 / 10;
    *took.select_nth_unstable(at).1
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A server that does `cores` things at once, each in 4 ms: what is let in on top waits.
    fn settle(admission: &Admission, cores: usize, demand: usize) -> usize {
        let mut limits = Vec::new();
        for _ in 0..400 {
            let mut window = admission.window.lock().unwrap();
            let limit = admission.limit();
            let inside = demand.min(limit);
            let took = ms(4).mul_f64((inside as f64 / cores as f64).max(1.0));
            let next = window.next(took, inside, limit).clamp(LEAST, admission.max);
            admission.limit.store(next, Ordering::Release);
            limits.push(next);
        }
        let last = &limits[300..];
        last.iter().sum::<usize>() / last.len()
    }

    #[test]
    fn the_limit_finds_what_the_nodes_can_do() {
        for cores in [8, 32, 100] {
            let admission = Admission::new(1024);
            settle(&admission, cores, cores / 2);
            let limit = settle(&admission, cores, 5 * cores);
            assert!(limit >= cores && limit <= cores * 2, "{cores} at once, but {limit} let in");
        }
    }

    #[test]
    fn a_limit_that_began_under_load_is_right_in_the_end() {
        let admission = Admission::new(1024);
        settle(&admission, 8, 500);
        let limit = settle(&admission, 8, 500);
        assert!((8..=24).contains(&limit), "{limit} let in");
    }

    #[test]
    fn quiet_times_leave_the_limit_alone_and_slower_work_is_learned() {
        let admission = Admission::new(1024);
        assert_eq!(settle(&admission, 1000, 3), FIRST);
        let mut window = admission.window.lock().unwrap();
        for _ in 0..200 {
            assert_eq!(window.next(ms(20), 3, FIRST), FIRST);
        }
        assert!(window.quiet.unwrap() > ms(15), "{:?}", window.quiet);
    }

    #[test]
    fn no_more_enter_than_may_and_who_leaves_makes_room() {
        let admission = Admission::new(2);
        let (first, second) = (admission.enter(), admission.enter());
        assert!(first.is_some() && second.is_some() && admission.enter().is_none());
        drop(first);
        assert!(admission.enter().is_some());
    }

    #[test]
    fn a_crowd_of_threads_never_exceeds_the_limit_nor_loses_room() {
        let admission = Admission::new(8);
        let admission = &admission;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if let Some(_pass) = admission.enter() {
                            assert!(admission.under_way.load(Ordering::Acquire) <= 8);
                            admission.learn(ms(1));
                        }
                    }
                });
            }
        });
        assert_eq!(admission.under_way.load(Ordering::Acquire), 0);
    }
}
