//! What `bailiwick learn` is told.

use std::path::PathBuf;

use bailiwick_proto::v1;
use clap::{Args, Subcommand};

use super::LearnError;
use crate::client::Client;

/// Learn from all domains' people, in federation, and serve what comes of it.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct LearnArgs {
    /// Something else than learning.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to learn.
    #[command(flatten)]
    pub start: Option<StartArgs>,
}

/// What `bailiwick learn` can do besides learning.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show the latest run and which model is served.
    Status(Target),
    /// Serve the model before again.
    Rollback(Target),
}

/// Whom to ask.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// A router's public address, http://host:port.
    #[arg(long)]
    pub router: String,
    /// File with a token of scope `cluster:admin`.
    #[arg(long)]
    pub token_file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How to learn.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// A router's public address, http://host:port.
    #[arg(long)]
    pub router: String,
    /// File with a token of scope `cluster:admin`.
    #[arg(long)]
    pub token_file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Sums over the domains.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Dimensions of the vectors.
    #[arg(long)]
    pub dimensions: Option<u32>,
    /// Where all draws come from.
    #[arg(long)]
    pub seed: Option<u64>,
    /// What the run may tell of any one person, 0.001 to 1000: noise goes into every sum. None where nothing is said.
    #[arg(long)]
    pub epsilon: Option<f64>,
    /// With --epsilon: the chance that more is told, 1e-12 to 0.001.
    #[arg(long, requires = "epsilon")]
    pub delta: Option<f64>,
    /// How far domains of few people are levelled with those of many, 0 to 1.
    #[arg(long)]
    pub balance: Option<f64>,
}

impl Target {
    pub(super) fn client(&self) -> Result<Client, LearnError> {
        let read = std::fs::read_to_string(&self.token_file);
        let file = || self.token_file.clone();
        let text = read.map_err(|source| LearnError::File { file: file(), source })?;
        Ok(Client::new(&self.router)?.with_token(text.trim())?)
    }
}

impl StartArgs {
    pub(super) fn target(&self) -> Target {
        let Self { router, token_file, json, .. } = self.clone();
        Target { router, token_file, json }
    }

    pub(super) fn request(&self) -> v1::StartLearningRequest {
        let Self { rounds, dimensions, seed, epsilon, delta, balance, .. } = *self;
        v1::StartLearningRequest { rounds, dimensions, seed, epsilon, delta, balance }
    }
}
