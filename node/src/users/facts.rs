//! What the app last said of a person with events that were linked to them.

use bailiwick_core::ids::{IdError, Jurisdiction};
use bailiwick_core::policy::{AgeBand, Asking, Gpc, HomeReach, Service, Word as _, WordError};
use bailiwick_proto::store::{DecisionFacts, FactsRow};

use super::consent::ConsentState;
use super::draft::Draft;
use super::outcome::{Refused, Stop};
use super::schema::{FORMAT, RowKind};
use crate::seal::{DataKey, PersonKey, TENANT};

/// What a decision was made from, besides what the person may have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The person's home jurisdiction.
    pub home: Jurisdiction,
    /// Where the request was made.
    pub location: Jurisdiction,
    /// The kind of service.
    pub service: Service,
    /// The person's age band.
    pub age_band: AgeBand,
    /// Whether the global privacy control was sent.
    pub gpc: Gpc,
}

impl Facts {
    /// As they stand in commands, rows and files.
    #[must_use]
    pub fn to_message(&self) -> DecisionFacts {
        DecisionFacts {
            home: self.home.as_str().to_owned(),
            location: self.location.as_str().to_owned(),
            service: self.service.as_str().to_owned(),
            age_band: self.age_band.as_str().to_owned(),
            gpc: self.gpc == Gpc::Sent,
        }
    }

    /// Reads them. A word that this version doesn't know is an error, never a guess.
    ///
    /// # Errors
    /// A place or a word that is not one.
    pub fn of<E: From<IdError> + From<WordError>>(message: &DecisionFacts) -> Result<Self, E> {
        Ok(Self {
            home: Jurisdiction::new(message.home.as_str())?,
            location: Jurisdiction::new(message.location.as_str())?,
            service: message.service.parse()?,
            age_band: message.age_band.parse()?,
            gpc: if message.gpc { Gpc::Sent } else { Gpc::Absent },
        })
    }

    /// What a decision looks at, with the person's choices as they are, at home.
    #[must_use]
    pub fn asking(&self, consent: &ConsentState) -> Asking {
        Asking {
            service: self.service,
            age_band: self.age_band,
            consent: consent.consent,
            toggle: consent.toggle,
            gpc: self.gpc,
            sensitive: consent.sensitive,
            reach: HomeReach::Reachable,
        }
    }
}

/// Keeps what was said last. Where nothing is said, what was said before stays.
pub(super) fn keep(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    said: Option<&DecisionFacts>,
) -> Result<(), Stop> {
    let Some(said) = said else { return Ok(()) };
    Facts::of::<Refused>(said)?;
    let at = RowKind::Facts.of_person(TENANT, person);
    let row = FactsRow { format: FORMAT, facts: Some(said.clone()) };
    match draft.get_sealed::<FactsRow>(key, &at)? {
        Some(held) if held == row => Ok(()),
        _ => draft.put_sealed(key, at, &row),
    }
}

impl From<IdError> for Refused {
    fn from(error: IdError) -> Self {
        Self::malformed(error.to_string())
    }
}

impl From<WordError> for Refused {
    fn from(error: WordError) -> Self {
        Self::malformed(error.to_string())
    }
}
