//! Faults on real processes under load: killed, halted, wiped, filled up, cut off, a whole domain gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_tests::catalogue;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use crate::fault::{Fault, Ground, start};
use crate::ledger::Ledger;
use crate::report::Run;
use crate::spaces::Spaces;
use crate::workload::{Workload, consent, people};
use crate::{ChaosError, invariants};

const PEOPLE: usize = 6;
/// A fault lasts between so many milliseconds.
const LASTS_MS: std::ops::Range<u64> = 200..3000;
/// The load runs on for so long after everything is back.
const AFTER: Duration = Duration::from_millis(500);

/// What a series of faults is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Faults.
    #[arg(long, default_value_t = 20)]
    pub faults: u64,
    /// Of the draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this fault.
    #[arg(long, value_enum)]
    pub only: Option<Fault>,
    /// Run everything on loopback, although network namespaces could be made.
    #[arg(long)]
    pub loopback: bool,
}

/// One fault after the other, with load before, during and after each, and all promises looked at. With
/// `spaces` every domain is in a network namespace of its own, and wires can be bad or cut.
///
/// # Errors
/// [`ChaosError`] when no cluster can be started, or the only fault is one of wires and there are none.
pub async fn run(args: &Args, spaces: Option<&Spaces>) -> Result<Run, ChaosError> {
    attack(args, spaces, &[]).await
}

/// The same with variables in the environment of the cluster.
pub(crate) async fn attack(
    args: &Args,
    spaces: Option<&Spaces>,
    settings: &[(&str, &str)],
) -> Result<Run, ChaosError> {
    let faults = args.only.map_or_else(|| Fault::all(spaces.is_some()), |only| vec![only]);
    if spaces.is_none() && faults.iter().any(|fault| fault.needs_spaces()) {
        return Err(ChaosError::NoWires);
    }
    let state = tempfile::tempdir()?;
    let cluster = start(spaces, &state.path().join("state"), settings)?;
    let ground = Ground { cluster: &cluster, spaces };
    let (ledger, everybody) = (Arc::new(Ledger::default()), people(PEOPLE));
    let mut draws = ChaCha8Rng::seed_from_u64(args.seed);
    let mut run = Run::new("live", args.seed);
    let mut times: BTreeMap<Fault, u64> = BTreeMap::new();
    catalogue::load(&cluster).await;
    consent(&cluster, &everybody).await;
    for round in 0..args.faults {
        let fault = faults.choose(&mut draws).copied().unwrap_or(Fault::Kill);
        let lasts = Duration::from_millis(draws.random_range(LASTS_MS));
        let workload = Workload::new(Arc::clone(&ledger));
        let working = workload.run(&cluster, &everybody, round);
        let hurting = async {
            ground.hurt(fault, lasts, &mut draws).await;
            let began = Instant::now();
            ground.heal().await;
            let took = began.elapsed();
            sleep(AFTER).await;
            workload.stop();
            took
        };
        let ((), healed) = tokio::join!(working, hurting);
        run.healed(healed);
        *times.entry(fault).or_default() += 1;
        let entries = ledger.entries().clone();
        let found = invariants::check(&cluster, &entries).await;
        eprint!("{fault:?} for {} ms; ", lasts.as_millis());
        run.fault(round, entries.operations(), found);
        if run.violations() > 0 {
            // For whoever looks into it.
            run.notes.push(format!("the state is kept in {}", state.keep().display()));
            break;
        }
    }
    run.notes.push(format!("faults: {times:?}"));
    run.notes.extend(ledger.entries().told());
    Ok(run)
}
