//! Why there is no new model.

use std::path::PathBuf;

use bailiwick_core::kind::Kind;

use crate::client::ClientError;

/// Why there is no new model.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Nobody is named.
    #[error("whom to ask is missing: add --router URL --token-file FILE")]
    NoTarget,
    /// The file of the token can't be read.
    #[error("{} can't be read: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The router did not do what it was asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The run failed.
    #[error("the run failed: {0}")]
    Failed(String),
}

impl LearnError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoTarget | Self::File { .. } => Kind::Invalid,
            Self::Client(error) => error.kind(),
            Self::Failed(_) => Kind::Unavailable,
        }
    }
}
