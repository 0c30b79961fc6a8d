//! One connection of the simulated network, and the streams on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::dice::Dice;
use crate::identity::Identity;
use crate::memory::World;
use crate::transport::{Connection, Duplex, Frame, FrameSink, FrameSource, Lost};
use crate::weather::Fate;

/// Frames under way on one stream; more push back on the sender.
const WINDOW_FRAMES: usize = 16;
/// Streams that a peer has opened and this side has not yet accepted.
const BACKLOG_STREAMS: usize = 1024;

/// The side of a connection that dialled, or the one that was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Dialled,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Dialled,
            Self::Dialled => Self::Dialler,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Life {
    /// Who ended it, and how.
    ended: Option<(Side, Lost)>,
    /// When one side fell silent for good, and which.
    silent: Option<(Side, Instant)>,
}

/// What both ends share.
pub(crate) struct Wire {
    world: Arc<World>,
    dialler: Identity,
    dialled: Identity,
    number: u64,
    streams: AtomicU64,
    life: watch::Sender<Life>,
}

impl Wire {
    pub(crate) fn new(
        world: Arc<World>,
        dialler: Identity,
        dialled: Identity,
        number: u64,
    ) -> Arc<Self> {
        let (streams, life) = (AtomicU64::new(0), watch::Sender::default());
        Arc::new(Self { world, dialler, dialled, number, streams, life })
    }

    fn identity(&self, side: Side) -> &Identity {
        match side {
            Side::Dialler => &self.dialler,
            Side::Dialled => &self.dialled,
        }
    }

    /// Both ends of the connection.
    pub(crate) fn ends(self: Arc<Self>) -> (Arc<End>, Arc<End>) {
        let (to_dialled, at_dialled) = mpsc::channel(BACKLOG_STREAMS);
        let (to_dialler, at_dialler) = mpsc::channel(BACKLOG_STREAMS);
        let dialler = Arc::new(Grip { wire: self.clone(), side: Side::Dialler });
        let dialled = Arc::new(Grip { wire: self, side: Side::Dialled });
        let (near, far) = (Arc::downgrade(&dialler), Arc::downgrade(&dialled));
        let end = |grip, there, peer, backlog| {
            Arc::new(End { grip, there, peer, backlog: Mutex::new(backlog) })
        };
        (end(dialler, far, to_dialled, at_dialler), end(dialled, near, to_dialler, at_dialled))
    }

    /// Ends the connection; the first end stands, and a side that fell silent ends nothing.
    fn end(&self, by: Side, lost: Lost) {
        self.life.send_if_modified(|life| {
            let silent = life.silent.as_ref().is_some_and(|(side, _)| *side == by);
            let first = life.ended.is_none() && !silent;
            if first {
                life.ended = Some((by, lost));
            }
            first
        });
    }

    /// One side is gone without a word.
    fn fall_silent(&self, side: Side) {
        self.life.send_modify(|life| {
            life.silent.get_or_insert((side, Instant::now()));
        });
    }

    fn lost(&self, seen_by: Side) -> Option<Lost> {
        let life = self.life.borrow().clone();
        match life.ended {
            Some((by, Lost::Closed)) if by == seen_by => return Some(Lost::ClosedHere),
            Some((_, lost)) => return Some(lost),
            None => {}
        }
        if life.silent.as_ref().is_some_and(|(side, _)| *side == seen_by) {
            return Some(Lost::ClosedHere);
        }
        let over = self.deadline(&life).is_some_and(|deadline| deadline <= Instant::now());
        over.then_some(Lost::TimedOut).inspect(|lost| self.end(seen_by, lost.clone()))
    }

    /// When the connection counts as gone, unless the network heals before.
    fn deadline(&self, life: &Life) -> Option<Instant> {
        let cuts = self.world.cuts.borrow();
        let deaf = cuts.deaf_since(&self.dialler.name, &self.dialled.name);
        let silent = life.silent.as_ref().map(|(_, since)| *since);
        deaf.into_iter().chain(silent).min().map(|since| since + self.world.idle)
    }

