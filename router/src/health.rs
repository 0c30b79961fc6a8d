//! Which nodes answer, and how fast: failures in a row mark a node down, a probe brings it back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures in a row that mark a node down.
pub(crate) const FAILURES_MAX: u32 = 2;
/// The weight of the newest latency.
const NEWEST: f64 = 0.2;
/// What a node that was never asked counts as, in seconds: asked soon, not preferred.
const UNKNOWN_S: f64 = 0.002;

#[derive(Debug, Default)]
struct State {
    failures: u32,
    waiting: u32,
    latency_s: Option<f64>,
}

/// The health of one node, as seen from here.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether requests may go there. A node that was never asked may be.
    pub(crate) fn is_up(&self) -> bool {
        self.state().failures < FAILURES_MAX
    }

    /// The exponentially weighted latency in seconds.
    pub(crate) fn latency_s(&self) -> f64 {
        self.state().latency_s.unwrap_or(UNKNOWN_S)
    }

    /// What one more request would cost: latency times requests under way.
    pub(crate) fn cost(&self) -> f64 {
        let state = self.state();
        state.latency_s.unwrap_or(UNKNOWN_S) * (f64::from(state.waiting) + 1.0)
    }

    /// A request begins. The guard ends it, however it ends.
    pub(crate) fn begin(&self) -> Waiting<'_> {
        self.state().waiting += 1;
        Waiting(self)
    }

    /// The node answered, with whatever outcome. True when it had been down.
    pub(crate) fn answered(&self, after: Duration) -> bool {
        let mut state = self.state();
        let newest = after.as_secs_f64();
        let smoothed = state.latency_s.map_or(newest, |old| old + NEWEST * (newest - old));
        state.latency_s = Some(smoothed);
        std::mem::take(&mut state.failures) >= FAILURES_MAX
    }

    /// The node did not answer. True when that marks it down.
    pub(crate) fn failed(&self) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.failures == FAILURES_MAX
    }
}

/// A request under way.
pub(crate) struct Waiting<'a>(&'a Health);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_down_after_failures_in_a_row_and_up_after_one_answer() {
        let health = Health::default();
        assert!(health.is_up());
        assert!(!health.failed() && health.is_up());
        assert!(!health.answered(Duration::from_millis(1)), "it was not down");
        assert!(!health.failed() && health.is_up(), "an answer starts the count again");
        assert!(health.failed() && !health.is_up());
        assert!(!health.failed(), "it is marked once");
        assert!(health.answered(Duration::from_millis(1)) && health.is_up());
    }

    #[test]
    fn requests_under_way_make_a_node_dearer() {
        let health = Health::default();
        health.answered(Duration::from_millis(10));
        let idle = health.cost();
        let waiting = health.begin();
        assert!(health.cost() > idle * 1.9);
        drop(waiting);
        assert!((health.cost() - idle).abs() < 1e-9);
    }
}
