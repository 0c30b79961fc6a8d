//! The Raft groups of a node: the types, their encodings, and the durable half under openraft.

pub mod address;
pub mod codec;
mod codec_forms;
mod codec_rpc;
pub mod config;
pub mod group_machine;
pub mod guard;
pub mod log_storage;
pub mod machine;
pub mod offload;
pub mod snapshot;
pub mod snapshot_dir;
pub mod types;

#[cfg(test)]
mod suite;
