//! Where peers are dialled and whom to expect there. It says nothing about where they stand: their
//! certificates do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use bailiwick_core::ids::NodeName;

use crate::identity::Expect;

/// How to reach a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// Where it listens for peers.
    pub addr: SocketAddr,
    /// Who must answer there.
    pub expect: Expect,
}

/// The addresses of the peers; may be changed while the mesh runs, and is shared by its clones.
#[derive(Debug, Clone, Default)]
pub struct PeerBook(Arc<RwLock<BTreeMap<NodeName, PeerEntry>>>);

impl PeerBook {
    /// Writes a peer down, or its new address. A connection to an old address is dropped when the
    /// peer is next asked for.
    pub fn set(&self, peer: NodeName, entry: PeerEntry) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(peer, entry);
    }

    /// Writes down a node that is known by its name alone.
    pub fn set_node(&self, peer: &NodeName, addr: SocketAddr) {
        self.set(peer.clone(), PeerEntry { addr, expect: Expect::Node(peer.clone()) });
    }

    /// Strikes a peer out.
    pub fn remove(&self, peer: &NodeName) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    /// How to reach a peer.
    #[must_use]
    pub fn get(&self, peer: &NodeName) -> Option<PeerEntry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(peer).cloned()
    }

    /// Every peer written down.
    #[must_use]
    pub fn names(&self) -> Vec<NodeName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
