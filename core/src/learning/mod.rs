//! Item vectors learned from sums over people, written as the federation that it is.
//!
//! Every domain keeps its own [`Interactions`] and answers two questions about them: how often each item
//! was taken ([`Interactions::degrees`]) and what [`share`] of one power-iteration block is its own. Both
//! answers have a fixed shape and add up: the sum over domains is what pooled data would have given.
//! [`Rounds`] sees sums alone.
//!
//! The method is the linear graph filter over the normalised item-item matrix
//! `G = B X' A^2 X B`, where `A = D_people^-1/2` and `B = D_items^-b`, cut off after its leading
//! eigenvectors, which block power iteration finds in a few rounds.

mod adam;
mod along;
mod balance;
mod blend;
mod block;
mod census;
mod contrast;
mod draws;
mod eigen;
mod fixed;
mod held;
mod interactions;
mod judging;
mod likeness;
mod lists;
mod options;
mod packed;
mod plan;
mod pooled;
mod power;
mod privacy;
mod product;
mod round;
mod share;
mod spectrum;
mod state;
mod training;
mod vectors;

pub use along::Along;
pub use balance::Balance;
pub use blend::{Blend, Parts};
pub use block::Block;
pub use census::Census;
pub use draws::Draws;
pub use fixed::FixedBlock;
pub use held::Held;
pub use interactions::{Interactions, ItemScale, share};
pub use judging::{Grid, Judged};
pub use likeness::Likeness;
pub use lists::{ItemLists, ListOptions, Takers};
pub use options::TrainingOptions;
pub use packed::{Fineness, PackedShare};
pub use plan::TASKS_FROM;
pub use pooled::{PooledModel, half, whole};
pub use power::{Options, Rounds, Step, learn};
pub use privacy::{Budget, DELTA, EPSILON, Noise, Rho};
pub use round::{Form, Group, Round, Task};
pub use share::{Bounds, Counts, Share};
pub use state::TrainingState;
pub use training::{Training, summed, train};
pub use vectors::{ItemVectors, Shaping};

use crate::kind::Kind;

/// Why learning stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearningError {
    /// A person names an item outside the catalogue.
    #[error("item {item} is not below the number of items, {items}")]
    Item {
        /// The item's index.
        item: u32,
        /// Items there are.
        items: usize,
    },
    /// Two parts that should be added, or answer each other, differ in shape.
    #[error("a part has the shape {found:?}, {expected:?} was expected (rows, columns)")]
    Shape {
        /// The shape that came.
        found: (usize, usize),
        /// The shape that was asked for.
        expected: (usize, usize),
    },
    /// A part holds a number that is infinite or not a number.
    #[error("a part has a value at row {row} that is not finite")]
    NotFinite {
        /// Row of the first offender.
        row: usize,
    },
    /// A sum of words is, or may be, another number than they say.
    #[error("a sum does not fit its words: the round is to be asked for again, in greater steps")]
    WentRound,
    /// There is nothing to add.
    #[error("no domain gave a part")]
    NoParts,
    /// Fewer people than the floor stand behind a sum.
    #[error("{found} people contributed, at least {least} must")]
    Contributors {
        /// People who did.
        found: f64,
        /// The floor.
        least: u32,
    },
    /// A sum is beyond what so many people can have given.
    #[error("{what} is {found}, honest shares give at most {most}")]
    Bound {
        /// Which part of the sum.
        what: &'static str,
        /// Its size.
        found: f64,
        /// The bound.
        most: f64,
    },
    /// An option has a value that nothing can be learned with.
    #[error("{field} is {value}, it must be above 0.000001 and below 10000")]
    Option {
        /// The option at fault.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A budget of privacy is out of bounds.
    #[error("{field} is {value}, it must be {least} to {most}")]
    Budget {
        /// `epsilon` or `delta`.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The least it may be.
        least: f64,
        /// The most it may be.
        most: f64,
    },
    /// What was kept of a training is none that this build, or these options, can go on with.
    #[error("this training can't be gone on with: {why}")]
    State {
        /// What does not fit.
        why: &'static str,
    },
    /// The options ask for no dimension or no round.
    #[error("{field} is 0, it must be at least 1")]
    Zero {
        /// The option at fault.
        field: &'static str,
    },
}

impl LearningError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Item { .. } | Self::Zero { .. } | Self::Option { .. } | Self::Budget { .. } => {
                Kind::Invalid
            }
            Self::Shape { .. }
            | Self::NotFinite { .. }
            | Self::Bound { .. }
            | Self::State { .. } => Kind::Refused,
            Self::WentRound => Kind::Stale,
            Self::NoParts | Self::Contributors { .. } => Kind::Unavailable,
        }
    }
}

#[cfg(test)]
mod contrast_tests;
#[cfg(test)]
mod privacy_tests;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod tasks_tests;
#[cfg(test)]
mod tests;
