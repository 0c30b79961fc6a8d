//! Frames one after the other on a stream, typed by the side of the peer that reads them.

use std::marker::PhantomData;
use std::sync::Arc;

use bailiwick_core::pinned::{Cleared, PinRefusal, Pinned, clear};
use bailiwick_proto::export::Exportable;
use bailiwick_proto::failure::Failure;
use bytes::Bytes;

use crate::error::StreamError;
use crate::metrics::add;
use crate::peer::{Domestic, Foreign, Peer};
use crate::transport::{Frame, FrameSink, FrameSource, Lost, Tag};
use crate::wire;

/// What both halves of a stream know: the peer, and who counts.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) peer: Arc<Peer>,
    pub(crate) watch: Arc<crate::watch::Watch>,
    pub(crate) frame_bytes_max: usize,
}

impl Context {
    fn lost(&self, lost: Lost) -> StreamError {
        StreamError::Lost { peer: self.peer.name().clone(), lost }
    }

    /// Whether a value with this home may go to the peer. A second look: the caller cleared it for a
    /// destination of its own making, the certificate has the last word.
    pub(crate) fn admit_pinned<T>(&self, value: &Cleared<'_, T>) -> Result<(), PinRefusal> {
        if value.home() == self.peer.domain() {
            return Ok(());
        }
        add(&self.watch.metrics.pins_refused, 1);
        let destination = self.peer.domain().clone();
        Err(PinRefusal { home: value.home().clone(), destination })
    }

    pub(crate) fn clear<'a, T>(&self, value: &'a Pinned<T>) -> Result<Cleared<'a, T>, PinRefusal> {
        clear(value, &self.peer.destination())
            .inspect_err(|_| add(&self.watch.metrics.pins_refused, 1))
    }
}

struct Outbound {
    sink: Box<dyn FrameSink>,
    context: Context,
}

impl Outbound {
    async fn put(&mut self, tag: Tag, body: Bytes) -> Result<(), StreamError> {
        let (len, max) = (body.len(), self.context.frame_bytes_max);
        if len > max {
            return Err(StreamError::TooLarge { len, max });
        }
        self.sink.send(Frame { tag, body }).await.map_err(|lost| self.context.lost(lost))?;
        self.context.watch.metrics.sent(len);
        Ok(())
    }
}

/// The sending half of a stream to a peer of side `S`. Dropped before [`FrameSender::finish`], it cuts
/// the stream: the peer sees an error, never a shorter transfer.
///
/// A sender to a foreign peer has no way to take pinned data:
/// ```compile_fail,E0599
/// use bailiwick_core::pinned::Cleared;
/// use bailiwick_net::{Foreign, FrameSender};
/// async fn ship(tx: &mut FrameSender<Foreign>, value: Cleared<'_, Vec<u8>>) {
///     let _ = tx.send_pinned(value).await;
/// }
/// ```
/// Its twin that passes:
/// ```
/// use bailiwick_core::pinned::Cleared;
/// use bailiwick_net::{Domestic, FrameSender};
/// async fn ship(tx: &mut FrameSender<Domestic>, value: Cleared<'_, Vec<u8>>) {
///     let _ = tx.send_pinned(value).await;
/// }
/// ```
pub struct FrameSender<S> {
    outbound: Outbound,
    side: PhantomData<fn() -> S>,
}

impl<S> FrameSender<S> {
    pub(crate) fn new(sink: Box<dyn FrameSink>, context: Context) -> Self {
        Self { outbound: Outbound { sink, context }, side: PhantomData }
    }

    /// The peer that reads.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.outbound.context.peer
    }

    /// Sends a message that may cross borders, waiting while the peer is slow.
    ///
    /// # Errors
    /// [`StreamError`] when the stream is lost or the frame too long.
    pub async fn send<M: Exportable>(&mut self, message: &M) -> Result<(), StreamError> {
        self.outbound.put(Tag::Data, message.to_frame()).await
    }

    /// Ends the stream in order.
    pub fn finish(mut self) {
        self.outbound.sink.finish();
    }

    /// Ends the stream with a failure, which must carry no personal value.
    ///
    /// # Errors
    /// [`StreamError`] when the stream is lost.
    pub async fn fail(mut self, failure: &Failure) -> Result<(), StreamError> {
        self.outbound.put(Tag::Failure, wire::encode_failure(failure)).await?;
        self.outbound.sink.finish();
        Ok(())
    }
}

