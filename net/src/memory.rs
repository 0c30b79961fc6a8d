//! Links inside one process, with seeded weather, for simulations under paused time: the same seed and
//! the same program give the same delays, losses and broken connections.

use std::time::Duration;

/// How frames fare. The default is fair: no delay, no loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// A frame takes at least this long.
    pub delay_min: Duration,
    /// And at most this long, if it is not lost.
    pub delay_max: Duration,
    /// The share of frames that are lost and sent again, from 0 to 1.
    pub late_rate: f64,
    /// How much later those arrive.
    pub late_by: Duration,
    /// The share of frames that break their connection, from 0 to 1.
    pub break_rate: f64,
}
