//! The export list: the types that a foreign link may send. There is no other way abroad.

use bailiwick_core::ids::GroupId;
use bytes::Bytes;
use prost::Message as _;

use crate::{peer, v1};

mod sealed {
    pub trait Sealed {}
}

/// A message that may cross a border as it is. Sealed: the impls in this file are the export list.
///
/// ```compile_fail,E0603
/// struct Mine;
/// impl bailiwick_proto::export::sealed::Sealed for Mine {}
/// ```
/// A pinned value is not on it:
/// ```compile_fail,E0277
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// fn ship<M: bailiwick_proto::export::Exportable>(_: &M) {}
/// ship(&Pinned::new(DomainId::new("eu").unwrap(), bytes::Bytes::new()));
/// ```
/// Its twin that passes:
/// ```
/// fn ship<M: bailiwick_proto::export::Exportable>(_: &M) {}
/// ship(&bailiwick_proto::peer::Hello::default());
/// ```
pub trait Exportable: sealed::Sealed {
    /// The message's bytes.
    fn to_frame(&self) -> Bytes;
}

/// A frame was made for a group whose data is pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group {group} is pinned: its frames may not be exported")]
pub struct PinnedGroup {
    /// The group.
    pub group: GroupId,
}

/// A Raft message of a group that spans domains: packs, nodes and items, never people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WideFrame(Bytes);

impl WideFrame {
    /// Takes the bytes of a message of `group`.
    ///
    /// # Errors
    /// [`PinnedGroup`] when the group's data is pinned to a domain.
    pub fn new(group: &GroupId, bytes: Bytes) -> Result<Self, PinnedGroup> {
        match group.pinned_to() {
            None => Ok(Self(bytes)),
            Some(_) => Err(PinnedGroup { group: group.clone() }),
        }
    }
}

impl sealed::Sealed for WideFrame {}
impl Exportable for WideFrame {
    fn to_frame(&self) -> Bytes {
        self.0.clone()
    }
}

macro_rules! exports {
    ($($message:ty),* $(,)?) => {$(
        impl sealed::Sealed for $message {}
        impl Exportable for $message {
            fn to_frame(&self) -> Bytes {
                self.encode_to_vec().into()
            }
        }
    )*};
}

// INVARIANT: nothing here holds what a person did. A token and a receipt are the person's own
// statements, sent to or from their home; what a domain tells a run of learning is masked, and shows
// nothing but its shape; models are sums over at least k_min people, generations of the index are made
// of items; the others speak of machines.
exports! {
    peer::Hello,
    peer::ReceiptRequest,
    peer::ReceiptAnswer,
    peer::SliceNotice,
    peer::SliceNoticeAnswer,
    peer::ErasureRequest,
    peer::ErasureAnswer,
    peer::SliceErasureRequest,
    peer::SliceErasureAnswer,
    peer::StatusRequest,
    peer::LearnAsk,
    peer::LearnTell,
    peer::LearnKeyRequest,
    peer::LearnKey,
    peer::ModelOffer,
    peer::ModelRequest,
    peer::ModelPart,
    peer::ServingRequest,
    peer::Serving,
    v1::ClusterStatus,
}
