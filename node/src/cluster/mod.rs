//! The node among its peers: Raft's network, groups, membership and how a cluster begins.

mod bootstrap;
mod group;
mod groups;
mod incoming;
mod members;
mod network;
mod wire;

pub use bootstrap::{Heard, Seed, hello_loop, initialise, register};
pub use group::{Admit, Group, GroupError, Proposed};
pub use groups::Groups;
pub use incoming::{Heed, Incoming, PeerServices};
pub use members::keep_members;
pub use network::Factory;
