//! Why the development cluster does not run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_net::pki::PkiError;
use bailiwick_net::secret::FileError;
use bailiwick_net::token::TokenSetupError;
use bailiwick_node::seal::SealError;

use crate::client::ClientError;
use crate::data::DataError;

/// Why the development cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A file can't be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals can't be handled.
    #[error("signals can't be handled: {0}")]
    Signals(#[from] std::io::Error),
    /// Certificates can't be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A secret file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys can't be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Tokens can't be made.
    #[error(transparent)]
    Tokens(#[from] TokenSetupError),
    /// A token was asked for that can't be made.
    #[error("no token: {0}")]
    Token(String),
    /// The data can't be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A router did not do what it was asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A node does not start.
    #[error("{name}: {source}")]
    Node {
        /// The node.
        name: String,
        /// Why.
        source: Box<bailiwick_node::start::StartError>,
    },
    /// A router does not start.
    #[error("the router of {name}: {source}; another program may have the port: try --base-port 0")]
    Router {
        /// Its domain.
        name: String,
        /// Why.
        source: bailiwick_router::StartError,
    },
    /// A configuration that was just written can't be read: a fault of this program.
    #[error("{0}")]
    Config(String),
    /// The cluster did not come up.
    #[error("after {} s the cluster is not ready: {pending}", after.as_secs())]
    NotReady {
        /// How long it was waited for.
        after: Duration,
        /// What is missing.
        pending: String,
    },
    /// The catalogue refused an item.
    #[error("item line {line} was refused: {error}")]
    Item {
        /// The line.
        line: u32,
        /// Why.
        error: String,
    },
}

impl DevError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
