//! The coordinator's side of one sum: it adds what it cannot read.

use std::collections::BTreeSet;

use bailiwick_core::ids::DomainId;
use bailiwick_core::learning::{Fineness, PackedShare};

use super::{Attempt, SumError};

/// A share under its domain's masks: nothing can be read from it but its shape.
#[derive(Debug, Clone)]
pub struct MaskedShare {
    from: DomainId,
    attempt: Attempt,
    share: PackedShare,
}

impl MaskedShare {
    /// Of what arrived over `from`'s own link.
    #[must_use]
    pub fn new(from: DomainId, attempt: Attempt, share: PackedShare) -> Self {
        Self { from, attempt, share }
    }

    /// The sender.
    #[must_use]
    pub fn from(&self) -> &DomainId {
        &self.from
    }

    /// What it is a share of.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// What goes on the wire.
    #[must_use]
    pub fn masked(&self) -> &PackedShare {
        &self.share
    }
}

/// The sum of one attempt, complete when every party's share is in.
#[derive(Debug)]
pub struct Gathering {
    attempt: Attempt,
    parties: BTreeSet<DomainId>,
    waiting: BTreeSet<DomainId>,
    sum: PackedShare,
}

impl Gathering {
    /// Waits for a share of `items` x `dimensions`, in these steps, from each party.
    ///
    /// # Errors
    /// [`SumError::Alone`] with fewer than two parties.
    pub fn new(
        attempt: Attempt,
        parties: BTreeSet<DomainId>,
        shape: (usize, usize),
        fineness: [Fineness; 2],
    ) -> Result<Self, SumError> {
        if parties.len() < 2 {
            return Err(SumError::Alone { domains: parties.len() });
        }
        let waiting = parties.clone();
        let sum = PackedShare::zeros(shape, fineness);
        Ok(Self { attempt, parties, waiting, sum })
    }

    /// Whose share is not in yet.
    #[must_use]
    pub fn waiting(&self) -> &BTreeSet<DomainId> {
        &self.waiting
    }

    /// Adds a share.
    ///
    /// # Errors
    /// [`SumError::Stranger`], [`SumError::Twice`], [`SumError::OtherAttempt`], or [`SumError::Form`] for
    /// another shape; nothing is added then.
    pub fn take(&mut self, share: &MaskedShare) -> Result<(), SumError> {
        let from = || share.from.clone();
        if share.attempt != self.attempt {
            let (found, expected) = (share.attempt, self.attempt);
            return Err(SumError::OtherAttempt { from: from(), found, expected });
        }
        if !self.parties.contains(&share.from) {
            return Err(SumError::Stranger { from: from() });
        }
        if !self.waiting.contains(&share.from) {
            return Err(SumError::Twice { from: from() });
        }
        self.sum.add(&share.share)?;
        self.waiting.remove(&share.from);
        Ok(())
    }

    /// The sum, in which the masks have cancelled. What it says is not yet believed: the learning core
    /// checks contributors and bounds before it takes a step by it.
    ///
    /// # Errors
    /// [`SumError::Missing`].
    pub fn total(self) -> Result<PackedShare, SumError> {
        match self.waiting.first() {
            None => Ok(self.sum),
            Some(first) => Err(SumError::Missing {
                missing: self.waiting.len(),
                of: self.parties.len(),
                first: first.clone(),
            }),
        }
    }
}
