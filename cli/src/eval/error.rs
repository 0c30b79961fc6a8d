//! Why an evaluation could not be done.

use bailiwick_core::kind::Kind;
use bailiwick_core::learning::LearningError;

use crate::data::DataError;

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
            Self::NoTest => Kind::Invalid,
            Self::Thread => Kind::Broken,
        }
    }
}
