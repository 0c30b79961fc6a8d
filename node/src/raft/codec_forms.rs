//! The encodings of what the log and snapshots hold: positions, votes, members, entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::vote::RaftLeaderId;
use prost::Message;

use super::codec::{CodecError, Form, need};
use super::types::{
    Command, Entry, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote,
};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogIdForm {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

impl Form for LogId {
    type Message = LogIdForm;
    const WHAT: &'static str = "log id";

    fn to_form(&self) -> LogIdForm {
        LogIdForm { term: self.leader_id.term, index: self.index }
    }

    fn from_form(form: LogIdForm) -> Result<Self, CodecError> {
        Ok(Self::new_term_index(form.term, form.index))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VoteForm {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(bool, tag = "3")]
    committed: bool,
}

impl Form for Vote {
    type Message = VoteForm;
    const WHAT: &'static str = "vote";

    fn to_form(&self) -> VoteForm {
        VoteForm {
            term: self.leader_id.term(),
            node: *self.leader_id.node_id(),
            committed: self.committed,
        }
    }

    fn from_form(form: VoteForm) -> Result<Self, CodecError> {
        Ok(match form.committed {
            true => Self::new_committed(form.term, form.node),
            false => Self::new(form.term, form.node),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MemberForm {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    domain: String,
    #[prost(string, tag = "4")]
    region: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConfigForm {
    #[prost(uint64, repeated, tag = "1")]
    voters: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipForm {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<ConfigForm>,
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberForm>,
}

impl Form for Membership {
    type Message = MembershipForm;
    const WHAT: &'static str = "membership";

    fn to_form(&self) -> MembershipForm {
        let configs = self.get_joint_config().iter();
        let members = self.nodes().map(|(id, member)| MemberForm {
            id: *id,
            name: member.name.to_string(),
            domain: member.domain.to_string(),
            region: member.region.to_string(),
        });
        MembershipForm {
            configs: configs.map(|c| ConfigForm { voters: c.iter().copied().collect() }).collect(),
            members: members.collect(),
        }
    }

    fn from_form(form: MembershipForm) -> Result<Self, CodecError> {
        if form.configs.is_empty() && form.members.is_empty() {
            return Ok(Self::default());
        }
        let mut nodes = BTreeMap::new();
        for m in form.members {
            let member = Member {
                name: m.name.parse()?,
                domain: m.domain.parse()?,
                region: m.region.parse()?,
            };
            nodes.insert(m.id, member);
        }
        let configs: Vec<BTreeSet<u64>> =
            form.configs.into_iter().map(|c| c.voters.into_iter().collect()).collect();
        Self::new(configs, nodes)
            .map_err(|e| CodecError::Malformed { what: Self::WHAT, why: e.to_string() })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredMembershipForm {
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdForm>,
    #[prost(message, optional, tag = "2")]
    membership: Option<MembershipForm>,
}

impl Form for StoredMembership {
    type Message = StoredMembershipForm;
    const WHAT: &'static str = "stored membership";

    fn to_form(&self) -> StoredMembershipForm {
        StoredMembershipForm {
            log_id: self.log_id().as_ref().map(Form::to_form),
            membership: Some(self.membership().to_form()),
        }
    }

    fn from_form(form: StoredMembershipForm) -> Result<Self, CodecError> {
        let membership = need(form.membership, Self::WHAT, "membership")?;
        Ok(Self::new(
            form.log_id.map(LogId::from_form).transpose()?,
            Membership::from_form(membership)?,
        ))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotMetaForm {
    #[prost(message, optional, tag = "1")]
    last_log_id: Option<LogIdForm>,
    #[prost(message, optional, tag = "2")]
    last_membership: Option<StoredMembershipForm>,
}

impl Form for SnapshotMeta {
    type Message = SnapshotMetaForm;
    const WHAT: &'static str = "snapshot meta";

    fn to_form(&self) -> SnapshotMetaForm {
        SnapshotMetaForm {
            last_log_id: self.last_log_id.as_ref().map(Form::to_form),
            last_membership: Some(self.last_membership.to_form()),
        }
    }

    fn from_form(form: SnapshotMetaForm) -> Result<Self, CodecError> {
        let membership = need(form.last_membership, Self::WHAT, "membership")?;
        Ok(Self {
            last_log_id: form.last_log_id.map(LogId::from_form).transpose()?,
            last_membership: StoredMembership::from_form(membership)?,
        })
    }
}

/// An entry's payload; none is a blank entry.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PayloadForm {
    #[prost(bytes = "bytes", tag = "2")]
    Command(Bytes),
    #[prost(message, tag = "3")]
    Membership(MembershipForm),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntryForm {
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdForm>,
    #[prost(oneof = "PayloadForm", tags = "2, 3")]
    payload: Option<PayloadForm>,
}

impl Form for Entry {
    type Message = EntryForm;
    const WHAT: &'static str = "entry";

    fn to_form(&self) -> EntryForm {
        let payload = match &self.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(command) => Some(PayloadForm::Command(command.as_bytes().clone())),
            EntryPayload::Membership(m) => Some(PayloadForm::Membership(m.to_form())),
        };
        EntryForm { log_id: Some(self.log_id.to_form()), payload }
    }

    fn from_form(form: EntryForm) -> Result<Self, CodecError> {
        let log_id = LogId::from_form(need(form.log_id, Self::WHAT, "log id")?)?;
        let payload = match form.payload {
            None => EntryPayload::Blank,
            Some(PayloadForm::Command(bytes)) => EntryPayload::Normal(Command::new(bytes)),
            Some(PayloadForm::Membership(m)) => EntryPayload::Membership(Membership::from_form(m)?),
        };
        Ok(Self { log_id, payload })
    }
}
