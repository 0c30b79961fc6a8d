//! The one binary.

pub mod bench;
pub mod client;
pub mod command;
pub mod data;
pub mod dev;
pub mod eval;
pub mod learn;
pub mod pki;
pub mod policy;
pub mod serve;
pub mod signal;
