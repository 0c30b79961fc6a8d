//! The command line: parses it, starts the runtime, runs one command.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{bench, dev, eval, learn, pki, policy, serve};

/// An edge-distributed recommendation cluster with jurisdiction-aware routing.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole cluster on this machine, loaded with people and items.
    Dev(Box<dev::DevArgs>),
    /// Run one node.
    Node(serve::ServeArgs),
    /// Run one router.
    Router(serve::ServeArgs),
    /// Work on the jurisdictions' packs.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Make CAs, keys and certificates.
    #[command(subcommand)]
    Pki(pki::Command),
    /// Drive a running cluster and print latencies beside the floor, or measure the vector index.
    Bench(Box<bench::ann::BenchCommand>),
    /// Learn from all domains' people, in federation, and serve what comes of it.
    Learn(Box<learn::LearnArgs>),
    /// Learn from a public split and print how good and how fair the slates are.
    Eval(eval::EvalArgs),
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    log(&command);
    match command {
        Command::Policy(command) => command.run(&mut stdout().lock(), &mut stderr().lock()),
        Command::Pki(command) => done(pki::run(command)),
        Command::Dev(args) => block_on(dev::run(*args)),
        Command::Node(args) => block_on(serve::node(args)),
        Command::Router(args) => block_on(serve::router(args)),
        Command::Bench(args) => block_on(bench::ann::command(*args)),
        Command::Learn(args) => block_on(learn::command(*args)),
        Command::Eval(args) => done(eval::command(&args)),
    }
}

/// Logs to standard error; `RUST_LOG` says what. No personal value is ever among it.
fn log(command: &Command) {
    // Whoever calls a group that has stopped is told so by the call itself; that is no error of the cluster's.
    let default = match command {
        Command::Node(_) | Command::Router(_) => {
            "info,openraft=warn,openraft::raft::raft_inner=off"
        }
        _ => "error,openraft::raft::raft_inner=off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
}

fn block_on<E: std::fmt::Display>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = done(runtime.block_on(work));
            // What had to end in order has. What hangs still, on a disk that is full for example, is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(error) => done(Err(error)),
    }
}

fn done<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bailiwick: {error}");
            ExitCode::FAILURE
        }
    }
}
