//! `bailiwick bench`: a running cluster under a constant rate of requests, beside the floor.
//!
//! The load is open-loop: requests are due at fixed times whether or not earlier ones were answered, and
//! a latency counts from the time a request was *due*. A stall of the cluster is thus seen by every
//! request that it delays. The floor, an echo over the same hops with the same byte counts, is measured
//! in the same run: slices of load and of floor take turns at the same rate.

pub mod ann;
mod args;
mod drive;
mod error;
mod plan;
mod prepare;
pub mod recommendation;
mod report;
mod wire;

pub use args::{BenchArgs, Over, Workload};
pub use error::BenchError;
pub use report::{Ratios, Report, Series};

use plan::Plan;
use prepare::Cast;

/// Runs the bench. `say` hears what is being prepared, in sentences for people.
///
/// Must be called inside a tokio runtime with time and network.
///
/// # Errors
/// [`BenchError`]: a target that is not allowed or does not answer, a key or token file that can't be
/// read, a cluster that refuses the preparation. Failures under load are no error: they are counted.
pub async fn run(args: &BenchArgs, mut say: impl FnMut(&str)) -> Result<Report, BenchError> {
    args.check()?;
    let cast = Cast::assemble(args, &mut say).await?;
    let plan = Plan::new(args.rate, args.duration(), args.workload);
    say(&format!(
        "{} requests of load and as many of floor, {} a second, {} s in all",
        plan.load(),
        args.rate,
        args.duration_s.saturating_mul(2),
    ));
    let measured = drive::drive(&plan, &cast).await?;
    Ok(Report::new(args, &cast, measured))
}

/// Runs the bench and prints its report.
///
/// # Errors
/// As [`run`].
#[allow(clippy::print_stdout)] // what a command is for goes to standard output
pub async fn command(args: BenchArgs) -> Result<(), BenchError> {
    let report = run(&args, |line| eprintln!("{line}")).await?;
    let text = match args.json {
        true => serde_json::to_string(&report).unwrap_or_default(),
        false => report.to_string(),
    };
    println!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests;
