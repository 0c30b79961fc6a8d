//! What answers a peer's calls and streams.

use bailiwick_core::pinned::Pinned;
use bailiwick_proto::export::Exportable;
use bailiwick_proto::failure::Failure;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::lane::Lane;
use crate::peer::Peer;
use crate::stream::{AnySender, FrameReceiver};

/// The bytes of a message that may cross borders; only an [`Exportable`] makes one.
///
/// ```
/// let answer = bailiwick_net::Exported::of(&bailiwick_proto::peer::Hello::default());
/// ```
/// ```compile_fail,E0277
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// let pinned = Pinned::new(DomainId::new("eu").unwrap(), bytes::Bytes::new());
/// let answer = bailiwick_net::Exported::of(&pinned);
/// ```
/// ```compile_fail,E0423
/// let answer = bailiwick_net::Exported(bytes::Bytes::new());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported(Bytes);

impl Exported {
    /// Takes the message's bytes.
    #[must_use]
    pub fn of<M: Exportable>(message: &M) -> Self {
        Self(message.to_frame())
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The answer to a call.
#[derive(Debug)]
pub enum Answer {
    /// It may go to any peer.
    Wide(Exported),
    /// It may go only to a peer in its home; to another the caller's answer is a refusal.
    Pinned(Pinned<Bytes>),
}

impl Answer {
    /// An answer that may go to any peer.
    #[must_use]
    pub fn wide<M: Exportable>(message: &M) -> Self {
        Self::Wide(Exported::of(message))
    }
}

/// Answers peers. Identity and placement have been checked before any of these is called, and nothing
/// of the payload has been read.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call. Dropped when the caller's time is over or the process stops. A failure must
    /// carry no personal value.
    fn call<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Serves one long-lived stream until either side ends it.
    fn stream<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()>;

    /// Serves one bulk transfer, which runs on a connection of its own.
    fn bulk<'a>(
        &'a self,
        from: &'a Peer,
        lane: Lane,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()>;
}
