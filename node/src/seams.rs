//! Where a node touches the machine under it: clock, entropy, disk, and where blocking work runs. Each is
//! real in a process and simulated in `chaos/`; the transport is [`bailiwick_net::transport::Transport`].

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_core::ids::UnixMillis;
use ring::rand::SystemRandom;

use crate::log::{Disk, RealDisk, SegmentLog, Syncing, WriterMode};
use crate::mutant::{Mutant, planted};
use crate::raft::offload::Offload;
use crate::seal::Entropy;

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
/// How long the disk takes for the next batch of the log.
pub type Pace = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Who writes the log.
#[derive(Clone, Default)]
pub enum Writing {
    /// A thread of its own.
    #[default]
    Thread,
    /// A task that takes this long for each batch: for simulations.
    Paced(Pace),
}

impl Writing {
    pub(crate) fn mode(&self) -> WriterMode {
        match self {
            Self::Thread => WriterMode::Thread,
            Self::Paced(_) => WriterMode::Driven,
        }
    }
}

/// Writes what is queued, each batch after the time that the disk takes.
pub(crate) async fn write_paced(log: SegmentLog, pace: Pace) {
    loop {
        log.queued().await;
        tokio::time::sleep(pace()).await;
        log.write_queued();
    }
}

/// What a node is given of the machine.
#[derive(Clone)]
pub struct Seams {
    /// The time of day.
    pub clock: Clock,
    /// Randomness of keys, nonces and ids.
    pub entropy: Arc<dyn Entropy>,
    /// What the log is kept on.
    pub disk: Arc<dyn Disk>,
    /// Who writes it.
    pub writing: Writing,
    /// Where work runs that blocks.
    pub offload: Offload,
    /// Of the jitter between dials.
    pub jitter: u64,
}

impl Seams {
    /// The machine itself.
    #[must_use]
    pub fn real() -> Self {
        let syncing = if planted(Mutant::SkipSync) { Syncing::Skipped } else { Syncing::default() };
        Self {
            clock: Arc::new(system_clock),
            entropy: Arc::new(SystemRandom::new()),
            disk: Arc::new(RealDisk { syncing }),
            writing: Writing::Thread,
            offload: Offload::Pool,
            jitter: 0,
        }
    }
}
