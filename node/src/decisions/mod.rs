//! The node's decision log: append-only, each record chained to the one before by SHA-256.
//!
//! ```text
//! decisions/<UTC day>.<number>.log   "bailiwick decisions 1\n", the hash before, then records
//! record                             length u32 LE | DecisionRecord | SHA-256(hash before, length, record)
//! length                             bytes of the record; the highest bit: all before it was synced
//! ```
//! A file begins with the hash that the one before ended with, so that a record can't be changed, taken
//! out or put in without breaking the chain behind it. A request does not wait for the disk: what a power
//! cut leaves of the last batch is set aside from the first gap on, and the chain goes on before it. The
//! queue is bounded; a request that finds it full is shed, so that nothing is decided without being logged.

pub mod chain;
mod writer;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_net::Supervisor;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::DecisionRecord;
use tokio::sync::mpsc;

use self::chain::ChainError;
pub use self::writer::Writer;
use crate::raft::offload::Offload;

/// The version of records and files.
pub const FORMAT: u32 = 1;
/// Records that wait for the disk.
const QUEUE: usize = 8192;
/// A request that finds the queue full may come back after this time.
const RETRY: Duration = Duration::from_millis(200);

/// Where decisions are written.
#[derive(Debug)]
pub enum Decisions {
    /// Behind the answers, by a thread of its own.
    Queued(mpsc::Sender<DecisionRecord>),
    /// At once, where blocking work is done inline, and unsynced.
    Inline(Mutex<Writer>),
}

impl Decisions {
    /// Writes into `dir`, made if there is none, going on with the chain that is there.
    ///
    /// # Errors
    /// When the folder can't be made or the last file's chain does not hold.
    pub fn open(dir: &Path, tasks: &Supervisor, offload: Offload) -> Result<Self, ChainError> {
        let writer = Writer::open(dir)?;
        Ok(match offload {
            Offload::Inline => Self::Inline(Mutex::new(writer)),
            Offload::Pool => Self::Queued(start(writer, tasks)),
        })
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Overloaded when the disk does not keep up.
    pub fn write(&self, record: DecisionRecord) -> Result<(), Failure> {
        match self {
            Self::Queued(queue) => queue.try_send(record).map_err(|_| {
                Failure::new(Kind::Overloaded, "the decision log does not keep up")
                    .retry_after(RETRY)
            }),
            Self::Inline(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let written = writer.append(&record);
                written.map_err(|error| Failure::new(Kind::Broken, error.to_string()))
            }
        }
    }
}

/// Writes what comes through the queue, on a thread of its own.
fn start(writer: Writer, tasks: &Supervisor) -> mpsc::Sender<DecisionRecord> {
    let (queue, records) = mpsc::channel(QUEUE);
    let escalate = tasks.clone();
    tasks.spawn_blocking("decisions", move || {
        if let Err(error) = writer.run(records) {
            escalate.escalate("decisions", error.to_string());
        }
    });
    queue
}
