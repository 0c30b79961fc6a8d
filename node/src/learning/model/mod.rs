//! Finished models: files by the hash of their content, and what is served of them.
//!
//! ```text
//! <sha256>.model   BWMODEL1, counts, ids of the items, directions, history vectors, index, checksum
//! ```

mod fetch;
mod file;
mod index;
mod keep;
mod served;
mod shared;
mod shelf;

pub use file::{ModelFile, ModelFileError};
pub use keep::keep_model;
pub use served::ServedModel;
pub use shelf::Models;

#[cfg(test)]
mod tests;
