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

mod block;
mod eigen;
mod interactions;
mod power;
mod vectors;

pub use block::Block;
pub use interactions::{Interactions, ItemScale, share};
pub use power::{Options, Rounds, Step, learn};
pub use vectors::{ItemVectors, Shaping};

use crate::kind::Kind;

/// Why learning stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// There is nothing to add.
    #[error("no domain gave a part")]
    NoParts,
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
            Self::Item { .. } | Self::Zero { .. } => Kind::Invalid,
            Self::Shape { .. } | Self::NotFinite { .. } => Kind::Refused,
            Self::NoParts => Kind::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests;
