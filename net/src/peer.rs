//! The other side of a connection, as its certificate attests.

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::pinned::Destination;
use bailiwick_core::placement::{PlacementRefusal, admit};

use crate::identity::Identity;
use crate::lane::Lane;

/// The side of a peer in the same residency domain.
#[derive(Debug, Clone, Copy)]
pub enum Domestic {}

/// The side of a peer in another residency domain.
#[derive(Debug, Clone, Copy)]
pub enum Foreign {}

/// A peer whose certificate has been verified, and whether it stands in this process's domain.
/// Only the handshake makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    identity: Identity,
    domestic: bool,
}

impl Peer {
    /// INVARIANT: `identity` comes from a verified certificate, `own` from this process's.
    pub(crate) fn attested(identity: Identity, own: &DomainId) -> Self {
        let domestic = identity.domain == *own;
        Self { identity, domestic }
    }

    /// Who the peer is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.identity.name
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &DomainId {
        &self.identity.domain
    }

    /// The place to clear pinned data for.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.identity.destination()
    }

    /// Whether the peer stands in this process's domain.
    #[must_use]
    pub fn is_domestic(&self) -> bool {
        self.domestic
    }

    /// Whether the peer may have a part in the lane's group.
    ///
    /// # Errors
    /// [`PlacementRefusal`] when the group is pinned to another domain than the peer's.
    pub fn admit(&self, lane: &Lane) -> Result<(), PlacementRefusal> {
        match &lane.group {
            Some(group) => admit(group, self.name().as_str(), self.domain()),
            None => Ok(()),
        }
    }
}
