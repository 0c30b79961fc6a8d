//! A check that can't fail is worse than none: one bug after the other is planted, and each must be found.

use bailiwick_node::mutant::{Mutant, VARIABLE};

use crate::report::Run;
use crate::{ChaosError, live, power};

/// Power cuts or faults until a bug counts as not found.
const FAULTS: u64 = 5;

/// What a run of mutants is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only this one.
    #[arg(long, value_parser = Mutant::ALL.map(Mutant::name))]
    pub only: Option<String>,
    /// Of the draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Attacks a cluster with each bug. A bug that is not found is a violation.
///
/// # Errors
/// [`ChaosError::NoMutants`] in a build without them, or as the attacks.
pub async fn run(args: &Args) -> Result<Vec<Run>, ChaosError> {
    if !cfg!(feature = "mutants") {
        return Err(ChaosError::NoMutants);
    }
    let mut runs = Vec::new();
    let wanted = |mutant: &Mutant| args.only.as_ref().is_none_or(|name| name == mutant.name());
    for mutant in Mutant::ALL.into_iter().filter(wanted) {
        runs.push(caught(mutant, hunt(mutant, args.seed).await?));
    }
    Ok(runs)
}

async fn hunt(mutant: Mutant, seed: u64) -> Result<Run, ChaosError> {
    let planted = [(VARIABLE, mutant.name())];
    if mutant == Mutant::SkipSync {
        let args = power::Args { cuts: FAULTS, seed, disk_mib: 2048, folder: None };
        return power::attack(&args, &planted).await;
    }
    let only = match mutant {
        Mutant::AcknowledgeEarly => live::Fault::NoQuorum,
        _ => live::Fault::Kill,
    };
    live::attack(&live::Args { faults: FAULTS, seed, only: Some(only) }, &planted).await
}

/// Turns the page around: what was found is as it should be.
fn caught(mutant: Mutant, mut run: Run) -> Run {
    let found = std::mem::take(&mut run.violations);
    run.scenario = mutant.name().to_owned();
    match found.first() {
        Some((fault, violation)) => {
            run.notes = vec![format!("found after fault {fault}: {violation}")];
        }
        None => run.violations.push((run.faults, "the planted bug was not found".into())),
    }
    run
}
