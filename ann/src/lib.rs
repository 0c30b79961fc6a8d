//! The vector index: built with `hnsw_rs`, frozen for reading, fed by a live catalogue.
//!
//! [`LiveIndex`] is what a node holds: upserts are found by the next search, removed rows are never
//! returned, readers never wait. A merge, run in the background, puts fresh vectors into a new frozen
//! generation and swaps it in at once.

mod bitmap;
mod build;
mod bytes;
mod error;
mod filter;
mod frozen;
mod kernel;
mod live;
mod matrix;
mod merge;
mod options;
mod segment;
mod space;
mod store;

pub use bitmap::Bitmap;
pub use error::AnnError;
pub use filter::Filter;
pub use live::{Hit, LiveIndex};
pub use merge::Merged;
pub use options::Options;
pub use space::{DIMENSIONS_MAX, Metric, ROW_LIMIT, Row, Space, VALUE_MAX};
pub use store::Saved;
