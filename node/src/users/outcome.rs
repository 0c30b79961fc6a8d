//! What a users command answers.

use bailiwick_core::kind::Kind;
use bailiwick_proto::store::{UsersOutcome, UsersRefusal};
use prost::Message as _;

use super::consent::ConsentState;
use crate::seal::SealError;

/// A command that changed nothing, the same on every replica.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Which kind of refusal.
    pub code: UsersRefusal,
    /// In words; carries no personal value.
    pub reason: String,
}

impl Refused {
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self { code: UsersRefusal::Malformed, reason: reason.into() }
    }

    pub(super) fn full(reason: impl Into<String>) -> Self {
        Self { code: UsersRefusal::Full, reason: reason.into() }
    }

    pub(super) fn salt(reason: impl Into<String>) -> Self {
        Self { code: UsersRefusal::Salt, reason: reason.into() }
    }

    pub(super) fn late() -> Self {
        let reason = "this was asked for before the choice that stands; read it, and choose again";
        Self { code: UsersRefusal::Late, reason: reason.to_owned() }
    }

    pub(super) fn erased() -> Self {
        let reason = "the person was erased since this command was made; make it anew";
        Self { code: UsersRefusal::Erased, reason: reason.to_owned() }
    }

    pub(super) fn newer(found: u32, known: u32) -> Self {
        let reason = format!("the command has format {found}, this version reads up to {known}");
        Self { code: UsersRefusal::Newer, reason }
    }

    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.code {
            UsersRefusal::Malformed | UsersRefusal::Full => Kind::Invalid,
            UsersRefusal::Newer
            | UsersRefusal::Salt
            | UsersRefusal::Late
            | UsersRefusal::Erased => Kind::Stale,
            UsersRefusal::Sealed | UsersRefusal::None => Kind::Broken,
        }
    }
}

/// Why a command is not carried out.
#[derive(Debug)]
pub(super) enum Stop {
    /// On every replica.
    Refused(Refused),
    /// On this one, which lacks a key that the others have: it may not go on, or it would diverge.
    Halt(SealError),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<SealError> for Stop {
    fn from(error: SealError) -> Self {
        if error.is_local() {
            return Self::Halt(error);
        }
        let code = match error {
            SealError::Newer { .. } => UsersRefusal::Newer,
            _ => UsersRefusal::Sealed,
        };
        Self::Refused(Refused { code, reason: error.to_string() })
    }
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Events that were new.
    pub accepted: u32,
    /// Events that were there already.
    pub duplicates: u32,
    /// Events of before an erasure, which are not stored.
    pub past: u32,
    /// The consent after a change of it.
    pub consent: Option<ConsentState>,
}

impl Applied {
    /// Reads an encoded outcome; none when it is not well-formed, which no machine writes.
    ///
    /// # Errors
    /// [`Refused`] when the command changed nothing.
    pub fn decode(outcome: &[u8]) -> Result<Self, Refused> {
        let unread =
            |_| Refused { code: UsersRefusal::None, reason: "an unreadable outcome".into() };
        let outcome = UsersOutcome::decode(outcome).map_err(unread)?;
        if outcome.refusal() != UsersRefusal::None {
            return Err(Refused { code: outcome.refusal(), reason: outcome.refused });
        }
        let consent = outcome.consent.as_ref().map(ConsentState::of).transpose();
        Ok(Self {
            accepted: outcome.accepted,
            duplicates: outcome.duplicates,
            past: outcome.past,
            consent: consent.map_err(|e| Refused::malformed(e.to_string()))?,
        })
    }
}

impl From<Refused> for UsersOutcome {
    fn from(refused: Refused) -> Self {
        Self { refusal: refused.code.into(), refused: refused.reason, ..Self::default() }
    }
}
