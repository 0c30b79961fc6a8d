//! Why an evaluation could not be done.

use bailiwick_core::kind::Kind;
use bailiwick_core::learning::LearningError;

use crate::client::ClientError;
use crate::data::DataError;
use crate::dev::DevError;
use crate::learn::LearnError;

/// Why an evaluation could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The split can't be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nothing can be learned from it.
    #[error("learning stopped: {0}")]
    Learning(#[from] LearningError),
    /// Nobody has a test item.
    #[error("nobody has a test item: there is nothing to judge by")]
    NoTest,
    /// The cluster does not run.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// A router did not do what it was asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cluster did not learn.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The system gave no runtime.
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// The curves can't be written.
    #[error("--svg {}: {source}; name a file in a folder that can be written to", file.display())]
    Svg {
        /// The file.
        file: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cluster did not take what it was sent.
    #[error("{0}")]
    Cluster(String),
    /// A thread that was learning or ranking ended in a panic.
    #[error("a thread of this evaluation broke off")]
    Thread,
}

impl EvalError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Data(error) => error.kind(),
            Self::Learning(error) => error.kind(),
            Self::NoTest | Self::Svg { .. } => Kind::Invalid,
            Self::Dev(_) | Self::Runtime(_) => Kind::Unavailable,
            Self::Client(error) => error.kind(),
            Self::Learn(error) => error.kind(),
            Self::Cluster(_) => Kind::Refused,
            Self::Thread => Kind::Broken,
        }
    }
}
