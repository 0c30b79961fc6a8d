//! The seam between links and what carries them: [`crate::quic`] in earnest, [`crate::memory`] in
//! simulations. Both speak in frames, keep their order within a stream, and push back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::identity::{Expect, Identity};

/// How a connection or stream was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The peer closed the connection in order.
    #[error("the peer closed the connection")]
    Closed,
    /// This side closed the connection.
    #[error("the connection was closed here")]
    ClosedHere,
    /// Nothing was heard of the peer for too long.
    #[error("nothing heard within the time allowed")]
    TimedOut,
    /// The peer gave up a stream before its end.
    #[error("the stream was cut before its end")]
    Cut,
    /// The peer no longer reads a stream.
    #[error("the peer stopped reading")]
    Stopped,
    /// One of the sides did not accept the other's identity.
    #[error("the handshake was refused: {0}")]
    Refused(String),
    /// A frame was announced that is longer than allowed.
    #[error("a frame of {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes announced.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The peer does not keep to the protocol.
    #[error("not a frame: {0}")]
    Protocol(&'static str),
    /// The operating system or the library refused.
    #[error("{0}")]
    Io(String),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// What the stream is about; always the first frame of the side that opened it.
    Head,
    /// A message.
    Data,
    /// The sender ends the stream with a failure.
    Failure,
}

/// One message on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub tag: Tag,
    /// Its bytes.
    pub body: Bytes,
}

/// The half of a stream that frames go into. Dropped before `finish`, it cuts the stream, so that a
/// torn transfer is never taken for a whole one.
pub trait FrameSink: Send {
    /// Sends a frame, waiting while the peer is slow. A send that is dropped half way cuts the stream.
    fn send(&mut self, frame: Frame) -> BoxFuture<'_, Result<(), Lost>>;

    /// Ends the stream in order.
    fn finish(&mut self);

    /// Waits until the peer has taken everything, or the stream is lost: a connection closed before
    /// would take unread frames with it.
    fn delivered(&mut self) -> BoxFuture<'_, ()>;
}

/// The half of a stream that frames come out of. Dropped, it tells the peer to stop.
pub trait FrameSource: Send {
    /// The next frame, of at most `max` bytes; none at the stream's end. May be dropped and called
    /// again without loss.
    fn recv(&mut self, max: usize) -> BoxFuture<'_, Result<Option<Frame>, Lost>>;
}

/// Both halves of a stream.
pub struct Duplex {
    /// Frames to the peer.
    pub sink: Box<dyn FrameSink>,
    /// Frames from the peer.
    pub source: Box<dyn FrameSource>,
}

/// A connection to a peer whose certificate has been verified.
pub trait Connection: Send + Sync + 'static {
    /// Who the peer is.
    fn peer(&self) -> &Identity;

    /// Opens a stream, waiting while there are too many. Nothing is sent before the first frame.
    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>>;

    /// The next stream that the peer opens.
    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>>;

    /// How the connection was lost; none while it stands.
    fn lost(&self) -> Option<Lost>;

    /// Waits until the connection is lost.
    fn closed(&self) -> BoxFuture<'_, Lost>;

    /// Closes the connection.
    fn close(&self);
}

/// A peer that has knocked. Its handshake may take time, so it is done off the accept loop.
pub trait Arriving: Send {
    /// Does the handshake.
    fn admit(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>>;

    /// Sends the peer away before any work is done for it.
    fn refuse(self: Box<Self>);
}

/// Dials and accepts connections. Both sides show certificates.
pub trait Transport: Send + Sync + 'static {
    /// Connects to `addr`, where `expect` should be.
    fn dial(
        &self,
        addr: SocketAddr,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>>;

    /// The next peer that knocks; none once the transport is closed.
    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Arriving>>>;

    /// Where this side listens.
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> std::io::Result<SocketAddr>;

    /// Closes every connection and waits, at most for `grace`, until the peers have been told.
    fn close(&self, grace: Duration) -> BoxFuture<'_, ()>;
}
