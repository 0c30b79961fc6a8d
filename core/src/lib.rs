//! The pure core of Bailiwick: it takes values and returns values.
//!
//! No IO, no clock, no randomness: time, entropy and topology are arguments. What is decided here is
//! decided the same way in the router and in the node, and can be replayed from a log.

pub mod ids;
pub mod kind;
pub mod learning;
pub mod limits;
mod numbers;
pub mod pinned;
pub mod placement;
pub mod policy;
pub mod ranking;
pub mod routing;
mod wide;
