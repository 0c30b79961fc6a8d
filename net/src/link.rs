//! A connection to a peer, typed once, at the handshake, by whether the peer stands in this domain.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Cleared;
use bailiwick_proto::export::Exportable;
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::error::CallError;
use crate::identity::Expect;
use crate::lane::Lane;
use crate::metrics::{Direction, add};
use crate::peer::{Domestic, Foreign, Peer};
use crate::stream::{Context, FrameReceiver, FrameSender};
use crate::transport::{Connection, Duplex, Frame, Lost, Tag, Transport};
use crate::wire::{self, Head, Purpose};

/// A link to a peer, domestic or foreign. Only the handshake makes one:
/// ```compile_fail,E0451
/// use bailiwick_net::{AnyLink, Domestic, Foreign, Link};
/// fn forge(link: Link<Foreign>) -> Link<Domestic> {
///     Link { core: link.core, side: std::marker::PhantomData }
/// }
/// ```
/// ```compile_fail,E0308
/// use bailiwick_net::{AnyLink, Foreign, Link};
/// fn forge(link: Link<Foreign>) -> AnyLink {
///     AnyLink::Domestic(link)
/// }
/// ```
/// Their twin that passes:
/// ```
/// use bailiwick_net::{AnyLink, Foreign, Link};
/// fn keep(link: Link<Foreign>) -> AnyLink {
///     AnyLink::Foreign(link)
/// }
/// ```
pub enum AnyLink {
    /// To a peer in this domain.
    Domestic(Link<Domestic>),
    /// To a peer in another.
    Foreign(Link<Foreign>),
}

/// A link to a peer of side `S`.
///
/// A foreign link has no way to send a cleared value:
/// ```compile_fail,E0599
/// use std::time::Duration;
/// use bailiwick_core::pinned::Cleared;
/// use bailiwick_net::{Foreign, Lane, Link};
/// async fn ship(link: &Link<Foreign>, lane: Lane, value: Cleared<'_, Vec<u8>>) {
///     let _ = link.call_pinned(lane, value, Duration::from_secs(1)).await;
/// }
/// ```
/// Its twin that passes:
/// ```
/// use std::time::Duration;
/// use bailiwick_core::pinned::Cleared;
/// use bailiwick_net::{Domestic, Lane, Link};
/// async fn ship(link: &Link<Domestic>, lane: Lane, value: Cleared<'_, Vec<u8>>) {
///     let _ = link.call_pinned(lane, value, Duration::from_secs(1)).await;
/// }
/// ```
/// No link takes a pinned value as a message:
/// ```compile_fail,E0277
/// use std::time::Duration;
/// use bailiwick_core::pinned::Pinned;
/// use bailiwick_net::{Foreign, Lane, Link};
/// async fn ship(link: &Link<Foreign>, lane: Lane, value: &Pinned<Vec<u8>>) {
///     let _ = link.call(lane, value, Duration::from_secs(1)).await;
/// }
/// ```
/// Its twin that passes:
/// ```
/// use std::time::Duration;
/// use bailiwick_net::{Foreign, Lane, Link};
/// use bailiwick_proto::peer::Hello;
/// async fn ship(link: &Link<Foreign>, lane: Lane, value: &Hello) {
///     let _ = link.call(lane, value, Duration::from_secs(1)).await;
/// }
/// ```
pub struct Link<S> {
    core: Core,
    side: PhantomData<fn() -> S>,
}

/// How to make the second connection of a link, the one for bulk.
pub(crate) struct Redial {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) addr: SocketAddr,
    pub(crate) timeout: Duration,
}

struct Core {
    context: Context,
    main: Arc<dyn Connection>,
    bulk: Mutex<Option<Arc<dyn Connection>>>,
    redial: Redial,
}

impl AnyLink {
    /// Types the link. This is the one place that does.
    pub(crate) fn classify(main: Arc<dyn Connection>, context: Context, redial: Redial) -> Self {
        let domestic = context.peer.is_domestic();
        add(&context.watch.metrics.connections_out, 1);
        let core = Core { context, main, bulk: Mutex::new(None), redial };
        if domestic {
            Self::Domestic(Link { core, side: PhantomData })
        } else {
            Self::Foreign(Link { core, side: PhantomData })
        }
    }

