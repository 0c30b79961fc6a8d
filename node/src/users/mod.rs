//! A domain's people: the state machine of a `users-<domain>-<n>` group, and reading from it.
//!
//! ```text
//! service ─ Builder ──> sealed command ──> log ──> UsersMachine ──> sealed rows ──> read::person
//!                                                        └──> Popularity (in memory, at least k people)
//! ```
//! INVARIANT: no subject, event id or item of a person stands in a command, key or value in the
//! clear. Counters name items, since they count people and name none.

mod aggregate;
pub(crate) mod apply;
mod blocks;
mod command;
mod consent;
mod counters;
mod draft;
mod erase;
#[cfg(test)]
mod erase_tests;
mod event;
mod facts;
mod linked;
mod machine;
mod outcome;
mod past;
mod popular;
mod profile;
pub mod read;
pub mod schema;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod vault;

pub use command::{BuildError, Builder, Erase, When, admit};
pub use consent::{ConsentPatch, ConsentState, Interests};
pub use counters::Counting;
pub use event::{EventKind, NewEvent, check_events};
pub use facts::Facts;
pub use machine::UsersMachine;
pub use outcome::{Applied, Refused};
pub use popular::Popularity;
pub use read::{Block, Erasure, Interaction, Learnable, Person, Profile, ReadError};
pub use vault::{NotUsers, Vault};
