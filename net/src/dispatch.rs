//! Serves what peers open: looks at the head, refuses what placement or load forbid before a byte of
//! payload is read, and hands the rest to the handler.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::handler::{Answer, Handler};
use crate::lane::Lane;
use crate::metrics::{Direction, add};
use crate::stream::{AnySender, Context, FrameReceiver};
use crate::supervisor::Supervisor;
use crate::transport::{Connection, Duplex, Frame, FrameSink, FrameSource, Lost, Tag};
use crate::wire::{self, Head, Purpose};

/// A stream whose head does not come within this time is cut.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// A call is given up after this time, whatever its caller says.
const CALL_WAIT_MAX: Duration = Duration::from_secs(60);
/// An answer that has not arrived by then counts as lost.
const DELIVERY_WAIT: Duration = Duration::from_secs(1);
/// When to come back to a node that shed a call.
const SHED_RETRY: Duration = Duration::from_millis(50);

/// Serves the connections of one mesh.
pub(crate) struct Dispatcher {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) tasks: Supervisor,
    pub(crate) calls: Arc<Semaphore>,
    /// Cancelled when no new work is taken; what has begun may still end.
    pub(crate) draining: CancellationToken,
}

impl Dispatcher {
    /// Serves a connection until it is lost.
    pub(crate) async fn serve(self: Arc<Self>, connection: Arc<dyn Connection>, context: Context) {
        while let Ok(duplex) = connection.accept().await {
            let (this, context) = (self.clone(), context.clone());
            self.tasks.spawn_droppable("stream", async move { this.stream(duplex, context).await });
        }
    }

    async fn stream(&self, mut duplex: Duplex, context: Context) {
        match self.head(&mut *duplex.source, &context).await {
            Ok(head) => self.dispatch(head, duplex, context).await,
            Err(Some(failure)) => refuse(duplex.sink, &failure).await,
            Err(None) => {}
        }
    }

    /// Reads the head and judges it; the error is what to answer, if anything.
    async fn head(
        &self,
        source: &mut dyn FrameSource,
        context: &Context,
    ) -> Result<Head, Option<Failure>> {
        let first = tokio::time::timeout(HEAD_WAIT, source.recv(wire::HEAD_BYTES_MAX)).await;
        let Ok(Ok(Some(Frame { tag: Tag::Head, body }))) = first else { return Err(None) };
        context.watch.heard(body.len());
        let head = Head::decode(body)
            .map_err(|error| Some(Failure::new(Kind::Invalid, error.to_string())))?;
        let refused = self.judge(&head, context).err();
        match refused {
            None => Ok(head),
            Some(failure) => {
                context.watch.metrics.call(Direction::In, head.lane.kind, Some(failure.kind));
                Err(Some(failure))
            }
        }
    }

    fn judge(&self, head: &Head, context: &Context) -> Result<(), Failure> {
        if self.draining.is_cancelled() {
            return Err(Failure::new(Kind::Unavailable, "this node is stopping"));
        }
        context.peer.admit(&head.lane).map_err(|refusal| {
            add(&context.watch.metrics.placements_refused, 1);
            tracing::warn!(%refusal, "a peer reached for a group it has no part in");
            Failure::new(Kind::Refused, refusal.to_string())
        })
    }

    async fn dispatch(&self, head: Head, duplex: Duplex, context: Context) {
        let Duplex { sink, source } = duplex;
        match head.purpose {
            Purpose::Greeting => welcome(sink).await,
            Purpose::Call => self.call(head, sink, source, &context).await,
            Purpose::Stream | Purpose::Bulk => {
                let peer = context.peer.clone();
                let tx = AnySender::new(sink, context.clone());
                let rx = FrameReceiver::new(source, context);
                if head.purpose == Purpose::Stream {
                    self.handler.stream(&peer, head.lane, tx, rx).await;
                } else {
                    self.handler.bulk(&peer, head.lane, tx, rx).await;
                }
            }
        }
    }

    async fn call(
        &self,
        head: Head,
        mut sink: Box<dyn FrameSink>,
        source: Box<dyn FrameSource>,
        context: &Context,
    ) {
        let kind = head.lane.kind;
        // Kept until the answer has arrived, so that a shutdown waits for it.
        let permit = self.calls.try_acquire().ok();
        let outcome = match &permit {
            Some(_) => self.answer(head, source, context).await,
            None => {
                add(&context.watch.metrics.shed, 1);
                let shed = Failure::new(Kind::Overloaded, "too many calls at once");
                Err(shed.retry_after(SHED_RETRY))
            }
        };
        let failed = outcome.as_ref().err().map(|failure| failure.kind);
        context.watch.metrics.call(Direction::In, kind, failed);
        let (tag, body) = match outcome {
            Ok(body) => (Tag::Data, body),
            Err(failure) => (Tag::Failure, wire::encode_failure(&failure)),
        };
        let len = body.len();
        if sink.send(Frame { tag, body }).await.is_ok() {
            context.watch.metrics.sent(len);
            sink.finish();
            let _ = tokio::time::timeout(DELIVERY_WAIT, sink.delivered()).await;
        }
    }

    async fn answer(
        &self,
        head: Head,
        mut source: Box<dyn FrameSource>,
        context: &Context,
    ) -> Result<Bytes, Failure> {
        let wait = head.timeout.unwrap_or(CALL_WAIT_MAX).min(CALL_WAIT_MAX);
        let work = async {
            let body = body_of(&mut *source, context).await?;
            let answer = self.handler.call(&context.peer, head.lane.clone(), body).await?;
            cleared(answer, &head.lane, context)
        };
        let late = || Failure::new(Kind::Uncertain, "not done within the caller's time");
        tokio::time::timeout(wait, work).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn body_of(source: &mut dyn FrameSource, context: &Context) -> Result<Bytes, Failure> {
    match source.recv(context.frame_bytes_max).await {
        Ok(Some(Frame { tag: Tag::Data, body })) => {
            context.watch.heard(body.len());
            Ok(body)
        }
        Ok(_) => Err(Failure::new(Kind::Invalid, "a call without a message")),
        Err(lost @ Lost::TooLarge { .. }) => Err(Failure::new(Kind::Invalid, lost.to_string())),
        Err(lost) => Err(Failure::new(Kind::Unavailable, lost.to_string())),
    }
}

/// An answer's bytes, if they may go to the peer: the handler does not have to know where it stands.
fn cleared(answer: Answer, lane: &Lane, context: &Context) -> Result<Bytes, Failure> {
    let bytes = match answer {
        Answer::Wide(exported) => exported.into_bytes(),
        Answer::Pinned(pinned) => match context.clear(&pinned) {
            Ok(cleared) => cleared.value().clone(),
            Err(refusal) => {
                tracing::warn!(%refusal, %lane, "a pinned answer was refused to a peer");
                return Err(Failure::new(Kind::Refused, refusal.to_string()));
            }
        },
    };
    if bytes.len() > context.frame_bytes_max {
        return Err(Failure::new(Kind::Broken, "the answer is longer than a frame may be"));
    }
    Ok(bytes)
}

async fn welcome(mut sink: Box<dyn FrameSink>) {
    let body = Bytes::copy_from_slice(&wire::FORMAT.to_be_bytes());
    if sink.send(Frame { tag: Tag::Data, body }).await.is_ok() {
        sink.finish();
    }
}

async fn refuse(mut sink: Box<dyn FrameSink>, failure: &Failure) {
    let body = wire::encode_failure(failure);
    if sink.send(Frame { tag: Tag::Failure, body }).await.is_ok() {
        sink.finish();
    }
}
