//! Faults on real processes under load: killed, halted, wiped, a whole domain gone, leaders hunted.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::{Cluster, Mode};
use bailiwick_tests::faults::Signal;
use clap::ValueEnum;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::report::Run;
use crate::workload::{Workload, consent, people};
use crate::{ChaosError, invariants};

const PEOPLE: usize = 6;
/// A fault lasts between so many milliseconds.
const LASTS_MS: std::ops::Range<u64> = 200..3000;
/// The load runs on for so long after everything is back.
const AFTER: Duration = Duration::from_millis(500);

/// What happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// A node is killed.
    Kill,
    /// The leader of a group is killed.
    KillLeader,
    /// A node is halted, holding its ports, and goes on.
    Halt,
    /// A node is killed and its applied state deleted.
    Wipe,
    /// Two of the three nodes of a domain are killed: its groups lack a quorum.
    NoQuorum,
    /// All nodes of a domain are killed.
    DomainGone,
    /// A leader is alone for a while and then killed, before the others hear what it did meanwhile.
    LeaderAlone,
    /// All nodes of a domain are stopped in order and started again, one after the other.
    Rolling,
    /// The same, each with a new key and certificate.
    Certificates,
}

impl Fault {
    fn all() -> &'static [Self] {
        Self::value_variants()
    }
}

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
}

/// One fault after the other, with load before, during and after each, and all promises looked at.
///
/// # Errors
/// [`ChaosError`] when no cluster can be started.
pub async fn run(args: &Args) -> Result<Run, ChaosError> {
    attack(args, &[]).await
}

/// The same with variables in the environment of the cluster.
pub(crate) async fn attack(args: &Args, settings: &[(&str, &str)]) -> Result<Run, ChaosError> {
    let state = tempfile::tempdir()?;
    let (binary, path) = (std::env::current_exe()?, state.path().join("state"));
    let cluster = Cluster::start_on(&binary, Mode::Processes, &path, settings);
    let (ledger, everybody) = (Arc::new(Ledger::default()), people(PEOPLE));
    let mut draws = ChaCha8Rng::seed_from_u64(args.seed);
    let mut run = Run::new("live", args.seed);
    let mut times: BTreeMap<Fault, u64> = BTreeMap::new();
    catalogue::load(&cluster).await;
    consent(&cluster, &everybody).await;
    for round in 0..args.faults {
        let fault = args.only.or_else(|| Fault::all().choose(&mut draws).copied());
        let fault = fault.unwrap_or(Fault::Kill);
        let lasts = Duration::from_millis(draws.random_range(LASTS_MS));
        let workload = Workload::new(Arc::clone(&ledger));
        let working = workload.run(&cluster, &everybody, round);
        let hurting = async {
            hurt(&cluster, fault, lasts, &mut draws).await;
            let began = Instant::now();
            cluster.heal().await;
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
    let entries = ledger.entries();
    let failures: u64 = entries.failures.values().sum();
    run.notes.push(format!("slates: {} answered, {failures} errors", entries.answers));
    let worst = entries.failures.iter().map(|(why, times)| format!("{times} x {why}"));
    run.notes.extend(worst);
    Ok(run)
}

/// Makes the fault and lets it last.
async fn hurt(cluster: &Cluster, fault: Fault, lasts: Duration, draws: &mut ChaCha8Rng) {
    let nodes = cluster.nodes();
    let node = nodes.choose(draws).cloned().unwrap_or_default();
    match fault {
        Fault::Kill => cluster.kill(&node).await,
        Fault::KillLeader => {
            let groups = ["control", "catalog-0", "users-eu-0", "users-eu-1"];
            let group = groups.choose(draws).copied().unwrap_or("control");
            let leader = cluster.leader("in", group).await.unwrap_or(node);
            cluster.kill(&leader).await;
        }
        Fault::Halt => {
            cluster.signal(&node, Signal::Stop);
            sleep(lasts).await;
            cluster.signal(&node, Signal::Continue);
            return;
        }
        Fault::Wipe => {
            cluster.kill(&node).await;
            let state = cluster.layout().node(&node).join("data").join("state");
            if let Err(error) = fs::remove_dir_all(&state) {
                eprintln!("{} was not there: {error}", state.display());
            }
        }
        Fault::NoQuorum => {
            for node in cluster.nodes_of("eu").iter().skip(1) {
                cluster.kill(node).await;
            }
        }
        Fault::DomainGone => {
            for node in cluster.nodes_of("eu") {
                cluster.kill(&node).await;
            }
        }
        Fault::Rolling | Fault::Certificates => {
            let domain = ["eu", "us", "in"].choose(draws).copied().unwrap_or("eu");
            return roll(cluster, domain, fault == Fault::Certificates).await;
        }
        Fault::LeaderAlone => leader_alone(cluster, node, lasts).await,
    }
    sleep(lasts).await;
}

/// Stops and starts the nodes of a domain one after the other, where `renewed` with new certificates.
async fn roll(cluster: &Cluster, domain: &str, renewed: bool) {
    for node in cluster.nodes_of(domain) {
        cluster.stop(&node).await;
        if renewed {
            cluster.renew_certificate(&node);
        }
        cluster.revive(&node);
        cluster.ready(&node).await;
    }
}

async fn leader_alone(cluster: &Cluster, otherwise: String, lasts: Duration) {
    let leader = cluster.leads("users-eu-0").await.unwrap_or(otherwise);
    let others: Vec<_> =
        cluster.nodes_of("eu").into_iter().filter(|node| *node != leader).collect();
    others.iter().for_each(|node| cluster.signal(node, Signal::Stop));
    sleep(lasts).await;
    cluster.kill(&leader).await;
    others.iter().for_each(|node| cluster.signal(node, Signal::Continue));
}
