//! When a run begins that nobody asked for.

use std::time::Duration;

use bailiwick_core::ids::UnixMillis;

/// Between two runs that the schedule begins, whatever moved.
const APART_MIN: Duration = Duration::from_secs(3600);

/// When to learn anew; never where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Schedule {
    /// So long after the run before began.
    pub every: Option<Duration>,
    /// When the number of items has changed by this part of those that the model knows.
    pub moved: Option<f64>,
}

/// What a schedule looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// When the latest run began; none before the first.
    pub began: Option<UnixMillis>,
    /// Items of the model that is served; none before the first.
    pub known: Option<u32>,
    /// Items that there are.
    pub items: u32,
}

impl Schedule {
    /// Whether a run is due at `now`.
    #[must_use]
    pub fn is_due(&self, now: UnixMillis, standing: &Standing) -> bool {
        if standing.items == 0 || *self == Self::default() {
            return false;
        }
        let Some(began) = standing.began else { return true };
        let since = u64::try_from(now.0.saturating_sub(began.0))
            .map_or(Duration::ZERO, Duration::from_millis);
        let late = self.every.is_some_and(|every| since >= every.max(APART_MIN));
        late || since >= APART_MIN && self.has_moved(standing)
    }

    fn has_moved(&self, standing: &Standing) -> bool {
        let Some(most) = self.moved else { return false };
        // No model came of the runs before: to it, all items are new.
        let Some(known) = standing.known else { return true };
        f64::from(standing.items.abs_diff(known)) >= most * f64::from(known.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn due(schedule: Schedule, after_ms: Option<i64>, known: Option<u32>, items: u32) -> bool {
        let now = UnixMillis(1_000_000_000_000);
        let began = after_ms.map(|ms| UnixMillis(now.0 - ms));
        schedule.is_due(now, &Standing { began, known, items })
    }

    #[test]
    fn a_run_is_due_when_it_is_late_or_items_moved() {
        let daily = Schedule { every: Some(Duration::from_secs(86_400)), moved: None };
        assert!(due(daily, None, None, 10), "there was none yet");
        assert!(!due(daily, None, None, 0), "there is nothing to learn of");
        assert!(!due(daily, Some(23 * HOUR_MS), Some(10), 10));
        assert!(due(daily, Some(24 * HOUR_MS), Some(10), 10));
        let moving = Schedule { every: None, moved: Some(0.1) };
        assert!(!due(moving, Some(2 * HOUR_MS), Some(100), 109));
        assert!(
            due(moving, Some(2 * HOUR_MS), Some(100), 110)
                && due(moving, Some(2 * HOUR_MS), Some(100), 90)
        );
        assert!(due(moving, Some(2 * HOUR_MS), None, 5), "the run before brought no model");
        assert!(!due(moving, Some(HOUR_MS / 2), None, 5), "so soon after it");
        assert!(!due(moving, Some(HOUR_MS / 2), Some(100), 200), "so soon after the last");
        assert!(!due(moving, Some(-HOUR_MS), Some(100), 200), "a clock that was set back");
        assert!(
            !due(Schedule::default(), None, None, 10)
                && !due(Schedule::default(), Some(i64::MAX), None, 10)
        );
    }
}
