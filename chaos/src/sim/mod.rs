//! Whole clusters in one thread, under paused time: the same seed gives the same run, byte for byte.

pub mod checks;
pub mod client;
pub mod command;
pub mod entropy;
pub mod faults;
pub mod history;
pub mod node;
pub mod observe;
pub mod people;
pub mod run;
pub mod scenario;
pub mod seeds;
pub mod tap;
pub mod trace;
pub mod wire;
pub mod world;

/// A simulation could not be made. That a promise did not hold is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A file could not be handled.
    #[error("the system refused: {0}")]
    Io(#[from] std::io::Error),
    /// A part of the cluster could not be made.
    #[error("{0}")]
    Part(String),
}

impl SimError {
    /// What a part of the cluster said.
    #[must_use]
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self::Part(error.to_string())
    }
}
