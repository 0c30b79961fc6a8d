//! Why a generation was not taken over or not named.

use bailiwick_ann::AnnError;
use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;

use crate::store::StoreError;

/// Why a generation was not taken over or not named.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// No peer gave it.
    #[error("no peer gave the file: {0}")]
    Fetch(Failure),
    /// The group did not take its name.
    #[error("the catalogue's group did not name it: {0}")]
    Name(Failure),
    /// Another node leads the group by now.
    #[error("another node leads the catalogue by now")]
    Led,
    /// The index refused.
    #[error(transparent)]
    Index(#[from] AnnError),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is whole, and not what was named.
    #[error("the file is not what was named: {0}")]
    Other(&'static str),
    /// The catalogue was loaded anew meanwhile: its rows have other numbers now.
    #[error("the catalogue was loaded anew meanwhile")]
    Reloaded,
    /// The work was ended, or panicked.
    #[error("the work did not end in order")]
    Ended,
}

impl GenerationError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Fetch(failure) | Self::Name(failure) => failure.kind,
            Self::Index(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Other(_) => Kind::Broken,
            Self::Reloaded | Self::Led => Kind::Stale,
            Self::Ended => Kind::Unavailable,
        }
    }

    /// Whether the file holds nothing that this node lacks, rather than that it could not be had.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Index(AnnError::NoGain { .. }) | Self::Reloaded)
    }
}
