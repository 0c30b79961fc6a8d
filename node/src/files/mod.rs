//! Files by the hash of their content: kept whole or not at all, sent to peers and fetched from them.

mod exchange;
mod folder;

pub use exchange::{Exchange, bulk};
pub use folder::{Arrival, Content, Folder, sha256_of};

#[cfg(test)]
mod tests;
