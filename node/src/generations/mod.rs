//! Generations of the item index: the leader of the catalogue's group builds one and names it in the group's
//! log; the others fetch its file instead of building their own.
//!
//! ```text
//! <sha256>.index   an index file of `bailiwick-ann`, whose note says which item each of its rows is
//! ```

mod counts;
mod error;
mod file;
mod keep;
mod plan;

use std::sync::Arc;

use bailiwick_net::{AnySender, FrameReceiver};

pub use counts::{Counts, How};
pub use error::GenerationError;
pub use keep::keep_index;

use crate::catalog::Catalogue;
use crate::cluster::Groups;
use crate::files::{Exchange, Folder};

/// A generation's file.
pub const GENERATION: u8 = 9;

/// What keeping the index needs of a node.
pub struct Generations {
    /// How files come from peers.
    pub exchange: Arc<Exchange>,
    /// The groups that run here.
    pub groups: Groups,
    /// The items, and the index over them.
    pub catalogue: Arc<Catalogue>,
    /// The files on this node's disk.
    pub folder: Arc<Folder>,
    /// What was done.
    pub counts: Counts,
}

impl Generations {
    /// Sends the file that a peer asks for.
    pub async fn send(&self, tx: AnySender, rx: FrameReceiver) {
        self.exchange.send(&self.folder, tx, rx).await;
    }
}

#[cfg(test)]
mod tests;
