//! Power cuts: the whole cluster, all nodes at one moment, on a disk that forgets what was not synced.
//!
//! `kill -9` tests no durability, since the kernel keeps the pages. Here all nodes run in one process on an
//! ext4 of their own; the process is halted, the backing image copied, and the cluster started again on
//! the copy. Round follows round on what the one before left.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_tests::catalogue;
use bailiwick_tests::cluster::{Cluster, Mode};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use crate::ChaosError;
use crate::disk::Disk;
use crate::invariants;
use crate::ledger::Ledger;
use crate::report::Run;
use crate::workload::{Workload, consent, people};

/// Snapshots, purges and new segments come so often that cuts fall into them.
const SETTINGS: [(&str, &str); 2] =
    [("BAILIWICK_NODE_SNAPSHOT_EVERY", "200"), ("BAILIWICK_NODE_LOG_SEGMENT_BYTES", "262144")];
/// A cut comes after between so many milliseconds of writing.
const WRITES_MS: std::ops::Range<u64> = 100..2500;
const PEOPLE: usize = 6;

/// What a series of power cuts is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Cuts.
    #[arg(long, default_value_t = 10)]
    pub cuts: u64,
    /// Of the draws: the same seed cuts after the same times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Mebibytes of the disk; sparse.
    #[arg(long, default_value_t = 2048)]
    pub disk_mib: u32,
    /// Where the disk's image is kept; a temporary folder otherwise.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Cuts the power, again and again.
///
/// # Errors
/// [`ChaosError`] when no disk or cluster can be made; a lost acknowledgement is a violation in the run.
pub async fn run(args: &Args) -> Result<Run, ChaosError> {
    attack(args, &[]).await
}

/// The same with more variables in the environment of the cluster.
pub(crate) async fn attack(args: &Args, more: &[(&str, &str)]) -> Result<Run, ChaosError> {
    let scratch = tempfile::tempdir()?;
    let folder = args.folder.clone().unwrap_or_else(|| scratch.path().to_owned());
    let mut disk = Disk::new(&folder, args.disk_mib)?;
    let binary = std::env::current_exe()?;
    let state = disk.path().join("state");
    let settings = [&SETTINGS, more].concat();
    let start = || Cluster::start_on(&binary, Mode::Together, &state, &settings);
    let (ledger, everybody) = (Arc::new(Ledger::default()), people(PEOPLE));
    let mut draws = ChaCha8Rng::seed_from_u64(args.seed);
    let mut run = Run::new("power", args.seed);
    let mut cluster = start();
    catalogue::load(&cluster).await;
    consent(&cluster, &everybody).await;
    for round in 0..args.cuts {
        let workload = Workload::new(Arc::clone(&ledger));
        let writing = workload.run(&cluster, &everybody, round);
        let cutting = async {
            sleep(Duration::from_millis(draws.random_range(WRITES_MS))).await;
            cluster.freeze().await;
            // From here on nothing is acknowledged: the image is that of this moment.
            let cut = disk.cut();
            workload.stop();
            cluster.die().await;
            cut
        };
        let ((), cut) = tokio::join!(writing, cutting);
        drop(cluster);
        disk.restore(cut?)?;
        let began = Instant::now();
        cluster = start();
        run.healed(began.elapsed());
        let entries = ledger.entries().clone();
        let found = invariants::check(&cluster, &entries).await;
        run.fault(round, entries.operations(), found);
        if run.violations() > 0 {
            // What was lost once is missed in every later round too.
            break;
        }
    }
    cluster.freeze().await;
    cluster.die().await;
    Ok(run)
}
