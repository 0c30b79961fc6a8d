//! Entry point.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use bailiwick::policy;
use clap::{Parser, Subcommand};

/// An edge-distributed recommendation cluster with jurisdiction-aware routing.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work on the jurisdictions' packs.
    #[command(subcommand)]
    Policy(policy::Command),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Policy(command) => command.run(&mut stdout().lock(), &mut stderr().lock()),
    }
}
