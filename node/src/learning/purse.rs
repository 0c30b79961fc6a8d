//! What a run with a budget has paid for, and what of that it asked for.

/// Sums that stand in the ledger, and those of them that were asked for, whether they came or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Purse {
    paid: u64,
    asked: u64,
}

impl Purse {
    /// What must be paid before so many sums more are asked for.
    pub(super) fn due(self, sums: u64) -> u64 {
        self.asked.saturating_add(sums).saturating_sub(self.paid)
    }

    pub(super) fn pay(&mut self, sums: u64) {
        self.paid = self.paid.saturating_add(sums);
    }

    pub(super) fn ask(&mut self) {
        self.asked = self.asked.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
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
}
