//! One group as the rest of the node uses it: propose, and read no older than a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_net::{CallError, LaneKind, Mesh};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{Propose, ProposeAnswer, ReadIndex, ReadIndexAnswer};
use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use prost::Message as _;
use tokio::time::{Instant, timeout};

use super::wire;
use crate::mutant::{Mutant, planted};
use crate::raft::group_machine::GroupMachine;
use crate::raft::machine::Reader;
use crate::raft::types::{Command, Member, Raft, RaftId};
use crate::seams::Clock;

/// Version of the messages between members.
const FORMAT: u32 = 1;

/// Why a group did not take a command or answer a read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// No leader is known, so nothing was proposed.
    #[error("group {group} has no leader at the moment")]
    NoLeader {
        /// The group.
        group: GroupId,
    },
    /// Proposed, and not known to be committed: it lacks a quorum, or is slow.
    #[error("group {group} did not confirm in time")]
    Uncertain {
        /// The group.
        group: GroupId,
    },
    /// The replica did not catch up with what the read must see.
    #[error("this replica of group {group} is behind")]
    Behind {
        /// The group.
        group: GroupId,
    },
    /// The group's log or state failed on this node.
    #[error("group {group} is broken on this node: {why}")]
    Broken {
        /// The group.
        group: GroupId,
        /// What the storage said.
        why: String,
    },
    /// The leader refused.
    #[error("{0}")]
    Refused(Failure),
}

impl GroupError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoLeader { .. } | Self::Behind { .. } => Kind::Unavailable,
            Self::Uncertain { .. } => Kind::Uncertain,
            Self::Broken { .. } => Kind::Broken,
            Self::Refused(failure) => failure.kind,
        }
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Refused(failure) => failure,
            other => {
                Self::new(other.kind(), other.to_string()).retry_after(Duration::from_millis(500))
            }
        }
    }
}

/// A command that was committed and applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// Its place in the group's log.
    pub log_index: u64,
    /// What applying it answered.
    pub outcome: Bytes,
}

/// Looks at a command before the leader proposes it.
pub type Admit = Arc<dyn Fn(&[u8]) -> Result<(), Failure> + Send + Sync>;

/// One group on this node.
pub struct Group {
    id: GroupId,
    raft: Raft,
    machine: GroupMachine,
    reader: Reader,
    mesh: Arc<Mesh>,
    admit: Option<Admit>,
    clock: Clock,
    /// When, since `started`, the state known here was last confirmed as the group's; -1: never.
    fresh_ms: AtomicI64,
    started: Instant,
}

impl Group {
    /// Takes a running Raft. A command that `admit` refuses is not proposed: one that a replica can't
    /// read would stop it.
    #[must_use]
    pub fn new(
        id: GroupId,
        raft: Raft,
        machine: GroupMachine,
        mesh: Arc<Mesh>,
        admit: Option<Admit>,
        clock: Clock,
    ) -> Self {
        let (reader, fresh_ms) = (machine.reader(), AtomicI64::new(-1));
        Self { id, raft, machine, reader, mesh, admit, clock, fresh_ms, started: Instant::now() }
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> &GroupId {
        &self.id
    }

    /// The group's Raft.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The group's state machine.
    #[must_use]
    pub fn machine(&self) -> &GroupMachine {
        &self.machine
    }

    /// The applied state.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The leader as this node knows it, with its name.
    #[must_use]
    pub fn leader(&self) -> Option<(RaftId, NodeName)> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let id = metrics.current_leader?;
        let node: &Member = metrics.membership_config.membership().get_node(&id)?;
        Some((id, node.name.clone()))
    }

