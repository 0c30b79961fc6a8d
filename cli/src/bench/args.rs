//! What `bailiwick bench` is told.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_core::ids::Jurisdiction;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::BenchError;

/// What is asked of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Slates of 20.
    Recommend,
    /// One event a request.
    Events,
    /// Nine slates to one event.
    Mix,
}

/// Which interface is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// HTTP/1.1 and JSON.
    Http,
    /// gRPC.
    Grpc,
}

/// Drive a running cluster at a constant rate and print latencies beside the floor.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// The router to drive.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub target: String,
    /// What to ask for.
    #[arg(long, value_enum, default_value = "mix")]
    pub workload: Workload,
    /// The interface to measure.
    #[arg(long, value_enum, default_value = "http")]
    pub over: Over,
    /// Requests a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Seconds of load; the floor takes as many again.
    #[arg(long = "duration", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub duration_s: u32,
    /// People who ask, in turn.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub people: u32,
    /// Put this many made-up items with vectors first (100000 for the figure that counts).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub items: u32,
    /// Values of a made-up item's vector: those of the cluster's model.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub dimensions: u32,
    /// Ed25519 key (PEM) that the cluster's tokens are signed with; people and scopes are made from it.
    #[arg(long, required_unless_present = "tokens", conflicts_with = "tokens")]
    pub key: Option<PathBuf>,
    /// The tokens' issuer.
    #[arg(long, default_value = "bailiwick-dev")]
    pub issuer: String,
    /// The tokens' audience.
    #[arg(long, default_value = "bailiwick")]
    pub audience: String,
    /// The tokens' client app.
    #[arg(long, default_value = "demo")]
    pub client: String,
    /// The home of the people, which should be the target's own domain.
    #[arg(long, default_value = "EU-DE")]
    pub home: Jurisdiction,
    /// File with a person's token a line, instead of a key.
    #[arg(long)]
    pub tokens: Option<PathBuf>,
    /// File with a token of scopes `cluster:admin items:write`, with --tokens.
    #[arg(long, requires = "tokens")]
    pub admin_token: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub yes_remote: bool,
}

impl BenchArgs {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.duration_s.into())
    }

    /// Refuses to load a machine that nobody meant.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        if self.yes_remote || self.is_loopback() {
            return Ok(());
        }
        Err(BenchError::Remote { target: self.target.clone() })
    }

    fn is_loopback(&self) -> bool {
        let Ok(uri) = self.target.parse::<http::Uri>() else { return false };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let found: Vec<IpAddr> = match (host, 0_u16).to_socket_addrs() {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(_) => return false,
        };
        !found.is_empty() && found.iter().all(IpAddr::is_loopback)
    }
}
