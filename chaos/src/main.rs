//! `bailiwick-chaos`: attacks on whole clusters.

use std::process::ExitCode;

use bailiwick_chaos::{live, mutants, power, report};
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
    /// Plant one bug after the other and see that each is found. Needs the feature `mutants`.
    Mutants(mutants::Args),
    /// A short run of each, as one page.
    Report(report::Args),
}

fn main() -> ExitCode {
    // The product under attack is in this binary too: `bailiwick-chaos dev` is `bailiwick dev`.
    let product = ["dev", "node", "router"];
    if std::env::args().nth(1).is_some_and(|first| product.contains(&first.as_str())) {
        return bailiwick::command::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments.command)),
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

async fn run(command: Command) -> Result<report::Page, bailiwick_chaos::ChaosError> {
    Ok(match command {
        Command::Power(args) => report::Page::of(vec![power::run(&args).await?]),
        Command::Live(args) => report::Page::of(vec![live::run(&args).await?]),
        Command::Mutants(args) => report::Page::of(mutants::run(&args).await?),
        Command::Report(args) => report::run(&args).await?,
    })
}
