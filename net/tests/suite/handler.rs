//! The handler of the stories: what it does depends on the lane.

use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_core::ids::DomainId;
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Pinned;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Handler, Identity, Lane, LaneKind, Peer};
use bailiwick_proto::failure::Failure;
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::world::frame;

pub const ECHO: LaneKind = LaneKind::Propose;
pub const PINNED: LaneKind = LaneKind::Custom(1);
pub const FAIL: LaneKind = LaneKind::Custom(2);
pub const GATED: LaneKind = LaneKind::Custom(3);

pub struct Echo {
    domain: DomainId,
    pub seen: AtomicUsize,
    /// Calls and streams on the `GATED` lane wait for a permit.
    pub gate: Semaphore,
    pub arrived: Semaphore,
}

pub fn failure() -> Failure {
    Failure::invalid("field", "not like this").retry_after(std::time::Duration::from_millis(5))
}

impl Echo {
    pub fn new(own: &Identity) -> Self {
        let (gate, arrived) = (Semaphore::new(0), Semaphore::new(0));
        Self { domain: own.domain.clone(), seen: AtomicUsize::new(0), gate, arrived }
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    async fn note(&self, lane: &Lane) {
        self.seen.fetch_add(1, Ordering::SeqCst);
        self.arrived.add_permits(1);
        if lane.kind == GATED {
            self.gate.acquire().await.unwrap().forget();
        }
    }

    async fn echo(&self, lane: Lane, mut tx: AnySender, mut rx: FrameReceiver) {
        self.note(&lane).await;
        if lane.kind == FAIL {
            tx.fail(&failure()).await.unwrap();
            return;
        }
        loop {
            match rx.recv().await {
                Ok(Some(body)) if lane.kind == PINNED => {
                    let value = Pinned::new(self.domain.clone(), body);
                    if tx.send_pinned(&value).await.is_err() {
                        let refused = Failure::new(Kind::Refused, "pinned");
                        return drop(tx.fail(&refused).await);
                    }
                }
                Ok(Some(body)) => {
                    if tx.send(&frame(body)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return tx.finish(),
                Err(_) => return,
            }
        }
    }
}

impl Handler for Echo {
    fn call<'a>(
        &'a self,
        _from: &'a Peer,
        lane: Lane,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            self.note(&lane).await;
            match lane.kind {
                PINNED => Ok(Answer::Pinned(Pinned::new(self.domain.clone(), body))),
                FAIL => Err(failure()),
                _ => Ok(Answer::wide(&frame(body))),
            }
        })
    }

    fn stream<'a>(
        &'a self,
        _from: &'a Peer,
        lane: Lane,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.echo(lane, tx, rx))
    }

    fn bulk<'a>(
        &'a self,
        _from: &'a Peer,
        lane: Lane,
        tx: AnySender,
        rx: FrameReceiver,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.echo(lane, tx, rx))
    }
}