    /// Waits until the connection is lost, as `side` sees it.
    async fn dead(&self, side: Side) -> Lost {
        let (mut life, mut cuts) = (self.life.subscribe(), self.world.cuts.subscribe());
        loop {
            life.mark_unchanged();
            cuts.mark_unchanged();
            if let Some(lost) = self.lost(side) {
                return lost;
            }
            let deadline = self.deadline(&self.life.borrow());
            tokio::select! {
                biased;
                _ = life.changed() => {}
                _ = cuts.changed() => {}
                () = maybe_sleep(deadline) => {}
            }
        }
    }

    /// Waits until a parcel that is due then may arrive.
    async fn path(&self, from: Side, due: Instant) {
        let (from, to) = (&self.identity(from).name, &self.identity(from.other()).name);
        sleep_until(due).await;
        self.world.open_way(from, to).await;
    }

    fn dice(&self, stream: u64, from: Side) -> Dice {
        let way = match from {
            Side::Dialler => 0,
            Side::Dialled => 1,
        };
        let names = [&self.dialler, &self.dialled].map(|who| hash(who.name.as_str()));
        Dice::of(self.world.seed, &[names[0], names[1], self.number, stream, way])
    }
}

async fn maybe_sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// FNV-1a: a number of a name that is the same in every run.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What an end and its streams hold: when the last of them is let go, the connection closes.
pub(crate) struct Grip {
    wire: Arc<Wire>,
    side: Side,
}

impl Grip {
    /// Who is at this end.
    pub(crate) fn identity(&self) -> &Identity {
        self.wire.identity(self.side)
    }

    pub(crate) fn end(&self, lost: Lost) {
        self.wire.end(self.side, lost);
    }

    /// This side is gone without a word.
    pub(crate) fn fall_silent(&self) {
        self.wire.fall_silent(self.side);
    }

    async fn dead(&self) -> Lost {
        self.wire.dead(self.side).await
    }

    /// Shows the world's tap what this side sends.
    fn tapped(&self, bytes: &[u8]) {
        if let Some(tap) = self.wire.world.tap.get() {
            tap(self.identity(), self.wire.identity(self.side.other()), bytes);
        }
    }
}

impl Drop for Grip {
    fn drop(&mut self) {
        self.end(Lost::Closed);
    }
}

/// One end of a connection.
pub(crate) struct End {
    grip: Arc<Grip>,
    there: Weak<Grip>,
    /// Streams opened here arrive there.
    peer: mpsc::Sender<Duplex>,
    backlog: Mutex<mpsc::Receiver<Duplex>>,
}

impl End {
    pub(crate) fn grip(&self) -> &Arc<Grip> {
        &self.grip
    }
}

impl Connection for End {
    fn peer(&self) -> &Identity {
        self.grip.wire.identity(self.grip.side.other())
    }

    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async move {
            let slot = tokio::select! {
                biased;
                lost = self.grip.dead() => return Err(lost),
                slot = self.peer.reserve() => slot.map_err(|_| Lost::Closed)?,
            };
            let there = Weak::upgrade(&self.there).ok_or(Lost::Closed)?;
            let number = self.grip.wire.streams.fetch_add(1, Ordering::Relaxed);
            let (sink, at_peer) = way(&self.grip, &there, number);
            let (back, source) = way(&there, &self.grip, number);
            slot.send(Duplex { sink: Box::new(back), source: Box::new(at_peer) });
            Ok(Duplex { sink: Box::new(sink), source: Box::new(source) })
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async move {
            let mut backlog = self.backlog.lock().await;
            tokio::select! {
                biased;
                lost = self.grip.dead() => Err(lost),
                stream = backlog.recv() => stream.ok_or(Lost::Closed),
            }
        })
    }

    fn lost(&self) -> Option<Lost> {
        self.grip.wire.lost(self.grip.side)
    }

    fn closed(&self) -> BoxFuture<'_, Lost> {
        Box::pin(self.grip.dead())
    }

    fn close(&self) {
        self.grip.end(Lost::Closed);
    }
}

enum Cargo {
    Frame(Frame, OwnedSemaphorePermit),
    End,
    Cut,
}

struct Parcel {
    due: Instant,
    cargo: Cargo,
}

