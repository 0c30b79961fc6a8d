//! The vector index: built with `hnsw_rs`, frozen for reading, fed by a live catalogue.
//!
//! [`LiveIndex`] is what a node holds: upserts are found by the next search, removed rows are never
//! returned, readers never wait. A merge, run in the background, puts fresh vectors into a new frozen
//! generation and swaps it in at once.

mod adopt;
mod attributes;
pub mod bench;
mod bitmap;
mod build;
mod bytes;
mod codes;
mod columns;
mod deaths;
mod error;
mod filter;
mod find;
mod flat;
mod frozen;
mod gather;
mod graph;
mod group;
mod grow;
mod header;
mod kernel;
mod keywords;
mod live;
mod long;
mod matrix;
mod memory;
mod merge;
mod numbers;
mod older;
mod options;
mod order;
mod piece;
mod plan;
mod pool;
mod predicate;
mod prune;
mod reach;
mod scan;
mod seen;
mod segment;
mod select;
mod sift;
mod slots;
mod space;
mod spread;
mod store;
mod table;
mod tune;
mod turns;
mod vectors;
mod walk;
mod write;

pub use attributes::{
    Attributes, COLUMN_BYTES_MAX, COLUMNS_MAX, ColumnKind, KEYWORD_BYTES_MAX, KEYWORDS_MAX,
    NUMBER_MIN,
};
pub use bitmap::Bitmap;
pub use error::AnnError;
pub use filter::{Filter, Prepared};
pub use live::{Answer, Hit, LiveIndex, Request};
pub use merge::Merged;
pub use options::{Keep, Options};
pub use plan::Plan;
pub use predicate::{PREDICATE_DEPTH_MAX, PREDICATE_PARTS_MAX, Predicate};
pub use space::{DIMENSIONS_MAX, Metric, ROW_LIMIT, Row, Space, VALUE_MAX};
pub use store::{Opened, Saved};
pub use tune::Tuned;
