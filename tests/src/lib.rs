//! Whole-cluster tests: starting clusters, asking them, hurting them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a fault of the harness is a failure of the test that uses it, and measured figures are printed

pub mod catalogue;
pub mod cluster;
pub mod faults;
pub mod person;
pub mod stranger;
pub mod wait;
