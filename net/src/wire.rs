//! What stands at the start of a stream, and a failure in place of an answer.

use std::time::Duration;

use bailiwick_core::ids::GroupId;
use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bytes::Bytes;
use prost::Message as _;

use crate::lane::{Lane, LaneKind};

/// The version of these encodings. A version may add fields; a stream of another version is refused.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of the first frame of a stream.
pub(crate) const HEAD_BYTES_MAX: usize = 1024;
/// Bytes of a failure's message; longer ones are cut.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The dialler asks whether it has been accepted.
    Greeting,
    /// One message, one answer.
    Call,
    /// Frames both ways.
    Stream,
    /// Frames in bulk, on a connection of its own.
    Bulk,
}

/// The first frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) purpose: Purpose,
    pub(crate) lane: Lane,
    /// The caller waits this long.
    pub(crate) timeout: Option<Duration>,
}

/// Why a head was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("the head of the stream is malformed")]
    Malformed,
    #[error("format {0} is not known here")]
    Format(u32),
    #[error("purpose {0} is not known here")]
    Purpose(u32),
    #[error("lane {0} is not known here")]
    Lane(u32),
    #[error("the group is malformed")]
    Group,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireHead {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(uint32, tag = "2")]
    purpose: u32,
    #[prost(uint32, tag = "3")]
    lane: u32,
    #[prost(string, optional, tag = "4")]
    group: Option<String>,
    #[prost(uint64, optional, tag = "5")]
    timeout_ms: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireFailure {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(string, optional, tag = "3")]
    field: Option<String>,
    #[prost(uint64, optional, tag = "4")]
    retry_after_ms: Option<u64>,
}

impl Purpose {
    fn code(self) -> u32 {
        match self {
            Self::Greeting => 1,
            Self::Call => 2,
            Self::Stream => 3,
            Self::Bulk => 4,
        }
    }

    fn of_code(code: u32) -> Result<Self, HeadError> {
        Ok(match code {
            1 => Self::Greeting,
            2 => Self::Call,
            3 => Self::Stream,
            4 => Self::Bulk,
            other => return Err(HeadError::Purpose(other)),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Head {
    pub(crate) fn encode(&self) -> Bytes {
        let wire = WireHead {
            format: FORMAT,
            purpose: self.purpose.code(),
            lane: self.lane.kind.code(),
            group: self.lane.group.as_ref().map(GroupId::to_string),
            timeout_ms: self.timeout.map(millis),
        };
        wire.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, HeadError> {
        let wire = WireHead::decode(bytes).map_err(|_| HeadError::Malformed)?;
        if wire.format != FORMAT {
            return Err(HeadError::Format(wire.format));
        }
        let group = wire.group.map(|text| text.parse::<GroupId>()).transpose();
        Ok(Self {
            purpose: Purpose::of_code(wire.purpose)?,
            lane: Lane {
                kind: LaneKind::of_code(wire.lane).ok_or(HeadError::Lane(wire.lane))?,
                group: group.map_err(|_| HeadError::Group)?,
            },
            timeout: wire.timeout_ms.map(Duration::from_millis),
        })
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=MESSAGE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

pub(crate) fn encode_failure(failure: &Failure) -> Bytes {
    let wire = WireFailure {
        kind: failure.kind.as_str().to_owned(),
        message: shortened(&failure.message),
        field: failure.field.as_deref().map(shortened),
        retry_after_ms: failure.retry_after.map(millis),
    };
    wire.encode_to_vec().into()
}

/// A failure that can't be read is still a failure.
pub(crate) fn decode_failure(bytes: Bytes) -> Failure {
    let Ok(wire) = WireFailure::decode(bytes) else {
        return Failure::new(Kind::Broken, "the peer's failure is malformed");
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == wire.kind);
    Failure {
        kind: kind.unwrap_or(Kind::Broken),
        message: wire.message,
        field: wire.field,
        retry_after: wire.retry_after_ms.map(Duration::from_millis),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        for purpose in [Purpose::Greeting, Purpose::Call, Purpose::Stream, Purpose::Bulk] {
            for group in [None, Some("users-eu-0".parse().unwrap())] {
                let lane = Lane { kind: LaneKind::Custom(3), group };
                let head = Head { purpose, lane, timeout: Some(Duration::from_millis(7)) };
                assert_eq!(Head::decode(head.encode()), Ok(head));
            }
        }
    }

    #[test]
    fn another_format_is_refused_rather_than_guessed() {
        let wire = WireHead { format: 2, purpose: 2, lane: 1, ..WireHead::default() };
        assert_eq!(Head::decode(wire.encode_to_vec().into()), Err(HeadError::Format(2)));
    }

    #[test]
    fn a_failure_survives_the_wire() {
        for kind in Kind::ALL {
            let sent = Failure { field: Some("x".into()), ..Failure::new(kind, "no") }
                .retry_after(Duration::from_millis(9));
            assert_eq!(decode_failure(encode_failure(&sent)), sent);
        }
        let long = decode_failure(encode_failure(&Failure::new(Kind::Broken, "ä".repeat(5000))));
        assert!(long.message.len() <= MESSAGE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Head::decode(bytes.clone().into());
            let _ = decode_failure(bytes.into());
        }
    }
}
