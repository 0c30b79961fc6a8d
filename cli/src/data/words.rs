//! The words for a person's situation.

pub use bailiwick_core::policy::{AgeBand, Consent, Toggle};
