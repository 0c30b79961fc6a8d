//! What is due when: pure, so that the schedule can be tested without a clock.

use std::time::Duration;

use super::Workload;

/// Load and floor take turns this often a second, or at every request where there are fewer.
const SLICES_A_SECOND: u64 = 2;

/// One request of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Recommend,
    Event,
    FloorRecommend,
    FloorEvent,
}

impl What {
    pub(super) fn is_floor(self) -> bool {
        matches!(self, Self::FloorRecommend | Self::FloorEvent)
    }

    /// The echo that stands beside it.
    fn floor(self) -> Self {
        match self {
            Self::Recommend | Self::FloorRecommend => Self::FloorRecommend,
            Self::Event | Self::FloorEvent => Self::FloorEvent,
        }
    }
}

/// A constant rate over slices of load and floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    rate: u32,
    duration: Duration,
    workload: Workload,
}

/// A request and when it is due, counted from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) number: u64,
    pub(super) at: Duration,
    pub(super) what: What,
}

impl Plan {
    pub(super) fn new(rate: u32, duration: Duration, workload: Workload) -> Self {
        Self { rate: rate.max(1), duration, workload }
    }

    /// Requests of load; there are as many of floor.
    pub(super) fn load(&self) -> u64 {
        u64::from(self.rate).saturating_mul(self.duration.as_secs())
    }

    /// Everything that is due, in order.
    pub(super) fn all(self) -> impl Iterator<Item = Due> {
        (0..self.load().saturating_mul(2)).map(move |number| self.due(number))
    }

    fn due(&self, number: u64) -> Due {
        let rate = u64::from(self.rate);
        let within = (number % rate).saturating_mul(1_000_000_000) / rate;
        let at = Duration::from_secs(number / rate) + Duration::from_nanos(within);
        let what = self.what(number);
        let floor = (number / (rate / SLICES_A_SECOND).max(1)) % 2 == 1;
        Due { number, at, what: if floor { what.floor() } else { what } }
    }

    fn what(&self, number: u64) -> What {
        match self.workload {
            Workload::Recommend => What::Recommend,
            Workload::Events => What::Event,
            Workload::Mix if number % 10 == 9 => What::Event,
            Workload::Mix => What::Recommend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_constant_and_the_floor_takes_every_other_slice() {
        let all: Vec<Due> = Plan::new(300, Duration::from_secs(2), Workload::Mix).all().collect();
        assert_eq!(all.len(), 1200);
        for pair in all.windows(2) {
            let gap = (pair[1].at - pair[0].at).as_nanos();
            assert!((3_333_332..=3_333_334).contains(&gap), "{gap} ns apart");
        }
        assert_eq!(all.iter().filter(|due| due.what.is_floor()).count(), 600);
        let events = |what| all.iter().filter(|due| due.what == what).count();
        assert_eq!((events(What::Event), events(What::FloorEvent)), (60, 60));
        let slice = |due: &Due| due.at.as_millis() / 500;
        assert!(all.iter().all(|due| due.what.is_floor() == (slice(due) % 2 == 1)));
    }

    #[test]
    fn one_request_a_second_is_a_rate_too() {
        let all: Vec<Due> = Plan::new(1, Duration::from_secs(2), Workload::Events).all().collect();
        let seconds: Vec<u64> = all.iter().map(|due| due.at.as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 3]);
        assert_eq!(all.iter().filter(|due| due.what.is_floor()).count(), 2);
    }
}
