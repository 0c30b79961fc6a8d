//! Our own encodings of openraft's types, for log, snapshots and RPC bodies: one version byte, then
//! protobuf. Never a library's serde form, so that a node of version n+1 reads what n wrote.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::IdError;
use bailiwick_core::kind::Kind;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::vote::RaftLeaderId;
use prost::Message;

use super::types::{
    Command, Entry, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// The version that this build writes, and the newest that it reads.
pub const CODEC_VERSION: u8 = 1;

/// Why bytes could not be decoded. The bytes themselves are never quoted: they may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There is not even a version byte.
    #[error("an encoded {what} is empty")]
    Empty {
        /// What was to be decoded.
        what: &'static str,
    },
    /// Written by a newer build.
    #[error("{what} has encoding version {found}, this build reads up to {CODEC_VERSION}")]
    Newer {
        /// What was to be decoded.
        what: &'static str,
        /// The version found.
        found: u8,
    },
    /// Not our protobuf.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was to be decoded.
        what: &'static str,
        /// The decoder's words, which name fields and never quote values.
        why: String,
    },
    /// A part that must be there is not.
    #[error("{what} lacks its {part}")]
    Missing {
        /// What was to be decoded.
        what: &'static str,
        /// The missing part.
        part: &'static str,
    },
    /// A name is not valid.
    #[error("a member's name, domain or region is not valid: {0}")]
    Name(#[from] IdError),
}

impl CodecError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Stale,
            _ => Kind::Invalid,
        }
    }
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Values that have an encoding of ours. The implementations are the whole list.
pub trait Wire: Sized {
    /// Encodes the value, version first.
    fn encode(&self) -> Bytes;

    /// Decodes a value. Payloads share the buffer, nothing large is copied.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are of a newer version, or are not this value.
    fn decode(bytes: Bytes) -> Result<Self, CodecError>;
}

/// The protobuf form of a value.
pub(crate) trait Form: Sized {
    /// The message.
    type Message: Message + Default;
    /// The value's name in errors.
    const WHAT: &'static str;
    fn to_form(&self) -> Self::Message;
    fn from_form(form: Self::Message) -> Result<Self, CodecError>;
}

impl<T: Form> Wire for T {
    fn encode(&self) -> Bytes {
        let form = self.to_form();
        let mut out = Vec::with_capacity(1 + form.encoded_len());
        out.push(CODEC_VERSION);
        form.encode_raw(&mut out);
        out.into()
    }

    fn decode(mut bytes: Bytes) -> Result<Self, CodecError> {
        match bytes.first() {
            None => return Err(CodecError::Empty { what: T::WHAT }),
            Some(&found) if found > CODEC_VERSION || found == 0 => {
                return Err(CodecError::Newer { what: T::WHAT, found });
            }
            Some(_) => {}
        }
        let form = T::Message::decode(bytes.split_off(1))
            .map_err(|e| CodecError::Malformed { what: T::WHAT, why: e.to_string() })?;
        T::from_form(form)
    }
}

pub(crate) fn need<T>(
    part: Option<T>,
    what: &'static str,
    name: &'static str,
) -> Result<T, CodecError> {
    part.ok_or(CodecError::Missing { what, part: name })
}

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