    fn core(&self) -> &Core {
        match self {
            Self::Domestic(link) => &link.core,
            Self::Foreign(link) => &link.core,
        }
    }

    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.core().context.peer
    }

    /// The link as a domestic one; none when the peer is foreign.
    #[must_use]
    pub fn domestic(&self) -> Option<&Link<Domestic>> {
        match self {
            Self::Domestic(link) => Some(link),
            Self::Foreign(_) => None,
        }
    }

    /// As [`Link::call`], whatever the side.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub async fn call<M: Exportable>(
        &self,
        lane: Lane,
        message: &M,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.core().call(lane, message.to_frame(), timeout).await
    }

    /// How the connection was lost; none while it stands.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.core().main.lost()
    }

    /// Waits until the connection is lost.
    pub async fn closed(&self) -> Lost {
        self.core().main.closed().await
    }

    pub(crate) async fn close(&self) {
        self.core().main.close();
        if let Some(bulk) = self.core().bulk.lock().await.take() {
            bulk.close();
        }
    }
}

impl<S> Link<S> {
    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.core.context.peer
    }

    /// Sends a message that may cross borders and waits for the answer, on a stream of its own.
    ///
    /// # Errors
    /// [`CallError`]; only `Uncertain` and `Answered` mean that the peer may have acted.
    pub async fn call<M: Exportable>(
        &self,
        lane: Lane,
        message: &M,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.core.call(lane, message.to_frame(), timeout).await
    }

    /// Opens a long-lived stream. A refusal by the peer is what the receiver then finds.
    ///
    /// # Errors
    /// [`CallError::Placement`] when the peer may have no part in the lane's group, or
    /// [`CallError::Net`] when the connection is lost.
    pub async fn open(&self, lane: Lane) -> Result<(FrameSender<S>, FrameReceiver), CallError> {
        self.core.admit(&lane)?;
        let duplex = self.core.begin(&*self.core.main, Purpose::Stream, lane).await?;
        Ok(self.core.halves(duplex))
    }

    /// Opens a stream on the link's second connection, so that bulk never holds up what else is sent.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn bulk(&self, lane: Lane) -> Result<(FrameSender<S>, FrameReceiver), CallError> {
        self.core.admit(&lane)?;
        let connection = self.core.bulk_connection().await?;
        let duplex = self.core.begin(&*connection, Purpose::Bulk, lane).await?;
        Ok(self.core.halves(duplex))
    }

    /// How the connection was lost; none while it stands.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.core.main.lost()
    }
}

