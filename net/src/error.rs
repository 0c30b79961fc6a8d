//! What can go wrong between peers. `Unreachable` is proof that nothing was sent; `Uncertain` is not.

use bailiwick_core::ids::NodeName;
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::PinRefusal;
use bailiwick_core::placement::PlacementRefusal;
use bailiwick_proto::failure::Failure;

use crate::transport::Lost;

/// A peer could not be reached. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No connection, and none could be made, or it is too early to dial again.
    #[error("{peer} is unreachable: {why}")]
    Unreachable {
        /// The peer.
        peer: NodeName,
        /// What stands in the way.
        why: String,
    },
    /// The address book does not know the peer.
    #[error("no address is known for {peer}")]
    Unknown {
        /// The peer.
        peer: NodeName,
    },
    /// A node never routes to itself.
    #[error("{peer} is this node itself")]
    Itself {
        /// The peer.
        peer: NodeName,
    },
    /// The mesh is being shut down.
    #[error("this node is stopping")]
    Stopping,
}

impl NetError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Stopping => Kind::Unavailable,
            Self::Itself { .. } => Kind::Invalid,
        }
    }
}

/// A call did not bring an answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// Proved not sent: free of side effects.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Sent, at least in part, and no reply came: the outcome is unknown.
    #[error("{peer} did not reply: {why}")]
    Uncertain {
        /// The peer.
        peer: NodeName,
        /// What was seen.
        why: String,
    },
    /// The peer may have no part in the group. Nothing was sent.
    #[error(transparent)]
    Placement(#[from] PlacementRefusal),
    /// The value may not go to the peer. Nothing was sent.
    #[error(transparent)]
    Pin(#[from] PinRefusal),
    /// The message is longer than a frame may be. Nothing was sent.
    #[error("the message has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The peer answered with a failure.
    #[error("{peer} answered {failure}")]
    Answered {
        /// The peer.
        peer: NodeName,
        /// Its answer.
        failure: Failure,
    },
}

impl CallError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Net(error) => error.kind(),
            Self::Uncertain { .. } => Kind::Uncertain,
            Self::Placement(_) | Self::Pin(_) => Kind::Refused,
            Self::TooLarge { .. } => Kind::Invalid,
            Self::Answered { failure, .. } => failure.kind,
        }
    }

    /// Whether it is proved that the peer did not act on the call.
    #[must_use]
    pub fn not_sent(&self) -> bool {
        !matches!(self, Self::Uncertain { .. } | Self::Answered { .. })
    }

    pub(crate) fn unreachable(peer: &NodeName, lost: &Lost) -> Self {
        NetError::Unreachable { peer: peer.clone(), why: lost.to_string() }.into()
    }

    pub(crate) fn uncertain(peer: &NodeName, lost: &Lost) -> Self {
        Self::Uncertain { peer: peer.clone(), why: lost.to_string() }
    }
}

/// A stream of frames ended otherwise than in order.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// The connection or stream was lost; what was sent last may not have arrived.
    #[error("{peer}: {lost}")]
    Lost {
        /// The peer.
        peer: NodeName,
        /// How.
        lost: Lost,
    },
    /// The peer ended the stream with a failure.
    #[error("{peer} answered {failure}")]
    Answered {
        /// The peer.
        peer: NodeName,
        /// Its answer.
        failure: Failure,
    },
    /// The peer does not keep to the protocol.
    #[error("{peer} sent {what}")]
    Protocol {
        /// The peer.
        peer: NodeName,
        /// What it sent.
        what: &'static str,
    },
    /// The value may not go to the peer. Nothing was sent.
    #[error(transparent)]
    Pin(#[from] PinRefusal),
    /// The message is longer than a frame may be. Nothing was sent.
    #[error("the frame has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
}

impl StreamError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lost { .. } => Kind::Uncertain,
            Self::Answered { failure, .. } => failure.kind,
            Self::Protocol { .. } => Kind::Broken,
            Self::Pin(_) => Kind::Refused,
            Self::TooLarge { .. } => Kind::Invalid,
        }
    }
}
