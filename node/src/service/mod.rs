//! What routers ask of this node. Every answer is decided here again: a router is never trusted.

mod away;
mod caller;
mod chance;
mod cluster;
mod decided;
mod erasure;
mod events;
mod items;
mod known;
mod law;
mod learning;
mod people;
mod person;
mod recommend;
mod rpc;
mod slices;
mod state;
mod stores;

pub use away::Away;
pub use law::Law;
pub use people::{Household, People};
pub use rpc::NodeService;
pub use slices::Errands;
pub use state::{State, Timing};
