//! Sums over domains of which nobody sees a part.
//!
//! Before a run every two domains agree on a secret ([`Offer`]). From it, for every attempt at a round,
//! both draw the same stream; one adds it to its share, the other takes it away ([`PairMasks`]). A masked
//! share is uniformly random to whoever lacks the secrets, and the sum of all is the sum of the shares, to
//! the last bit, since shares are in fixed point and are added modulo 2^32 and 2^64 ([`Gathering`]). (Bonawitz et
//! al., Practical Secure Aggregation, CCS 2017, without its recovery: a domain that drops out leaves masks
//! that nobody takes away, so that the round is begun again, as a new attempt, by those who are left.)
//!
//! Against what: the coordinator and a tap on any link learn nothing but the sum. Domains are believed to
//! be those that the links' certificates name: the offers must come over such links, or be signed, since a
//! coordinator that can put its own key in their place reads what it likes. All other domains together can
//! compute the one that is left; hence the floor of contributors in every *sum*, not in every share.
//!
//! How a run goes: [`coordinate`] on the leader of the control group, [`Learner::serve`] on one node of each
//! other domain, and on every node [`model::keep_model`].
//!
//! ```text
//! coordinate ── Seat ─┬─ here: Speaker                      people (pinned) ─> Party ─> MaskedShare
//!                     └─ stream ── serve ── Speaker              "
//!     │  Gathering: sums of all parties, then core::learning::Training
//!     ├─> Checkpoint ─> control: NoteCheckpoint ─> the next coordinator, should this one be lost
//!     └─> ModelFile ─> control: ActivateModel ─> keep_model on every node ─> catalogue
//! ```

pub mod checkpoint;
mod coordinate;
mod error;
mod gather;
mod lead;
mod learner;
mod lists;
mod masks;
pub mod model;
mod offer;
mod order;
mod party;
mod people;
mod purse;
mod schedule;
mod seat;
mod serve;
mod session;
mod speaker;
mod tally;
mod terms;
mod wire;

pub use coordinate::coordinate;
pub use error::SumError;
pub use gather::{Gathering, MaskedShare};
pub use learner::{
    CHECKPOINT, CHECKPOINT_OFFER, KEY, Learner, MODEL, OFFER, Offers, SERVING, SESSION,
};
pub use lists::{ListsMade, keep_lists};
pub use masks::{Attempt, PairMasks};
pub use offer::{Offer, RunId};
pub use order::ItemOrder;
pub use party::{Party, PartyError};
pub use people::{Leavers, PeopleError, Rows, interactions, permitted};
pub use schedule::Schedule;
pub use tally::{Allowance, Tally, Unpaid};
pub use terms::{Terms, default_options, training_options};

#[cfg(test)]
mod party_tests;
#[cfg(test)]
mod people_tests;
#[cfg(test)]
mod tests;
