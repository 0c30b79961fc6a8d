//! `bailiwick-chaos`: attacks on whole clusters.

use std::process::ExitCode;

use bailiwick_chaos::sim::command as sim;
use bailiwick_chaos::spaces::{self, Spaces};
use bailiwick_chaos::{ChaosError, home_gone, live, mutants, overload, power, report};
use clap::{Parser, Subcommand};

/// Attack a cluster of this machine, and say which promises held.
#[derive(Debug, Parser)]
#[command(name = "bailiwick-chaos", version)]
struct Arguments {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cut the power of a whole cluster, again and again. Needs root, for loop devices.
    Power(power::Args),
    /// Kill, halt and wipe processes of a cluster under load.
    Live(live::Args),
    /// Take a whole domain away for a while, under load.
    HomeGone(home_gone::Args),
    /// Ask for more than the cluster can do.
    Overload(overload::Args),
    /// Simulate whole clusters by seed, each in one thread and under a clock of its own.
    Sim(sim::Args),
    /// Run seeds twice and compare what happened byte for byte.
    Meta(sim::Args),
    /// Plant one bug after the other and see that each is found. Needs a debug build, or the feature `mutants`.
    Mutants(mutants::Args),
    /// Make a network namespace for each domain, joined by a wire that can be bad, and run a command in that
    /// of the clients. Needs root.
    Proxy(spaces::Args),
    /// A short run of each, as one page.
    Report(report::Args),
}

impl Command {
    /// Whether domains are to be apart where they can be, and the seed of what their wires do.
    fn apart(&self) -> Option<u64> {
        match self {
            Self::Live(args) if !args.loopback => Some(args.seed),
            Self::HomeGone(args) if args.cut => Some(0),
            Self::Proxy(args) => Some(args.seed),
            Self::Report(args) => Some(args.seed),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    // The product under attack is in this binary too: `bailiwick-chaos dev` is `bailiwick dev`.
    let product = ["dev", "node", "router"];
    if std::env::args().nth(1).is_some_and(|first| product.contains(&first.as_str())) {
        return bailiwick::command::main();
    }
    let arguments = Arguments::parse();
    if let Command::Sim(args) = &arguments.command
        && args.here
    {
        return sim::here(args);
    }
    // Before any other thread starts: all of them are to be where the clients are.
    let spaces = arguments.command.apart().and_then(enter);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments.command, spaces.as_ref())),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(page) => {
            page.print(arguments.json);
            if page.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bailiwick-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything else can be attacked on loopback too.
fn enter(seed: u64) -> Option<Spaces> {
    let spaces = Spaces::enter(seed);
    spaces.inspect_err(|why| eprintln!("SKIP faults of the wires: {why}")).ok()
}

async fn run(command: Command, spaces: Option<&Spaces>) -> Result<report::Page, ChaosError> {
    Ok(match command {
        Command::Power(args) => report::Page::of(vec![power::run(&args).await?]),
        Command::Live(args) => report::Page::of(vec![live::run(&args, spaces).await?]),
        Command::HomeGone(args) => report::Page::of(vec![home_gone::run(&args, spaces).await?]),
        Command::Overload(args) => report::Page::of(vec![overload::run(&args).await?]),
        Command::Sim(args) => report::Page::of(sim::run(&args)?),
        Command::Meta(args) => report::Page::of(sim::meta(&args)?),
        Command::Mutants(args) => report::Page::of(mutants::run(&args).await?),
        Command::Proxy(args) => {
            spaces::run(&args, spaces).await?;
            report::Page::of(Vec::new())
        }
        Command::Report(args) => report::run(&args, spaces).await?,
    })
}
