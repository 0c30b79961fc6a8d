//! What a run with a budget has paid for, and what of that it asked for.

use bailiwick_core::learning::TrainingOptions;
use bailiwick_proto::store::{LearningRun, PrivacyLedger};

use crate::control;

/// Sums that stand in the ledger, and those of them that were asked for, whether they came or not.
///
/// INVARIANT: what was asked for was announced in `control` before, and what is announced was paid for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Purse {
    paid: u64,
    announced: u64,
    asked: u64,
}

impl Purse {
    /// What the coordinators of a run before this one left. All that they announced may have been asked for.
    pub(super) fn left(
        options: &TrainingOptions,
        ledger: &PrivacyLedger,
        run: &LearningRun,
    ) -> Self {
        let paid = match options.budget {
            Some(budget) => budget.pays(options.sums(), control::spent_by(ledger, &run.run)),
            None => ledger.spent.iter().any(|spent| spent.run == run.run).into(),
        };
        let announced = match options.budget {
            // Whoever paid and announced nothing may be of a build that announces nothing.
            Some(_) if run.asked == 0 => paid,
            _ => run.asked,
        };
        Self { paid, announced, asked: announced }
    }

    /// What must be paid before so many sums more are asked for.
    pub(super) fn due(self, sums: u64) -> u64 {
        self.asked.saturating_add(sums).saturating_sub(self.paid)
    }

    pub(super) fn pay(&mut self, sums: u64) {
        self.paid = self.paid.saturating_add(sums);
    }

    /// How many sums are to be announced before the next is asked for, a stretch of them at once; none where it was.
    pub(super) fn announces(self, stretch: u64) -> Option<u64> {
        let most = self.asked.saturating_add(stretch.max(1)).min(self.paid);
        (self.asked >= self.announced).then_some(most)
    }

    pub(super) fn announced(&mut self, most: u64) {
        self.announced = most;
    }

    pub(super) fn ask(&mut self) {
        self.asked = self.asked.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::learning::Budget;
    use bailiwick_proto::store::PrivacySpent;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sum_asked_for_in_vain_is_paid_for_again() {
        let mut purse = Purse::default();
        assert_eq!(purse.due(11), 11);
        purse.pay(11);
        // The census and two rounds came, the third did not.
        (0..4).for_each(|_| purse.ask());
        assert_eq!(purse.due(8), 1);
        purse.pay(1);
        assert_eq!((purse.due(8), purse.due(7)), (0, 0));
    }

    const ROUNDS: u32 = 40;
    const STRETCH: u64 = 4;

    /// A run as `control` has it, and what really happened.
    #[derive(Default)]
    struct Story {
        ledger: PrivacyLedger,
        run: LearningRun,
        asked: u64,
        checkpoint: Option<u32>,
    }

    /// One coordinator, from a checkpoint or from nothing, until it ends or dies before a step; whether it ended.
    fn coordinate(story: &mut Story, options: &TrainingOptions, dies: usize, loses: usize) -> bool {
        let budget = options.budget.unwrap();
        let mut purse = Purse::left(options, &story.ledger, &story.run);
        let mut done = story.checkpoint.map(|round| round + 1).unwrap_or_default();
        for step in 0..dies {
            let left = u64::from(options.sums() - done);
            if left == 0 {
                return true;
            }
            // Only between sessions is anything paid for; each of these is one.
            let due = purse.due(left);
            if due > 0 {
                let rho = Some(budget.cost(options.sums(), due).0);
                story.ledger.spent.push(PrivacySpent { rho, ..PrivacySpent::default() });
                purse.pay(due);
            }
            if let Some(most) = purse.announces(STRETCH) {
                story.run.asked = story.run.asked.max(most);
                purse.announced(most);
            }
            purse.ask();
            story.asked += 1;
            let lost = loses > 0 && step % loses == 0;
            done += u32::from(!lost);
            if !lost && done > 1 && (done - 1).is_multiple_of(4) {
                story.checkpoint = Some(done - 1);
            }
        }
        false
    }

    proptest! {
        /// Whoever dies when, and whatever is lost: never more sums are asked for than are announced, never more
        /// announced than paid for; and a coordinator that is lost costs no more than a stretch.
        #[test]
        fn sums_are_paid_for_before_they_are_asked_for(
            lives in prop::collection::vec((0..60_usize, 0..9_usize), 0..6),
        ) {
            let budget = Budget::new(8.0, 1e-6).unwrap();
            let options = TrainingOptions { rounds: ROUNDS, ..TrainingOptions::default() }.under(budget);
            let mut story = Story::default();
            let paid = |story: &Story| {
                budget.pays(options.sums(), control::spent_by(&story.ledger, &story.run.run))
            };
            let mut deaths = 0;
            for (dies, loses) in lives.into_iter().chain([(usize::MAX, 0)]) {
                let loses = if loses < 2 { 0 } else { loses };
                let ended = coordinate(&mut story, &options, dies, loses);
                prop_assert!(story.asked <= story.run.asked, "more than was announced");
                prop_assert!(story.run.asked <= paid(&story), "more than was paid for");
                if ended {
                    break;
                }
                deaths += 1;
            }
            let (lost, whole) = (story.asked, u64::from(options.sums()));
            prop_assert!(lost >= whole);
            // Rounds that are asked for again since they came after the checkpoint, and what was announced of them.
            prop_assert!(paid(&story) <= lost + deaths * STRETCH);
        }
    }
}
