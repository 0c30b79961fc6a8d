//! `bailiwick node` and `bailiwick router`: one process of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_net::Supervisor;
use bailiwick_node::config as node;
use bailiwick_node::start::Node;
use bailiwick_router::{Parts, RawConfig, Router};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::signal;

/// A process stops within this time.
const GRACE: Duration = Duration::from_secs(8);

/// Which process to run.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration.
    #[arg(long)]
    pub config: PathBuf,
    /// Stop when standard input is closed.
    #[arg(long)]
    pub with_parent: bool,
}

/// Why a process does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] Box<bailiwick_node::start::StartError>),
    /// The router does not start.
    #[error(transparent)]
    Router(#[from] bailiwick_router::StartError),
    /// Signals can't be handled.
    #[error("signals can't be handled: {0}")]
    Signals(#[from] std::io::Error),
    /// Something that the process can't go on without has failed.
    #[error("{task} failed: {reason}")]
    Fatal {
        /// The task.
        task: String,
        /// Why.
        reason: String,
    },
}

fn stopping(args: &ServeArgs) -> Result<CancellationToken, ServeError> {
    let stop = signal::stopping()?;
    if args.with_parent {
        signal::stop_with_parent(&stop);
    }
    Ok(stop)
}

/// Waits for the signal to stop, or for a failure that ends the process.
async fn until_stopped(stop: &CancellationToken, tasks: &Supervisor) -> Result<(), ServeError> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        fatal = tasks.fatal() => {
            Err(ServeError::Fatal { task: fatal.task, reason: fatal.reason })
        }
    }
}

/// Runs a node.
///
/// # Errors
/// [`ServeError`].
pub async fn node(args: ServeArgs) -> Result<(), ServeError> {
    let stop = stopping(&args)?;
    let config = node::RawConfig::load(&args.config).and_then(node::Config::try_from);
    let config = config.map_err(|errors| ServeError::Config(errors.to_string()))?;
    let tasks = Supervisor::new();
    let node = Node::start(config, &tasks).await.map_err(Box::new)?;
    let ended = until_stopped(&stop, &tasks).await;
    if ended.is_ok() {
        node.stop(GRACE).await;
    }
    ended
}

/// Runs a router.
///
/// # Errors
/// [`ServeError`].
pub async fn router(args: ServeArgs) -> Result<(), ServeError> {
    let stop = stopping(&args)?;
    let config = RawConfig::read(&args.config).and_then(bailiwick_router::Config::try_from);
    let config = config.map_err(|errors| ServeError::Config(errors.to_string()))?;
    let tasks = Supervisor::new();
    let router = Router::start(Parts::open(config).await?, &tasks)?;
    let ended = until_stopped(&stop, &tasks).await;
    router.stop(GRACE).await;
    ended
}
