//! The encodings of what the members of a group say to each other.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use prost::Message;

use super::codec::{CodecError, Form, need};
use super::codec_forms::{EntryForm, LogIdForm, VoteForm};
use super::types::{Entry, LogId, TypeConfig, Vote};

fn vote_of(form: Option<VoteForm>, what: &'static str) -> Result<Vote, CodecError> {
    Vote::from_form(need(form, what, "vote")?)
}

fn log_id_of(form: Option<LogIdForm>) -> Result<Option<LogId>, CodecError> {
    form.map(LogId::from_form).transpose()
}

fn log_id_form(log_id: Option<&LogId>) -> Option<LogIdForm> {
    log_id.map(Form::to_form)
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendForm {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteForm>,
    #[prost(message, optional, tag = "2")]
    prev_log_id: Option<LogIdForm>,
    #[prost(message, repeated, tag = "3")]
    entries: Vec<EntryForm>,
    #[prost(message, optional, tag = "4")]
    leader_commit: Option<LogIdForm>,
}

impl Form for AppendEntriesRequest<TypeConfig> {
    type Message = AppendForm;
    const WHAT: &'static str = "append request";

    fn to_form(&self) -> AppendForm {
        AppendForm {
            vote: Some(self.vote.to_form()),
            prev_log_id: log_id_form(self.prev_log_id.as_ref()),
            entries: self.entries.iter().map(Form::to_form).collect(),
            leader_commit: log_id_form(self.leader_commit.as_ref()),
        }
    }

    fn from_form(form: AppendForm) -> Result<Self, CodecError> {
        Ok(Self {
            vote: vote_of(form.vote, Self::WHAT)?,
            prev_log_id: log_id_of(form.prev_log_id)?,
            entries: form.entries.into_iter().map(Entry::from_form).collect::<Result<_, _>>()?,
            leader_commit: log_id_of(form.leader_commit)?,
        })
    }
}

/// A log id that may be absent, inside a oneof, which has no optional members.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MatchedForm {
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdForm>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EmptyForm {}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AppendedForm {
    #[prost(message, tag = "1")]
    Success(EmptyForm),
    #[prost(message, tag = "2")]
    Partial(MatchedForm),
    #[prost(message, tag = "3")]
    Conflict(EmptyForm),
    #[prost(message, tag = "4")]
    HigherVote(VoteForm),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendResponseForm {
    #[prost(oneof = "AppendedForm", tags = "1, 2, 3, 4")]
    appended: Option<AppendedForm>,
}

impl Form for AppendEntriesResponse<TypeConfig> {
    type Message = AppendResponseForm;
    const WHAT: &'static str = "append response";

    fn to_form(&self) -> AppendResponseForm {
        let appended = match self {
            Self::Success => AppendedForm::Success(EmptyForm {}),
            Self::PartialSuccess(m) => {
                AppendedForm::Partial(MatchedForm { log_id: log_id_form(m.as_ref()) })
            }
            Self::Conflict => AppendedForm::Conflict(EmptyForm {}),
            Self::HigherVote(vote) => AppendedForm::HigherVote(vote.to_form()),
        };
        AppendResponseForm { appended: Some(appended) }
    }

    fn from_form(form: AppendResponseForm) -> Result<Self, CodecError> {
        Ok(match need(form.appended, Self::WHAT, "outcome")? {
            AppendedForm::Success(_) => Self::Success,
            AppendedForm::Partial(m) => Self::PartialSuccess(log_id_of(m.log_id)?),
            AppendedForm::Conflict(_) => Self::Conflict,
            AppendedForm::HigherVote(vote) => Self::HigherVote(Vote::from_form(vote)?),
        })
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum StreamedForm {
    #[prost(message, tag = "1")]
    Matched(MatchedForm),
    #[prost(message, tag = "2")]
    Conflict(LogIdForm),
    #[prost(message, tag = "3")]
    HigherVote(VoteForm),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamResultForm {
    #[prost(oneof = "StreamedForm", tags = "1, 2, 3")]
    streamed: Option<StreamedForm>,
}

impl Form for StreamAppendResult<TypeConfig> {
    type Message = StreamResultForm;
    const WHAT: &'static str = "stream append result";

    fn to_form(&self) -> StreamResultForm {
        let streamed = match self {
            Ok(log_id) => {
                StreamedForm::Matched(MatchedForm { log_id: log_id_form(log_id.as_ref()) })
            }
            Err(StreamAppendError::Conflict(log_id)) => StreamedForm::Conflict(log_id.to_form()),
            Err(StreamAppendError::HigherVote(vote)) => StreamedForm::HigherVote(vote.to_form()),
        };
        StreamResultForm { streamed: Some(streamed) }
    }

    fn from_form(form: StreamResultForm) -> Result<Self, CodecError> {
        Ok(match need(form.streamed, Self::WHAT, "outcome")? {
            StreamedForm::Matched(m) => Ok(log_id_of(m.log_id)?),
            StreamedForm::Conflict(log_id) => {
                Err(StreamAppendError::Conflict(LogId::from_form(log_id)?))
            }
            StreamedForm::HigherVote(vote) => {
                Err(StreamAppendError::HigherVote(Vote::from_form(vote)?))
            }
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BallotForm {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteForm>,
    #[prost(message, optional, tag = "2")]
    last_log_id: Option<LogIdForm>,
    /// In a request: part of a transfer of leadership. In a response: granted.
    #[prost(bool, tag = "3")]
    flag: bool,
}

impl Form for VoteRequest<TypeConfig> {
    type Message = BallotForm;
    const WHAT: &'static str = "vote request";

    fn to_form(&self) -> BallotForm {
        BallotForm {
            vote: Some(self.vote.to_form()),
            last_log_id: log_id_form(self.last_log_id.as_ref()),
            flag: self.leadership_transfer,
        }
    }

    fn from_form(form: BallotForm) -> Result<Self, CodecError> {
        let mut request = Self::new(vote_of(form.vote, Self::WHAT)?, log_id_of(form.last_log_id)?);
        request.leadership_transfer = form.flag;
        Ok(request)
    }
}

impl Form for VoteResponse<TypeConfig> {
    type Message = BallotForm;
    const WHAT: &'static str = "vote response";

    fn to_form(&self) -> BallotForm {
        BallotForm {
            vote: Some(self.vote.to_form()),
            last_log_id: log_id_form(self.last_log_id.as_ref()),
            flag: self.vote_granted,
        }
    }

    fn from_form(form: BallotForm) -> Result<Self, CodecError> {
        let vote = vote_of(form.vote, Self::WHAT)?;
        Ok(Self::new(vote, log_id_of(form.last_log_id)?, form.flag))
    }
}

impl Form for SnapshotResponse<TypeConfig> {
    type Message = BallotForm;
    const WHAT: &'static str = "snapshot response";

    fn to_form(&self) -> BallotForm {
        BallotForm { vote: Some(self.vote.to_form()), last_log_id: None, flag: false }
    }

    fn from_form(form: BallotForm) -> Result<Self, CodecError> {
        vote_of(form.vote, Self::WHAT).map(Self::new)
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransferForm {
    #[prost(message, optional, tag = "1")]
    from: Option<VoteForm>,
    #[prost(uint64, tag = "2")]
    to: u64,
    #[prost(message, optional, tag = "3")]
    last_log_id: Option<LogIdForm>,
}

impl Form for TransferLeaderRequest<TypeConfig> {
    type Message = TransferForm;
    const WHAT: &'static str = "transfer request";

    fn to_form(&self) -> TransferForm {
        TransferForm {
            from: Some(self.from_leader().to_form()),
            to: *self.to_node_id(),
            last_log_id: log_id_form(self.last_log_id()),
        }
    }

    fn from_form(form: TransferForm) -> Result<Self, CodecError> {
        let from = vote_of(form.from, Self::WHAT)?;
        Ok(Self::new(from, form.to, log_id_of(form.last_log_id)?))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VotesForm {
    #[prost(message, optional, tag = "1")]
    expected: Option<VoteForm>,
    #[prost(message, optional, tag = "2")]
    actual: Option<VoteForm>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogIdsForm {
    #[prost(message, optional, tag = "1")]
    expected: Option<LogIdForm>,
    #[prost(message, optional, tag = "2")]
    actual: Option<LogIdForm>,
}

/// Why a transfer was turned down; none: it was accepted.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum TurnedDownForm {
    #[prost(message, tag = "2")]
    VoteChanged(VotesForm),
    #[prost(message, tag = "3")]
    NotFlushed(LogIdsForm),
    #[prost(message, tag = "1")]
    Accepted(EmptyForm),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransferResponseForm {
    #[prost(oneof = "TurnedDownForm", tags = "1, 2, 3")]
    answer: Option<TurnedDownForm>,
}

impl Form for TransferLeaderResponse<TypeConfig> {
    type Message = TransferResponseForm;
    const WHAT: &'static str = "transfer response";

    fn to_form(&self) -> TransferResponseForm {
        let answer = match self {
            Ok(()) => TurnedDownForm::Accepted(EmptyForm {}),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                TurnedDownForm::VoteChanged(VotesForm {
                    expected: Some(expected.to_form()),
                    actual: Some(actual.to_form()),
                })
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                TurnedDownForm::NotFlushed(LogIdsForm {
                    expected: log_id_form(expected.as_ref()),
                    actual: log_id_form(actual.as_ref()),
                })
            }
        };
        TransferResponseForm { answer: Some(answer) }
    }

    fn from_form(form: TransferResponseForm) -> Result<Self, CodecError> {
        Ok(match need(form.answer, Self::WHAT, "answer")? {
            TurnedDownForm::Accepted(_) => Ok(()),
            TurnedDownForm::VoteChanged(votes) => Err(TransferLeaderError::VoteChanged {
                expected: vote_of(votes.expected, Self::WHAT)?,
                actual: vote_of(votes.actual, Self::WHAT)?,
            }),
            TurnedDownForm::NotFlushed(ids) => Err(TransferLeaderError::LogNotFlushed {
                expected: log_id_of(ids.expected)?,
                actual: log_id_of(ids.actual)?,
            }),
        })
    }
}
