//! The truth of a node: one append-only segment log, shared by all its Raft groups.
//!
//! One writer takes everything that is queued, writes it, syncs once, and only then acknowledges
//! (group commit). A record that was acknowledged is found after a power cut; one that is damaged in
//! the middle of the log is an error and never silently dropped; the torn end of what was never
//! acknowledged is cut off.

pub mod disk;
pub mod error;
mod gc;
mod index;
pub(crate) mod record;
mod replay;
mod segment;
pub mod segment_log;
mod shared;
pub mod sim;
mod writer;

pub use disk::{Disk, RealDisk, Syncing};
pub use error::LogError;
pub use segment_log::{Done, LogEntry, LogOptions, SegmentLog, WriterMode};

/// The position of an entry: the term of the leader that proposed it, and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The term.
    pub term: u64,
    /// The index.
    pub index: u64,
}