impl Link<Domestic> {
    /// Sends pinned data that was cleared for this peer's domain, and waits for the answer.
    ///
    /// # Errors
    /// As [`Link::call`]; also [`CallError::Pin`] when it was cleared for another domain.
    pub async fn call_pinned<T: AsRef<[u8]>>(
        &self,
        lane: Lane,
        value: Cleared<'_, T>,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.core.context.admit_pinned(&value)?;
        let body = Bytes::copy_from_slice(value.value().as_ref());
        self.core.call(lane, body, timeout).await
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.context.watch.metrics.connections_out.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Core {
    fn admit(&self, lane: &Lane) -> Result<(), CallError> {
        self.context.peer.admit(lane).map_err(|refusal| {
            add(&self.context.watch.metrics.placements_refused, 1);
            refusal.into()
        })
    }

    fn unreachable(&self, lost: &Lost) -> CallError {
        CallError::unreachable(self.context.peer.name(), lost)
    }

    fn uncertain(&self, lost: &Lost) -> CallError {
        CallError::uncertain(self.context.peer.name(), lost)
    }

    async fn call(&self, lane: Lane, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let kind = lane.kind;
        let outcome = self.attempt(lane, body, timeout).await;
        let failure: Option<Kind> = outcome.as_ref().err().map(CallError::kind);
        self.context.watch.metrics.call(Direction::Out, kind, failure);
        outcome
    }

    async fn attempt(
        &self,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.admit(&lane)?;
        let (len, max) = (body.len(), self.context.frame_bytes_max);
        if len > max {
            return Err(CallError::TooLarge { len, max });
        }
        let deadline = Instant::now() + timeout;
        let head = Head { purpose: Purpose::Call, lane, timeout: Some(timeout) };
        let begun = timeout_at(deadline, self.send_head(&*self.main, &head)).await;
        let duplex = begun.unwrap_or(Err(Lost::TimedOut)).map_err(|l| self.unreachable(&l))?;
        let answered = timeout_at(deadline, self.exchange(duplex, body)).await;
        answered.unwrap_or_else(|_| Err(self.uncertain(&Lost::TimedOut)))
    }

    /// The head alone makes the peer do nothing, so a failure up to here is proof of no side effect.
    async fn send_head(&self, on: &dyn Connection, head: &Head) -> Result<Duplex, Lost> {
        let mut duplex = on.open().await?;
        duplex.sink.send(Frame { tag: Tag::Head, body: head.encode() }).await?;
        Ok(duplex)
    }

    async fn exchange(&self, mut duplex: Duplex, body: Bytes) -> Result<Bytes, CallError> {
        let len = body.len();
        match duplex.sink.send(Frame { tag: Tag::Data, body }).await {
            Ok(()) => self.context.watch.metrics.sent(len),
            // A peer that refuses stops reading and says why.
            Err(Lost::Stopped) => {}
            Err(lost) => return Err(self.uncertain(&lost)),
        }
        duplex.sink.finish();
        let received = duplex.source.recv(self.context.frame_bytes_max).await;
        let frame = received.map_err(|lost| self.uncertain(&lost))?;
        let frame = frame.ok_or_else(|| self.uncertain(&Lost::Cut))?;
        self.context.watch.heard(frame.body.len());
        match frame.tag {
            Tag::Data => Ok(frame.body),
            Tag::Failure => Err(CallError::Answered {
                peer: self.context.peer.name().clone(),
                failure: wire::decode_failure(frame.body),
            }),
            Tag::Head => Err(self.uncertain(&Lost::Protocol("a head for an answer"))),
        }
    }

    async fn begin(
        &self,
        on: &dyn Connection,
        purpose: Purpose,
        lane: Lane,
    ) -> Result<Duplex, CallError> {
        let head = Head { purpose, lane, timeout: None };
        self.send_head(on, &head).await.map_err(|lost| self.unreachable(&lost))
    }

    fn halves<S>(&self, duplex: Duplex) -> (FrameSender<S>, FrameReceiver) {
        let sender = FrameSender::new(duplex.sink, self.context.clone());
        (sender, FrameReceiver::new(duplex.source, self.context.clone()))
    }

    async fn bulk_connection(&self) -> Result<Arc<dyn Connection>, CallError> {
        let mut bulk = self.bulk.lock().await;
        if let Some(standing) = bulk.as_ref().filter(|c| c.lost().is_none()) {
            return Ok(standing.clone());
        }
        let expect = Expect::Exactly(self.context.peer.identity().clone());
        let dialled = self.redial.dial(expect).await.map_err(|lost| self.unreachable(&lost))?;
        *bulk = Some(dialled.clone());
        Ok(dialled)
    }
}

impl Redial {
    /// Connects, and waits until the peer has said that it accepts this side: in TLS 1.3 the dialler
    /// sees success before the other side has judged its certificate.
    pub(crate) async fn dial(&self, expect: Expect) -> Result<Arc<dyn Connection>, Lost> {
        let deadline = Instant::now() + self.timeout;
        let dialled = timeout_at(deadline, async {
            let connection = self.transport.dial(self.addr, expect).await?;
            greet(&*connection).await?;
            Ok(connection)
        });
        dialled.await.unwrap_or(Err(Lost::TimedOut))
    }
}

async fn greet(connection: &dyn Connection) -> Result<(), Lost> {
    let lane = Lane::plain(crate::lane::LaneKind::Hello);
    let head = Head { purpose: Purpose::Greeting, lane, timeout: None };
    let mut duplex = connection.open().await?;
    duplex.sink.send(Frame { tag: Tag::Head, body: head.encode() }).await?;
    duplex.sink.finish();
    match duplex.source.recv(wire::HEAD_BYTES_MAX).await? {
        Some(Frame { tag: Tag::Data, .. }) => Ok(()),
        Some(Frame { tag: Tag::Failure, body }) => {
            Err(Lost::Refused(wire::decode_failure(body).message))
        }
        Some(_) => Err(Lost::Protocol("a head for a greeting")),
        None => Err(Lost::Cut),
    }
}
