//! Stores, Raft groups, recommend and services of one node.

pub mod catalog;
pub mod cluster;
pub mod control;
pub mod log;
pub mod raft;
pub mod recommend;
pub mod seal;
pub mod store;
pub mod users;
