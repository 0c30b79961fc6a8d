//! Ranking: sources bring candidates, filters drop, a scorer weighs, the slate keeps the floors.
//!
//! Every stage is a small trait and pure; what a person's law and choices do not grant never reaches a
//! source, since a source declares its signals and [`rank`] asks only those that are granted.

mod calibration;
mod candidate;
mod exploration;
mod filter;
mod floors;
mod item;
mod nearness;
mod objectives;
mod pipeline;
mod scorer;
mod slate;
mod source;
#[cfg(test)]
mod tests;

pub use calibration::{Mix, divergence};
pub use candidate::{Candidate, Part};
pub use exploration::{Exploration, Explored};
pub use filter::{AgeFloor, Barred, Excluded, Expired, Filter, Hidden, Wanted};
pub use floors::{Floor, Floors, diversity};
pub use item::{ItemFacts, Row, Shelf};
pub use objectives::{Aims, Objectives};
pub use pipeline::{Fault, Ranked, Ranking, Rules, rank};
pub use scorer::{LinearScorer, Scorer, Weight};
pub use slate::{Slate, compose};
pub use source::{Source, SourceError};
