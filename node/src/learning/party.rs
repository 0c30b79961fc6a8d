//! A domain's side of a session: its people, and the masks that all that leaves it is under.

use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Interactions, PooledModel, Round};
use bailiwick_core::pinned::{PinRefusal, Pinned, Standpoint};

use super::{Allowance, Attempt, MaskedShare, PairMasks, SumError, Terms, Unpaid};

/// Why a domain gave no share.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// It has not agreed with the others yet: there is nothing to mask with.
    #[error("no masks are agreed on")]
    NoMasks,
    /// The people are another domain's.
    #[error(transparent)]
    Pin(#[from] PinRefusal),
    /// The ledger does not pay for another share.
    #[error(transparent)]
    Unpaid(#[from] Unpaid),
    /// Under noise the options say in what steps shares travel, and not who asks.
    #[error("the round's steps are not those of its noise")]
    Fineness,
    /// The sum can't be had.
    #[error(transparent)]
    Sum(#[from] SumError),
}

impl PartyError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoMasks => Kind::Invalid,
            Self::Pin(_) | Self::Unpaid(_) | Self::Fineness => Kind::Refused,
            Self::Sum(error) => error.kind(),
        }
    }
}

/// A domain in a session. Nothing of its people leaves it but under masks.
#[derive(Debug)]
pub struct Party {
    people: Pinned<Interactions>,
    here: Standpoint,
    terms: Terms,
    allowance: Option<Allowance>,
    masks: Option<PairMasks>,
}

impl Party {
    /// A domain with these people, which gives its shares on these terms. On terms with a budget it gives none without
    /// an allowance.
    #[must_use]
    pub fn new(
        people: Pinned<Interactions>,
        here: Standpoint,
        terms: Terms,
        allowance: Option<Allowance>,
    ) -> Self {
        Self { people, here, terms, allowance, masks: None }
    }

    #[cfg(test)]
    pub(super) fn with_people(self, people: Pinned<Interactions>) -> Self {
        Self { people, ..self }
    }

    /// What was agreed on with the others.
    pub fn agreed(&mut self, masks: PairMasks) {
        self.masks = Some(masks);
    }

    /// Counts a share before it is made, where shares cost.
    fn pay(&self) -> Result<(), Unpaid> {
        match (&self.allowance, self.terms.cost()) {
            (Some(allowance), Some(_)) => allowance.take(),
            (None, Some(_)) => Err(Unpaid { given: 0, paid: 0 }),
            (_, None) => Ok(()),
        }
    }

    /// How many people and pairs there are, masked.
    ///
    /// # Errors
    /// [`PartyError`].
    pub fn census(&mut self, at: Attempt) -> Result<MaskedShare, PartyError> {
        self.pay()?;
        let masks = self.masks.as_mut().ok_or(PartyError::NoMasks)?;
        let census = self.terms.census(self.people.open(&self.here)?).map_err(SumError::from)?;
        Ok(masks.mask(at, census.packed(Default::default()))?)
    }

    /// The share of a round, masked, where all domains have `all` people. Computes for long.
    ///
    /// # Errors
    /// [`PartyError`].
    pub fn share(
        &mut self,
        at: Attempt,
        round: &Round,
        model: &PooledModel,
        all: u64,
    ) -> Result<MaskedShare, PartyError> {
        if self.terms.options.fineness().is_some_and(|own| own != round.fineness) {
            return Err(PartyError::Fineness);
        }
        self.pay()?;
        let masks = self.masks.as_mut().ok_or(PartyError::NoMasks)?;
        let people = self.people.open(&self.here)?;
        let groups = round.groups(people);
        let mut share = round.share(people, model, &groups).map_err(SumError::from)?;
        self.terms.apply(&mut share, people, all);
        let packed = share.packed(round.fineness);
        // It has twice the bytes of what travels, and masking takes a while.
        drop(share);
        Ok(masks.mask(at, packed)?)
    }
}
