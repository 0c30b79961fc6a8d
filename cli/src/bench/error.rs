//! Why a bench could not be run.

use std::path::PathBuf;

use bailiwick_core::ids::IdError;
use bailiwick_core::kind::Kind;
use bailiwick_net::token::TokenSetupError;

use crate::client::ClientError;

/// Why a bench could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The target is another machine.
    #[error("{target} is not this machine: add --yes-remote if it is yours to load")]
    Remote {
        /// The target.
        target: String,
    },
    /// The key can't be used.
    #[error("the key can't be used: {0}")]
    Key(#[from] TokenSetupError),
    /// There is no key file; one that were made now no cluster would believe.
    #[error("there is no key file {}: take the cluster's own", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// A token could not be signed.
    #[error("a token could not be signed: {problem}")]
    Signing {
        /// What happened.
        problem: String,
    },
    /// A name in the arguments is not valid.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A file of tokens can't be read.
    #[error("{} can't be read: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file of tokens holds none.
    #[error("{} holds no token: write one a line", file.display())]
    NoTokens {
        /// The file.
        file: PathBuf,
    },
    /// Tokens of a file, and none that may ask for the floor.
    #[error("the floor needs a token of scope cluster:admin: add --admin-token FILE")]
    NoAdmin,
    /// The cluster refused or did not answer while the run was prepared.
    #[error("{step}: {source}")]
    Prepare {
        /// What was being done.
        step: &'static str,
        /// Why not.
        source: ClientError,
    },
    /// The first request of a sort failed on the interface that is to be measured.
    #[error("{step} could not be had before the run: {kind}")]
    Rehearsal {
        /// What was asked for.
        step: &'static str,
        /// The kind of failure.
        kind: &'static str,
    },
    /// The cluster refused items.
    #[error("{count} of the items were refused, the first in line {line}: {error}")]
    Items {
        /// How many.
        count: usize,
        /// Of the upload, from 1.
        line: u32,
        /// The cluster's words.
        error: String,
    },
    /// The cluster recommends nothing, so that there is nothing to report events on.
    #[error("the cluster recommends nothing: load items first, or add --items 100000")]
    NoItems,
    /// The latencies can't be counted.
    #[error("the histogram can't be made: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// The gRPC interface can't be reached.
    #[error("no gRPC connection to {target}: {problem}")]
    Grpc {
        /// The target.
        target: String,
        /// What happened.
        problem: String,
    },
}

impl BenchError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Remote { .. } => Kind::Refused,
            Self::NoKey { .. } | Self::File { .. } => Kind::NotFound,
            Self::Key(error) => error.kind(),
            Self::Prepare { source, .. } => source.kind(),
            Self::Grpc { .. } | Self::Rehearsal { .. } => Kind::Unavailable,
            Self::Signing { .. } | Self::Histogram(_) => Kind::Broken,
            _ => Kind::Invalid,
        }
    }
}
