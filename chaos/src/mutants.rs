//! A check that can't fail is worse than none: one bug after the other is planted, and each must be found, by
//! the promise that it breaks.

use bailiwick_node::mutant::{Mutant, POSSIBLE, VARIABLE};

use crate::fault::Fault;
use crate::report::Run;
use crate::sim::command;
use crate::sim::scenario::Scenario;
use crate::{ChaosError, live, power};

/// Power cuts or faults until a bug counts as not found.
const FAULTS: u64 = 5;
/// Simulated seeds until a bug counts as not found.
const SEEDS: u64 = 60;

/// Where a bug is hunted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ground {
    /// On real processes and disks, those that can be found there.
    Real,
    /// In simulations.
    Sim,
}

/// What a run of mutants is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only this one.
    #[arg(long, value_parser = Mutant::ALL.map(Mutant::name))]
    pub only: Option<String>,
    /// Only there; both where nothing is said.
    #[arg(long)]
    pub ground: Option<Ground>,
    /// Of the draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Attacks a cluster with each bug. A bug that is not found is a violation.
///
/// # Errors
/// [`ChaosError::NoMutants`] in a build without them, or as the attacks.
pub async fn run(args: &Args) -> Result<Vec<Run>, ChaosError> {
    if !POSSIBLE {
        return Err(ChaosError::NoMutants);
    }
    let mut runs = Vec::new();
    let wanted = |mutant: &Mutant| args.only.as_ref().is_none_or(|name| name == mutant.name());
    for mutant in Mutant::ALL.into_iter().filter(wanted) {
        if args.ground != Some(Ground::Real) {
            runs.push(simulate(mutant, args.seed));
        }
        if args.ground != Some(Ground::Sim) && is_found_on_processes(mutant) {
            runs.push(caught(mutant, hunt(mutant, args.seed).await?));
        }
    }
    Ok(runs)
}

/// Whether faults on processes hunt it too; the others need moments that only a simulation can choose.
fn is_found_on_processes(mutant: Mutant) -> bool {
    use Mutant as M;
    matches!(
        mutant,
        M::SkipSync
            | M::AcknowledgeEarly
            | M::StaleConsent
            | M::CountTwice
            | M::WidenPack
            | M::TellAbroad
    )
}

/// The scenario that meets the bug, and the promise that it breaks.
fn trap(mutant: Mutant) -> (Scenario, &'static str) {
    match mutant {
        // A log whose writes came half to the disk is told from a torn end, and the node does not start.
        Mutant::SkipSync => (Scenario::Power, "comes to its end"),
        Mutant::AcknowledgeEarly => (Scenario::Partitions, "acknowledged survives"),
        Mutant::StaleConsent => (Scenario::Calm, "consent is fresh"),
        Mutant::CountTwice => (Scenario::Calm, "counted once"),
        Mutant::WidenPack => (Scenario::Calm, "lawful"),
        Mutant::TellAbroad => (Scenario::Calm, "pinned stays home"),
        Mutant::ResumeTerm => (Scenario::Power, "replicas agree"),
        Mutant::GrantTwice => (Scenario::Weather, "one leader a term"),
        Mutant::AppliedFalls => (Scenario::Calm, "applied only rises"),
        Mutant::SkipApply => (Scenario::Calm, "replicas agree"),
        Mutant::StaleRead => (Scenario::Partitions, "histories are linearizable"),
        // The first confirmation fails before there is a leader, so a cluster does not even begin.
        Mutant::GiveUp => (Scenario::Partitions, "comes to its end"),
        Mutant::ShowExcluded => (Scenario::Calm, "filters hold"),
        Mutant::ForgetFloors => (Scenario::Calm, "floors hold"),
        Mutant::AdmitAbroad => (Scenario::Members, "members stand at home"),
    }
}

/// Simulates seeds with the bug until the promise that it breaks is found broken.
fn simulate(mutant: Mutant, from: u64) -> Run {
    let (scenario, promise) = trap(mutant);
    let mut run = Run::new(&format!("sim {}", mutant.name()), from);
    for seed in from..from.saturating_add(SEEDS) {
        // A bug may also stop a run altogether; that is not how it is to be found.
        let Ok(mut outcome) = command::one(scenario, seed, None, Some(mutant.name())) else {
            continue;
        };
        let violations = std::mem::take(&mut outcome.violations);
        run.simulated(&outcome);
        if let Some((_, words)) = violations.into_iter().find(|(broken, _)| broken == promise) {
            let words: String = words.chars().take(160).collect();
            run.notes
                .push(format!("found by seed {seed}, {}: {promise}: {words}", scenario.name()));
            return run;
        }
    }
    run.violations.push((SEEDS, format!("the planted bug was not found: {promise}")));
    run
}

async fn hunt(mutant: Mutant, seed: u64) -> Result<Run, ChaosError> {
    let planted = [(VARIABLE, mutant.name())];
    if mutant == Mutant::SkipSync {
        let args = power::Args { cuts: FAULTS, seed, disk_mib: 2048, folder: None };
        return power::attack(&args, &planted).await;
    }
    let only = match mutant {
        Mutant::AcknowledgeEarly => Fault::LeaderAlone,
        _ => Fault::Kill,
    };
    let args = live::Args { faults: FAULTS, seed, only: Some(only), loopback: true };
    live::attack(&args, None, &planted).await
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
