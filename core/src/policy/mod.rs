//! How the rules of jurisdictions become one decision a request.
//!
//! A [`PackFile`] is what a compliance officer writes. A [`PackSet`] holds dated versions of packs,
//! compiled. [`decide`] takes a set and the [`Inputs`] of one request and returns a [`Decision`]: it
//! can't fail, only refuse, with reasons. Policies form an order of strictness with a meet ([`Order`]),
//! a bottom ([`Policy::strict`]) and a top ([`Policy::top`]); what two places' laws come to together is
//! their meet, and so is what holds while a new version rolls out ([`PackSet::during`]).
//!
//! A policy grants signals ([`Signal`]); the [`Variant`] follows from what is granted, so no one can name
//! a variant that the law does not allow.

mod cells;
mod change;
mod decide;
mod decision;
mod domains;
mod effective;
mod file;
mod order;
mod set;
mod signal;
#[cfg(test)]
mod tests;
mod vocabulary;
mod word;

pub use cells::{Cell, Cells, PerService};
pub use change::{Change, FieldChange, classify, diff};
pub use decide::{ceiling, decide, decide_under};
pub use decision::{Asking, Decision, EventStore, Gpc, HomeReach, Inputs, Steps};
pub use domains::DomainSet;
pub use effective::{Fields, Policy, STRICT_K_MIN};
pub use file::{
    AgeRule, Applies, Delegated, FromAge, LegalBasis, PACK_BYTES_MAX, PackError, PackErrors,
    PackFile, PackHash, REVIEW_GRACE_DAYS, STRICT_ID, Transfer,
};
pub use order::{
    AtLeast, AtMost, Attributes, Copies, Duties, Epsilon, LogDays, Order, Ratio, Removes, Shares,
};
pub use set::{
    Applicable, Candidate, Fault, Flat, Note, PackRef, PackSet, Resolved, SetError, SetErrors,
    Side, Warning, Why, diff_packs,
};
pub use signal::{Signal, SignalSet, Variant};
pub use vocabulary::{
    ADULT, AgeBand, Basis, Consent, EventClass, Factor, LegalStatus, Mechanism, Oversight,
    ProfileRead, Reason, Reasons, SensitiveBasis, SensitiveConsent, Service, ServiceSet, Toggle,
    Transparency, UnknownAge,
};
pub use word::{Word, WordError, WordSet};
