//! Faults by seed, on real processes and real file systems, and the promises that must survive them.
//!
//! A run is a [`workload`] of people and items whose acknowledgements are kept in a [`ledger`], a fault
//! ([`power`], [`live`]), and then every [`invariants`] check. What is found is told in a [`report`].

pub mod disk;
pub mod error;
pub mod fault;
pub mod home_gone;
pub mod invariants;
pub mod ledger;
pub mod live;
pub mod mutants;
pub mod overload;
pub mod power;
pub mod proxy;
pub mod report;
pub mod sim;
pub mod spaces;
mod system;
pub mod workload;

pub use error::ChaosError;
