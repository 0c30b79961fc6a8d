//! What can go wrong with keys and sealing.

use std::io;
use std::path::PathBuf;

use bailiwick_core::kind::Kind;

/// A failure of keys or sealing. Tells names and numbers, never a key's or a sealed value's bytes.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Keys beside the data would be stolen, backed up and restored with it.
    #[error(
        "the keys directory {keys} lies inside the data directory {data}: keep keys off the data disk"
    )]
    KeysInsideData {
        /// The keys directory.
        keys: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// Others may read a key.
    #[error("{path} has mode {mode:03o}: a key must be open to its owner alone (600)")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file of the wrong size.
    #[error("{path} has {found} bytes, a key has 32")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes found.
        found: usize,
    },
    /// A key-encryption key that is no epoch's.
    #[error("{dir} holds no epoch-<n>.key with n from 1 on")]
    NoEpoch {
        /// The keys directory.
        dir: PathBuf,
    },
    /// This node lacks an epoch that the cluster uses.
    #[error("there is no key for epoch {epoch} here (newest here: {newest})")]
    UnknownEpoch {
        /// The epoch asked for.
        epoch: u32,
        /// The newest epoch that this node has.
        newest: u32,
    },
    /// This node has another key under the epoch's number.
    #[error(
        "the key of epoch {epoch} here is not the one that data was wrapped with: wrong key file"
    )]
    OtherEpochKey {
        /// The epoch.
        epoch: u32,
    },
    /// Another key, another place, or damage.
    #[error("{what} can't be opened: it was sealed elsewhere, with another key, or is damaged")]
    Unopened {
        /// What was to be opened.
        what: &'static str,
    },
    /// Opened, but not understood.
    #[error("{what} is malformed")]
    Malformed {
        /// What was read.
        what: &'static str,
    },
    /// Written by a newer build.
    #[error("{what} has format {found}, this build reads up to {known}")]
    Newer {
        /// What was read.
        what: &'static str,
        /// The format found.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The system's entropy source, or a primitive, failed.
    #[error("the cryptography failed to {what}")]
    Crypto {
        /// What was tried.
        what: &'static str,
    },
}

impl SealError {
    /// Wraps an error of the file system.
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::KeysInsideData { .. }
            | Self::Mode { .. }
            | Self::Length { .. }
            | Self::NoEpoch { .. } => Kind::Invalid,
            Self::Newer { .. } => Kind::Stale,
            _ => Kind::Broken,
        }
    }

    /// Whether this node alone is at fault: another replica, with the right keys, can go on.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::UnknownEpoch { .. } | Self::OtherEpochKey { .. } | Self::Crypto { .. })
    }
}
