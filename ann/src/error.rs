//! What can go wrong, and what a caller may conclude from it.

use bailiwick_core::kind::Kind;

use crate::space::Row;

/// Why the index refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum AnnError {
    /// The space itself makes no sense.
    #[error("a space of {found} dimensions, it must have 1 to {max}")]
    Dimensions {
        /// Dimensions asked for.
        found: usize,
        /// Most that are taken.
        max: usize,
    },
    /// A vector or query of another length than the space's.
    #[error("a vector of {found} values in a space of {expected} dimensions")]
    Length {
        /// Values found.
        found: usize,
        /// Dimensions of the space.
        expected: usize,
    },
    /// A value that is not a number, infinite, or too large to be squared safely.
    #[error("value {at} of the vector is {value}; finite values within ±{max:e} are taken")]
    Value {
        /// Position of the first offender.
        at: usize,
        /// The value.
        value: f32,
        /// Greatest magnitude taken.
        max: f32,
    },
    /// A vector without a direction in a space that compares directions.
    #[error("a zero vector has no direction to compare by cosine")]
    Zero,
    /// A row number beyond the limit; row numbers are meant to be dense.
    #[error("row {row} is not below the limit of {limit}")]
    RowTooLarge {
        /// The row.
        row: Row,
        /// The exclusive bound.
        limit: Row,
    },
    /// A column that is not there, of another kind, or with a value that it does not take.
    #[error("column {column}: {why}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong.
        why: String,
    },
    /// A predicate beyond the bounds.
    #[error("the predicate is refused: {why}")]
    Predicate {
        /// What is wrong with it.
        why: String,
    },
    /// The mutable segment is full: merge, then try again.
    #[error("{pending} vectors wait for a merge, at most {max} may")]
    Full {
        /// Vectors in the mutable segment.
        pending: usize,
        /// Its bound.
        max: usize,
    },
    /// Another merge is under way.
    #[error("a merge is already under way")]
    Merging,
    /// A generation made elsewhere holds too little of what this index holds.
    #[error("with this generation {left} rows would be fresh or dead, {before} are without it")]
    NoGain {
        /// Rows that would wait for a merge.
        left: usize,
        /// Rows that wait now.
        before: usize,
    },
    /// The query vector's model or metric is not the one the file was made for.
    #[error("the file holds {found}, not {expected}")]
    OtherSpace {
        /// The space in the file.
        found: String,
        /// The space asked for.
        expected: String,
    },
    /// The content is not what its hash says.
    #[error("the file's SHA-256 is {found}, not {expected}")]
    Hash {
        /// Hash of what was read, in hex.
        found: String,
        /// Hash that was expected, in hex.
        expected: String,
    },
    /// The file is no index, is of another version, or contradicts itself.
    #[error("not a usable index file: {why}")]
    File {
        /// What is wrong with it.
        why: String,
    },
    /// The index does not fit in the memory that was allowed or that could be had.
    #[error("the index needs {needed} bytes, {allowed} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// The file system failed.
    #[error("file {path}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A fault of this crate or of the graph builder.
    #[error("building the graph failed: {why}")]
    Build {
        /// What happened.
        why: String,
    },
}

impl AnnError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Dimensions { .. }
            | Self::Length { .. }
            | Self::Value { .. }
            | Self::Zero
            | Self::RowTooLarge { .. }
            | Self::Column { .. }
            | Self::Predicate { .. } => Kind::Invalid,
            Self::Full { .. } | Self::Merging => Kind::Overloaded,
            Self::OtherSpace { .. } | Self::NoGain { .. } => Kind::Stale,
            Self::Memory { .. } => Kind::Unavailable,
            Self::Hash { .. } | Self::File { .. } | Self::Io { .. } | Self::Build { .. } => {
                Kind::Broken
            }
        }
    }
}
