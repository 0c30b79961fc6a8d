//! How long to wait before dialling a peer again.

use std::time::Duration;

use crate::dice::Dice;

/// Bounds of the wait between dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second dial.
    pub min: Duration,
    /// Before any later one.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(50), max: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The wait after `failures` failed dials in a row: doubled each time up to `max`, of which a
    /// random half is taken away, so that the peers of a node that returns don't all dial at once.
    #[must_use]
    pub fn wait(&self, failures: u32, dice: &mut Dice) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let full = self.min.saturating_mul(doubled).min(self.max);
        dice.between(full / 2, full)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_wait_stays_inside_its_bounds(failures in 0_u32..100, seed in any::<u64>()) {
            let backoff = Backoff::default();
            let wait = backoff.wait(failures, &mut Dice::new(seed));
            prop_assert!(wait >= backoff.min / 2 && wait <= backoff.max);
        }
    }

    #[test]
    fn the_wait_grows() {
        let waits: Vec<_> = (1..8).map(|n| Backoff::default().wait(n, &mut Dice::new(3))).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    }
}
