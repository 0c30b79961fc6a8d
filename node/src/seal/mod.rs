//! Keys and sealing: nothing personal is written to a disk of this node in the clear.
//!
//! ```text
//! epoch key (file or KMS, off the data disk) ── wraps ──> data key (one a person) ── derives ──> log, row, ids
//! row.key (one a domain, never leaves it)    ── derives ─> row keys, slots, revisions
//! ```
//! Erasing a person drops the wrapped data key; destroying an epoch closes every wrapping of it.

mod data_key;
mod domain;
mod epochs;
mod error;
pub mod keys;
mod secret;

pub use data_key::{DataKey, Place, RowMoment};
pub use domain::{DomainSecret, PersonDigest, PersonKey, TENANT};
pub use epochs::{EpochRing, KeyRing};
pub use error::SealError;
pub use secret::{Entropy, Secret};
