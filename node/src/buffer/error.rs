//! Why events could not be buffered.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::IdError;
use bailiwick_core::kind::Kind;
use bailiwick_core::policy::WordError;

use crate::seal::SealError;
use crate::users::Refused;

/// Why a batch was not buffered, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// The file system refused; nothing is stored.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The bounds are reached; nothing is stored.
    #[error("the buffer is full: {batches} batches, {bytes} bytes")]
    Full {
        /// Batches that wait.
        batches: usize,
        /// Bytes that wait.
        bytes: u64,
    },
    /// Sealing or opening failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Events that make no sense.
    #[error(transparent)]
    Events(#[from] Refused),
    /// The file is not what was written.
    #[error("the file is torn or damaged")]
    Torn,
    /// A word that this version doesn't know.
    #[error("a buffered decision is not understood: {0}")]
    Word(#[from] WordError),
    /// A name that is not valid.
    #[error("a buffered name is not valid: {0}")]
    Name(#[from] IdError),
}

impl BufferError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// What a caller may conclude. Whatever it is, the batch is not stored.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Unavailable,
            Self::Full { .. } => Kind::Overloaded,
            Self::Seal(error) => error.kind(),
            Self::Events(error) => error.kind(),
            Self::Torn | Self::Word(_) | Self::Name(_) => Kind::Broken,
        }
    }

    /// What is to be done with a batch that could not be read.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Io { .. } | Self::Full { .. } => Remedy::GiveUp,
            Self::Seal(error) if error.is_local() => Remedy::Wait,
            Self::Seal(SealError::Newer { .. }) => Remedy::Wait,
            _ => Remedy::SetAside,
        }
    }
}

/// See [`BufferError::remedy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The file itself is at fault, for good.
    SetAside,
    /// This node lacks a key or a version; the file may be good.
    Wait,
    /// The disk is at fault: end the round.
    GiveUp,
}
