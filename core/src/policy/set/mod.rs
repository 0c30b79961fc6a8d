//! Dated versions of packs, compiled, and the policy that holds between two places on a day.

mod applicable;
mod compare;
mod compile;
mod error;
mod flat;
mod lay;
mod layer;
mod warnings;

pub use applicable::{Applicable, Resolved, Side};
pub use compare::diff_packs;
pub use compile::{Candidate, PackSet};
pub use error::{Fault, Note, SetError, SetErrors, Warning};
pub use flat::{Flat, PackRef};
pub use layer::Why;
