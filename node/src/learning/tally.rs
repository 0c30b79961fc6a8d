//! How many noisy shares a node gave: what is paid for is not the coordinator's to say.
//!
//! Every sum under noise is paid for in the ledger of `control` before it is asked for. A node gives no more shares of
//! a run than that: a coordinator that asks for one round again and again, to take the mean of its noise away, is
//! refused. A round that is repeated because a domain was lost has fresh noise and counts anew. (To send the bytes
//! of the first answer again would tell nothing more, but they are as large as the model and would have to outlive
//! whoever withdraws in between; to draw the same noise for what people took since would show just that.)
//!
//! The count outlives sessions, not the process. A node that restarts, or speaks for its domain after another one did,
//! counts from the sums that `control` says are done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs of which a node knows how much it gave; one at a time is under way.
const RUNS_MAX: usize = 64;

/// Noisy shares that this node gave, by run; none at first.
#[derive(Debug, Default)]
pub struct Tally(Mutex<VecDeque<(Vec<u8>, u64)>>);

/// What may be given of a run with noise.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// What was given.
    pub tally: Arc<Tally>,
    /// The run.
    pub run: Vec<u8>,
    /// Sums that were done before this node gave any.
    pub done: u64,
    /// Sums that are paid for.
    pub paid: u64,
}

/// A share that is not paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{given} shares under noise were given, {paid} are paid for")]
pub struct Unpaid {
    /// Shares that were given.
    pub given: u64,
    /// Shares that are paid for.
    pub paid: u64,
}

impl Allowance {
    /// Counts a share that is about to be given.
    ///
    /// # Errors
    /// [`Unpaid`]: it must not be; nothing is counted then.
    pub fn take(&self) -> Result<(), Unpaid> {
        let mut runs = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runs.iter().position(|(run, _)| *run == self.run);
        let given = known.and_then(|at| runs.get(at)).map_or(self.done, |(_, given)| *given);
        if given >= self.paid {
            return Err(Unpaid { given, paid: self.paid });
        }
        if let Some(at) = known {
            runs.remove(at);
        }
        runs.truncate(RUNS_MAX - 1);
        runs.push_front((self.run.clone(), given + 1));
        Ok(())
    }
}
