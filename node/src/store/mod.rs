//! The applied state of a node: one sled `Db` a node, one tree a group.
//!
//! sled holds only what can be rebuilt. It is checked at every open against its own hash and the
//! last checkpoint; what does not hold is moved aside and rebuilt from snapshot and log.

pub mod checkpoint;
pub mod data_dir;
pub mod durable;
mod engine;
pub mod error;
pub mod group;
pub mod open;
pub mod reader;
pub mod rows;
pub mod scan;
pub mod set_hash;
pub mod state;
pub mod view;

pub use data_dir::DataDir;
pub use error::StoreError;
pub use group::GroupStore;
pub use open::{Recovery, Store, StoreOptions};
pub use reader::Reader;