impl FrameSender<Domestic> {
    /// Sends pinned data that was cleared for this peer's domain.
    ///
    /// # Errors
    /// [`StreamError`] when it was cleared for another domain, the stream is lost or the frame too long.
    pub async fn send_pinned<T: AsRef<[u8]>>(
        &mut self,
        value: Cleared<'_, T>,
    ) -> Result<(), StreamError> {
        self.outbound.context.admit_pinned(&value)?;
        let body = Bytes::copy_from_slice(value.value().as_ref());
        self.outbound.put(Tag::Data, body).await
    }
}

/// A sender whose peer's side was decided by the handshake.
pub enum AnySender {
    /// To a peer in this domain.
    Domestic(FrameSender<Domestic>),
    /// To a peer in another.
    Foreign(FrameSender<Foreign>),
}

impl AnySender {
    pub(crate) fn new(sink: Box<dyn FrameSink>, context: Context) -> Self {
        if context.peer.is_domestic() {
            Self::Domestic(FrameSender::new(sink, context))
        } else {
            Self::Foreign(FrameSender::new(sink, context))
        }
    }

    /// Sends a message that may cross borders.
    ///
    /// # Errors
    /// As [`FrameSender::send`].
    pub async fn send<M: Exportable>(&mut self, message: &M) -> Result<(), StreamError> {
        match self {
            Self::Domestic(sender) => sender.send(message).await,
            Self::Foreign(sender) => sender.send(message).await,
        }
    }

    /// Sends pinned data if the peer stands where it is at home.
    ///
    /// # Errors
    /// [`StreamError::Pin`] when the peer stands elsewhere, else as [`FrameSender::send_pinned`].
    pub async fn send_pinned<T: AsRef<[u8]>>(
        &mut self,
        value: &Pinned<T>,
    ) -> Result<(), StreamError> {
        match self {
            Self::Domestic(sender) => {
                let cleared = sender.outbound.context.clear(value)?;
                sender.send_pinned(cleared).await
            }
            Self::Foreign(sender) => {
                // Whatever its home: a value of the peer's own domain has no business here.
                add(&sender.outbound.context.watch.metrics.pins_refused, 1);
                let destination = sender.peer().domain().clone();
                Err(PinRefusal { home: value.home().clone(), destination }.into())
            }
        }
    }

    /// Ends the stream in order.
    pub fn finish(self) {
        match self {
            Self::Domestic(sender) => sender.finish(),
            Self::Foreign(sender) => sender.finish(),
        }
    }

    /// Ends the stream with a failure, which must carry no personal value.
    ///
    /// # Errors
    /// As [`FrameSender::fail`].
    pub async fn fail(self, failure: &Failure) -> Result<(), StreamError> {
        match self {
            Self::Domestic(sender) => sender.fail(failure).await,
            Self::Foreign(sender) => sender.fail(failure).await,
        }
    }
}

/// The receiving half of a stream. Dropped, it tells the peer to stop.
pub struct FrameReceiver {
    source: Box<dyn FrameSource>,
    context: Context,
}

impl FrameReceiver {
    pub(crate) fn new(source: Box<dyn FrameSource>, context: Context) -> Self {
        Self { source, context }
    }

    /// The peer that sends.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.context.peer
    }

    /// The next frame, none at the stream's end. Frames that are not read push back on the sender.
    /// May be dropped and called again without loss.
    ///
    /// # Errors
    /// [`StreamError`] when the stream is lost or cut, or the peer ends it with a failure.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, StreamError> {
        let max = self.context.frame_bytes_max;
        let frame = self.source.recv(max).await.map_err(|lost| self.context.lost(lost))?;
        let Some(frame) = frame else { return Ok(None) };
        self.context.watch.heard(frame.body.len());
        let peer = || self.context.peer.name().clone();
        match frame.tag {
            Tag::Data => Ok(Some(frame.body)),
            Tag::Failure => {
                let failure = wire::decode_failure(frame.body);
                Err(StreamError::Answered { peer: peer(), failure })
            }
            Tag::Head => Err(StreamError::Protocol { peer: peer(), what: "a second head" }),
        }
    }
}
