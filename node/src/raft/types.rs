//! The types that openraft is instantiated with, one set for all groups.

use std::fmt;

use bailiwick_core::ids::{DomainId, NodeName, RegionId};
use bailiwick_core::placement::Site;
use bytes::Bytes;
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};

use super::group_machine::GroupMachine;
use super::snapshot::SnapshotFile;

/// A node's number in every Raft group: random, non-zero, below 2^53, made once a data directory.
pub type RaftId = u64;

/// A command as its group's schema encoded it. It may be personal: only its length is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(Bytes);

/// What applying a command answered, as its group's schema encoded it. Only its length is ever shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Outcome(Bytes);

macro_rules! opaque {
    ($name:ident, $label:literal) => {
        impl $name {
            /// Wraps encoded bytes.
            pub fn new(bytes: impl Into<Bytes>) -> Self {
                Self(bytes.into())
            }

            /// The encoded bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &Bytes {
                &self.0
            }

            /// The encoded bytes, by value.
            #[must_use]
            pub fn into_bytes(self) -> Bytes {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, " of {} bytes"), self.0.len())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "([redacted], {} bytes)"), self.0.len())
            }
        }
    };
}
opaque!(Command, "command");
opaque!(Outcome, "outcome");

/// A member of a group, as its certificate described it when it was proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node's name.
    pub name: NodeName,
    /// Its residency domain.
    pub domain: DomainId,
    /// Its region.
    pub region: RegionId,
}

impl From<Site> for Member {
    fn from(site: Site) -> Self {
        Self { name: site.name, domain: site.domain, region: site.region }
    }
}

impl From<Member> for Site {
    fn from(member: Member) -> Self {
        Self { name: member.name, domain: member.domain, region: member.region }
    }
}

openraft::declare_raft_types!(
    /// openraft's type configuration.
    pub TypeConfig:
        D = Command,
        R = Outcome,
        NodeId = RaftId,
        Node = Member,
        LeaderId = openraft::impls::leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

/// The position of an entry: term and index.
pub type LogId = LogIdOf<TypeConfig>;
/// A log entry.
pub type Entry = EntryOf<TypeConfig>;
/// A vote.
pub type Vote = VoteOf<TypeConfig>;
/// Who votes and who only follows.
pub type Membership = openraft::Membership<RaftId, Member>;
/// A membership with the position of the entry that set it.
pub type StoredMembership = StoredMembershipOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = SnapshotMetaOf<TypeConfig>;
/// A snapshot: what it covers, and its file.
pub type Snapshot = SnapshotOf<TypeConfig, SnapshotFile>;
/// The handle of one group's Raft.
pub type Raft = openraft::Raft<TypeConfig, GroupMachine>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_shows_its_length_and_nothing_else() {
        let command = Command::new("alice likes jazz".as_bytes());
        for text in [format!("{command}"), format!("{command:?}")] {
            assert!(text.contains("16 bytes") && !text.contains("alice"), "{text}");
        }
    }
}
