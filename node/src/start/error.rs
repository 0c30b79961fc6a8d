//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use bailiwick_core::kind::Kind;
use bailiwick_net::quic::QuicError;
use bailiwick_net::secret::FileError;
use bailiwick_net::tls::TlsError;
use bailiwick_net::token::TokenSetupError;

use crate::buffer::BufferError;
use crate::decisions::chain::ChainError;
use crate::log::LogError;
use crate::raft::group_machine::OpenError;
use crate::seal::SealError;
use crate::store::StoreError;
use crate::store::data_dir::DataDirError;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the process's identity can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate is a router's.
    #[error("the certificate is a router's, a node's is due (`bailiwick pki issue`)")]
    Role,
    /// A port can't be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The port.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The port for peers can't be bound.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// A socket can't be used.
    #[error("cannot use a socket: {0}")]
    Socket(#[from] std::io::Error),
    /// A key can't be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key set can't be used.
    #[error(transparent)]
    Tokens(#[from] TokenSetupError),
    /// The data directory is somebody else's, newer, or in use.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log can't be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The applied state can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A group can't be opened.
    #[error(transparent)]
    Group(#[from] OpenError),
    /// The buffer can't be opened.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// The decision log does not hold.
    #[error(transparent)]
    Decisions(#[from] ChainError),
    /// Raft does not start.
    #[error("group {group} does not start: {why}")]
    Raft {
        /// The group.
        group: String,
        /// What it said.
        why: String,
    },
    /// The keys are another domain's.
    #[error(
        "the keys in {} are not those of domain {domain}, which the certificate names: set keys_dir to \
         the folder that `bailiwick pki init --domain {domain}` made", keys.display()
    )]
    Keys {
        /// Where the keys are.
        keys: PathBuf,
        /// The domain of the certificate.
        domain: String,
    },
    /// The trust bundle lacks this node's own domain.
    #[error("the trust bundle does not know domain {0}")]
    Domain(String),
}

impl StartError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Tls(error) => error.kind(),
            Self::Quic(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Tokens(error) => error.kind(),
            Self::DataDir(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Group(error) => error.kind(),
            Self::Buffer(error) => error.kind(),
            Self::Role | Self::Domain(_) | Self::Keys { .. } => Kind::Invalid,
            Self::Bind { .. } | Self::Socket(_) => Kind::Unavailable,
            Self::Raft { .. } | Self::Decisions(_) => Kind::Broken,
        }
    }
}
