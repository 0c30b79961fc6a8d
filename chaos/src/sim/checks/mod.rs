//! What must hold in a simulation, one file each. What is said of real processes too is in
//! [`crate::invariants`] and shared.

pub mod erased;
pub mod events;
pub mod filters;
pub mod floors;
pub mod heals;
pub mod linearizable;
pub mod pinned;
