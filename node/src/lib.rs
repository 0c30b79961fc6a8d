//! Stores, Raft groups, recommend and services of one node.

pub mod buffer;
pub mod catalog;
pub mod cluster;
pub mod config;
pub mod control;
pub mod decisions;
pub mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod generations;
pub mod learning;
pub mod log;
pub mod mutant;
pub mod raft;
pub mod receipt;
pub mod recommend;
pub mod revision;
pub mod seal;
pub mod seams;
pub mod service;
pub mod start;
pub mod store;
pub mod users;
