//! What can go wrong with the applied state.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_core::kind::Kind;

use super::rows::RowRefusal;
use crate::raft::codec::CodecError;

/// A failure of the store. Cloneable, since one failure may have several to be told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The embedded database failed.
    #[error("the database failed to {what}: {why}")]
    Engine {
        /// What was tried.
        what: &'static str,
        /// In the database's words.
        why: String,
    },
    /// What was found is not what was written.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// The file or tree.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A row that the store does not take.
    #[error(transparent)]
    Row(#[from] RowRefusal),
    /// Bytes that could not be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl StoreError {
    /// Wraps an error of the file system.
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source: Arc::new(source) }
    }

    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } | Self::Engine { .. } | Self::Damaged { .. } => Kind::Broken,
            Self::Row(_) => Kind::Invalid,
            Self::Codec(error) => error.kind(),
        }
    }

    /// Whether the surroundings (rights, space, another process) are to blame, so that rebuilding would not help.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        use io::ErrorKind as K;
        let Self::Io { source, .. } = self else { return false };
        matches!(
            source.kind(),
            K::PermissionDenied
                | K::StorageFull
                | K::ReadOnlyFilesystem
                | K::QuotaExceeded
                | K::WouldBlock
        )
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Io { source, .. } => source.kind(),
            StoreError::Damaged { .. } | StoreError::Codec(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