/// One way of a stream.
fn way(from: &Arc<Grip>, to: &Arc<Grip>, stream: u64) -> (MemorySink, MemorySource) {
    let (out, parcels) = mpsc::unbounded_channel();
    let sink = MemorySink {
        grip: from.clone(),
        dice: from.wire.dice(stream, from.side),
        window: Arc::new(Semaphore::new(WINDOW_FRAMES)),
        last_due: Instant::now(),
        out: Some(out),
    };
    (sink, MemorySource { grip: to.clone(), parcels, next: None })
}

struct MemorySink {
    grip: Arc<Grip>,
    dice: Dice,
    window: Arc<Semaphore>,
    last_due: Instant,
    /// None once the stream has been ended or cut.
    out: Option<mpsc::UnboundedSender<Parcel>>,
}

impl MemorySink {
    async fn put(&mut self, frame: Frame) -> Result<(), Lost> {
        let out = self.out.as_ref().ok_or(Lost::Cut)?;
        let permit = tokio::select! {
            biased;
            lost = self.grip.dead() => return Err(lost),
            () = out.closed() => return Err(Lost::Stopped),
            permit = self.window.clone().acquire_owned() => permit.map_err(|_| Lost::Cut)?,
        };
        self.grip.tapped(&frame.body);
        let weather = *self.grip.wire.world.weather.borrow();
        match weather.fate(&mut self.dice) {
            Fate::Arrives(delay) => {
                // A stream keeps its order: a late frame holds up those behind it.
                self.last_due = self.last_due.max(Instant::now() + delay);
                let cargo = Cargo::Frame(frame, permit);
                out.send(Parcel { due: self.last_due, cargo }).map_err(|_| Lost::Stopped)
            }
            Fate::Breaks => {
                let lost = Lost::Io("the weather broke the connection".to_owned());
                self.grip.end(lost.clone());
                Err(lost)
            }
        }
    }

    fn last(&mut self, cargo: Cargo) {
        if let Some(out) = self.out.take() {
            // A peer that has stopped reading does not need it.
            let _ = out.send(Parcel { due: self.last_due, cargo });
        }
    }
}

impl FrameSink for MemorySink {
    fn send(&mut self, frame: Frame) -> BoxFuture<'_, Result<(), Lost>> {
        Box::pin(self.put(frame))
    }

    fn finish(&mut self) {
        self.last(Cargo::End);
    }

    fn delivered(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let all = u32::try_from(WINDOW_FRAMES).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                _ = self.window.acquire_many(all) => {}
                _ = self.grip.dead() => {}
            }
        })
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        self.last(Cargo::Cut);
    }
}

struct MemorySource {
    grip: Arc<Grip>,
    parcels: mpsc::UnboundedReceiver<Parcel>,
    /// Taken from the channel but not yet due, kept across calls that are dropped.
    next: Option<Parcel>,
}

impl MemorySource {
    async fn arrive(&mut self) -> Result<Cargo, Lost> {
        if self.next.is_none() {
            self.next = tokio::select! {
                biased;
                lost = self.grip.dead() => return Err(lost),
                parcel = self.parcels.recv() => parcel,
            };
        }
        let Some(due) = self.next.as_ref().map(|parcel| parcel.due) else {
            return Ok(Cargo::Cut);
        };
        tokio::select! {
            biased;
            lost = self.grip.dead() => return Err(lost),
            () = self.grip.wire.path(self.grip.side.other(), due) => {}
        }
        Ok(self.next.take().map_or(Cargo::Cut, |parcel| parcel.cargo))
    }
}

impl FrameSource for MemorySource {
    fn recv(&mut self, max: usize) -> BoxFuture<'_, Result<Option<Frame>, Lost>> {
        Box::pin(async move {
            match self.arrive().await? {
                Cargo::Frame(frame, _) if frame.body.len() > max => {
                    Err(Lost::TooLarge { len: frame.body.len(), max })
                }
                Cargo::Frame(frame, permit) => {
                    drop(permit);
                    Ok(Some(frame))
                }
                Cargo::End => {
                    self.parcels.close();
                    self.next = Some(Parcel { due: Instant::now(), cargo: Cargo::End });
                    Ok(None)
                }
                Cargo::Cut => Err(Lost::Cut),
            }
        })
    }
}
