//! Why a sum could not be had.

use bailiwick_core::ids::DomainId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::LearningError;

use super::Attempt;

/// Why a sum could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SumError {
    /// The system gave no random key, or the other side's key is none.
    #[error("no secret could be agreed on with {peer}")]
    Agreement {
        /// The other domain.
        peer: DomainId,
    },
    /// A domain offers no key for one that takes part.
    #[error("{peer} gave no key for this domain")]
    NoKey {
        /// The other domain.
        peer: DomainId,
    },
    /// A sum of one is that one.
    #[error("{domains} domain can't hide in a sum: at least 2 must take part")]
    Alone {
        /// Domains that would take part.
        domains: usize,
    },
    /// The attempt was masked before: a second share under the same masks would show their difference.
    #[error("{attempt} is not after {last}, which was masked already")]
    Spent {
        /// What was asked for.
        attempt: Attempt,
        /// The latest that was masked.
        last: Attempt,
    },
    /// A share of another attempt.
    #[error("{from} sent a share of {found}, {expected} is under way")]
    OtherAttempt {
        /// The sender.
        from: DomainId,
        /// The share's.
        found: Attempt,
        /// The gathering's.
        expected: Attempt,
    },
    /// The sender does not take part.
    #[error("{from} does not take part in this sum")]
    Stranger {
        /// The sender.
        from: DomainId,
    },
    /// A second share of one domain.
    #[error("{from} sent its share already")]
    Twice {
        /// The sender.
        from: DomainId,
    },
    /// Shares are missing, so that the masks don't cancel.
    #[error("{missing} of {of} shares are missing, the first that of {first}")]
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        of: usize,
        /// One of them.
        first: DomainId,
    },
    /// A share or the sum has not the form asked for.
    #[error(transparent)]
    Form(#[from] LearningError),
}

impl SumError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Agreement { .. } | Self::NoKey { .. } | Self::Missing { .. } => Kind::Unavailable,
            Self::Spent { .. } | Self::OtherAttempt { .. } | Self::Twice { .. } => Kind::Stale,
            Self::Alone { .. } | Self::Stranger { .. } => Kind::Refused,
            Self::Form(error) => error.kind(),
        }
    }
}