    /// Whether this node leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.raft.is_leader()
    }

    /// Proposes a command here or at the leader, and waits until it is applied there.
    ///
    /// # Errors
    /// [`GroupError`]; only `Uncertain` leaves open whether the command will take effect.
    pub async fn propose(&self, command: Bytes, within: Duration) -> Result<Proposed, GroupError> {
        match self.leader() {
            Some((id, _)) if id == *self.raft.node_id() => self.propose_here(command, within).await,
            Some((_, name)) => self.forward(&name, command, within).await,
            None => Err(GroupError::NoLeader { group: self.id.clone() }),
        }
    }

    /// Proposes a command as the leader, which stamps its time.
    ///
    /// # Errors
    /// As [`Group::propose`]; `NoLeader` when this node does not lead.
    pub async fn propose_here(
        &self,
        command: Bytes,
        within: Duration,
    ) -> Result<Proposed, GroupError> {
        if let Some(admit) = &self.admit {
            admit(&command).map_err(GroupError::Refused)?;
        }
        let command = Command::new(stamp(&command, (self.clock)()));
        let written = timeout(within, self.raft.client_write(command)).await;
        match written {
            Err(_) => Err(GroupError::Uncertain { group: self.id.clone() }),
            Ok(Ok(done)) => {
                Ok(Proposed { log_index: done.log_id.index, outcome: done.data.into_bytes() })
            }
            Ok(Err(error)) => Err(self.refused(&error)),
        }
    }

    fn refused(
        &self,
        error: &RaftError<
            crate::raft::types::TypeConfig,
            ClientWriteError<crate::raft::types::TypeConfig>,
        >,
    ) -> GroupError {
        let group = self.id.clone();
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
                GroupError::NoLeader { group }
            }
            RaftError::APIError(other) => {
                GroupError::Refused(Failure::new(Kind::Stale, other.to_string()))
            }
            RaftError::Fatal(fatal) => GroupError::Broken { group, why: fatal.to_string() },
        }
    }

    /// Proposes a command wherever it is taken: at the leader, or, while this node is not yet a member
    /// and knows none, at the peers in turn.
    ///
    /// # Errors
    /// As [`Group::propose`].
    pub async fn propose_anywhere(
        &self,
        command: Bytes,
        within: Duration,
    ) -> Result<Proposed, GroupError> {
        if self.leader().is_some() {
            return self.propose(command, within).await;
        }
        for peer in self.mesh.book().names() {
            match self.forward(&peer, command.clone(), within).await {
                Err(GroupError::NoLeader { .. }) => {}
                taken => return taken,
            }
        }
        Err(GroupError::NoLeader { group: self.id.clone() })
    }

    async fn forward(
        &self,
        leader: &NodeName,
        command: Bytes,
        within: Duration,
    ) -> Result<Proposed, GroupError> {
        let body = Propose { format: FORMAT, command: command.into() }.encode_to_vec().into();
        let called =
            wire::call(&self.mesh, leader, LaneKind::Propose, &self.id, body, within).await;
        let answer = called.map_err(|error| self.lost(error))?;
        let answer = ProposeAnswer::decode(answer).map_err(|error| self.unreadable(&error))?;
        Ok(Proposed { log_index: answer.log_index, outcome: answer.outcome.into() })
    }

    fn lost(&self, error: CallError) -> GroupError {
        let group = self.id.clone();
        match error {
            CallError::Answered { failure, .. } if failure.kind == Kind::Unavailable => {
                GroupError::NoLeader { group }
            }
            CallError::Answered { failure, .. } => GroupError::Refused(failure),
            CallError::Uncertain { .. } => GroupError::Uncertain { group },
            other if other.not_sent() => GroupError::NoLeader { group },
            _ => GroupError::Uncertain { group },
        }
    }

    fn unreadable(&self, error: &prost::DecodeError) -> GroupError {
        GroupError::Broken { group: self.id.clone(), why: error.to_string() }
    }

    /// Confirms leadership and answers the index that a linearizable read must wait for.
    ///
    /// # Errors
    /// [`GroupError::NoLeader`] when this node does not lead or can't reach a quorum.
    pub async fn read_index_here(&self, within: Duration) -> Result<u64, GroupError> {
        let asked = timeout(within, self.raft.get_read_linearizer(ReadPolicy::ReadIndex)).await;
        match asked {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            _ => Err(GroupError::NoLeader { group: self.id.clone() }),
        }
    }

    async fn read_index(&self, within: Duration) -> Result<u64, GroupError> {
        match self.leader() {
            None => Err(GroupError::NoLeader { group: self.id.clone() }),
            Some((id, _)) if id == *self.raft.node_id() => self.read_index_here(within).await,
            Some((_, leader)) => {
                let body = ReadIndex { format: FORMAT }.encode_to_vec().into();
                let called =
                    wire::call(&self.mesh, &leader, LaneKind::ReadIndex, &self.id, body, within);
                let answer = called.await.map_err(|error| self.lost(error))?;
                let answer =
                    ReadIndexAnswer::decode(answer).map_err(|error| self.unreadable(&error))?;
                Ok(answer.log_index)
            }
        }
    }

    /// Waits until this replica has applied `index`.
    ///
    /// # Errors
    /// [`GroupError::Behind`] when it has not within the bound.
    pub async fn applied(&self, index: u64, within: Duration) -> Result<(), GroupError> {
        let mut applied = self.reader.applied();
        let reached = timeout(within, applied.wait_for(|now| *now >= index)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(GroupError::Behind { group: self.id.clone() }),
        }
    }

    /// Confirms that this replica holds all that was committed when the call began.
    ///
    /// # Errors
    /// [`GroupError`] when no leader confirms it or the replica does not catch up in time.
    pub async fn refresh(&self, within: Duration) -> Result<(), GroupError> {
        let began = self.started.elapsed();
        let index = self.read_index(within).await?;
        self.applied(index, within).await?;
        let began = i64::try_from(began.as_millis()).unwrap_or(i64::MAX);
        self.fresh_ms.fetch_max(began, Ordering::Release);
        Ok(())
    }

    /// How long ago this replica was last known to hold all that was committed; none: never.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let fresh = u64::try_from(self.fresh_ms.load(Ordering::Acquire)).ok()?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(fresh)))
    }

    /// Makes sure that what is read is at most `age_max` old, asking the leader only if it must.
    ///
    /// # Errors
    /// [`GroupError`] when it can't be confirmed.
    pub async fn fresh(&self, age_max: Duration, within: Duration) -> Result<(), GroupError> {
        match self.age() {
            Some(age) if age <= age_max => Ok(()),
            _ if planted(Mutant::StaleRead) => Ok(()),
            _ => self.refresh(within).await,
        }
    }
}

/// Sets the leader's time in an encoded command. All commands have `format = 1` and `at_ms = 2`, and of
/// a scalar field that comes twice the last one counts, so the time is appended rather than the command
/// decoded and built anew.
fn stamp(command: &[u8], now: UnixMillis) -> Bytes {
    let mut stamped = command.to_vec();
    prost::encoding::int64::encode(2, &now.0, &mut stamped);
    stamped.into()
}

#[cfg(test)]
mod tests {
    use bailiwick_proto::store::{CatalogCommand, DeleteItem, catalog_command::Change};

    use super::*;

    #[test]
    fn the_leaders_stamp_replaces_the_proposers() {
        let command = CatalogCommand {
            format: 1,
            at_ms: 5,
            change: Some(Change::DeleteItem(DeleteItem { item: "318".into() })),
        };
        let stamped = stamp(&command.encode_to_vec(), UnixMillis(77));
        let read = CatalogCommand::decode(stamped).unwrap();
        assert_eq!(read, CatalogCommand { at_ms: 77, ..command });
    }
}
