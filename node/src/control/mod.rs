//! Packs, nodes, domains and versions: small, apart, and replicated to every node.

mod learning;
mod machine;
mod privacy;
mod state;

pub use learning::{OutOfBounds, check_options};
pub use machine::{ControlMachine, FORMAT, may_propose};
pub use privacy::{recent, spent_by, total};
pub use state::{ControlState, ControlView, DomainRecord, NodeRecord};
