//! What a simulated network does to frames, by seed; and which ways it is cut.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use tokio::time::Instant;

use crate::dice::Dice;

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

/// What becomes of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It takes this long.
    Arrives(Duration),
    /// It breaks its connection.
    Breaks,
}

impl Weather {
    pub(crate) fn fate(&self, dice: &mut Dice) -> Fate {
        if dice.unit() < self.break_rate {
            return Fate::Breaks;
        }
        let late = if dice.unit() < self.late_rate { self.late_by } else { Duration::ZERO };
        Fate::Arrives(dice.between(self.delay_min, self.delay_max) + late)
    }
}

/// The ways that are cut, and since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cuts(BTreeMap<(NodeName, NodeName), Instant>);

impl Cuts {
    pub(crate) fn cut(&mut self, from: &NodeName, to: &NodeName) {
        self.0.entry((from.clone(), to.clone())).or_insert_with(Instant::now);
    }

    pub(crate) fn heal(&mut self, from: &NodeName, to: &NodeName) {
        self.0.remove(&(from.clone(), to.clone()));
    }

    pub(crate) fn heal_all(&mut self) {
        self.0.clear();
    }

    pub(crate) fn since(&self, from: &NodeName, to: &NodeName) -> Option<Instant> {
        self.0.get(&(from.clone(), to.clone())).copied()
    }

    /// Since when one of the two has not heard the other.
    pub(crate) fn deaf_since(&self, a: &NodeName, b: &NodeName) -> Option<Instant> {
        [self.since(a, b), self.since(b, a)].into_iter().flatten().min()
    }
}
