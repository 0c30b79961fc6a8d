//! Checkpoints of a run: what its next coordinator goes on with, as files by the hash of their content.
//!
//! ```text
//! <sha256>.training   BWTRAIN1, run, options, ids of the items, census, rounds done, values
//! ```
//!
//! The coordinator writes one about every tenth of a run, and others of those who may lead `control` after it take
//! it over. It holds sums over all domains, as the model does, and nothing of any one. Only the newest is kept, and
//! none when the run has ended.

mod file;
mod keep;
mod shelf;
mod take;

pub use file::{Checkpoint, CheckpointError};
pub use keep::keep_checkpoints;
pub use shelf::Checkpoints;

#[cfg(test)]
mod tests;
