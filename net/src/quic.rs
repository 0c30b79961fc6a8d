//! Links over QUIC. The only file that names quinn: no datagrams, no one-way streams, no 0-RTT.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;

use crate::identity::{Expect, Identity, Role};
use crate::tls::{ALPN_PEER, Judge, SERVER_NAME, TlsError};
use crate::transport::{
    Arriving, Connection, Duplex, Frame, FrameSink, FrameSource, Lost, Tag, Transport,
};
use crate::trust::Credentials;

/// Length, big-endian, and tag.
const HEADER_BYTES: usize = 5;
/// Room that is made for a frame when its length is known, at most.
const AHEAD_BYTES: usize = 1 << 20;
/// Bytes of a datagram that are tried, from 1,200 upwards: most networks bear 1,452, and inside a data centre or a machine
/// a packet of several times that costs as much as a small one.
const DATAGRAM_BYTES_MAX: u16 = 6500;
/// quinn hands the system ten datagrams at one time, which then must fit one of the greatest: the system refuses more, and
/// quinn takes that for a loss on the way.
const _: () = assert!(10 * DATAGRAM_BYTES_MAX as usize <= 65_507);
/// Bytes read from a stream at one time.
const CHUNK_BYTES: usize = 256 << 10;
const CLOSED: quinn::VarInt = quinn::VarInt::from_u32(0);
const CUT: quinn::VarInt = quinn::VarInt::from_u32(1);

/// Bounds of the QUIC transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicConfig {
    /// A peer that is silent for this long is gone. A third of it passes between signs of life.
    pub idle_timeout: Duration,
    /// Of the socket, each way; with the system's default, loaded links lose packets.
    pub udp_buffer_bytes: usize,
    /// Streams that a peer may have open.
    pub streams_max: u32,
    /// Bytes under way on one stream.
    pub stream_window_bytes: u32,
    /// Bytes under way on one connection.
    pub connection_window_bytes: u32,
    /// From this many connections on, a newcomer must first prove its address.
    pub unproved_connections_max: usize,
    /// Who may dial this process.
    pub accepts: Expect,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(3),
            udp_buffer_bytes: 4 << 20,
            streams_max: 1024,
            stream_window_bytes: 2 << 20,
            connection_window_bytes: 16 << 20,
            unproved_connections_max: 256,
            accepts: Expect::Role(Role::Node),
        }
    }
}

/// The transport could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// The operating system refused the socket.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Its answer.
        source: io::Error,
    },
    /// The credentials can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The configuration can't be used.
    #[error("cannot set QUIC up: {0}")]
    Config(String),
}

impl QuicError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Bind { .. } => Kind::Unavailable,
            Self::Tls(error) => error.kind(),
            Self::Config(_) => Kind::Invalid,
        }
    }
}

/// QUIC on one UDP port, for dialling and for being dialled.
pub struct QuicTransport {
    endpoint: quinn::Endpoint,
    judge: Arc<Judge>,
    own: Arc<Credentials>,
    transport: Arc<quinn::TransportConfig>,
    unproved_max: usize,
}

impl QuicTransport {
    /// Listens on `addr`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`QuicError`] when the port is taken or the credentials can't be used.
    pub fn bind(
        addr: SocketAddr,
        judge: Arc<Judge>,
        own: Arc<Credentials>,
        config: &QuicConfig,
    ) -> Result<Self, QuicError> {
        let refused = |error: String| QuicError::Config(error);
        let transport = Arc::new(transport_config(config)?);
        let tls = judge.server_config(&own, config.accepts.clone(), ALPN_PEER)?;
        let crypto = QuicServerConfig::try_from(tls).map_err(|error| refused(error.to_string()))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(transport.clone());
        let socket = udp_socket(addr, config.udp_buffer_bytes)
            .map_err(|source| QuicError::Bind { addr, source })?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = quinn::Endpoint::new(endpoint_config(&own)?, Some(server), socket, runtime)
            .map_err(|source| QuicError::Bind { addr, source })?;
        let unproved_max = config.unproved_connections_max;
        Ok(Self { endpoint, judge, own, transport, unproved_max })
    }

    fn client_config(&self, expect: Expect) -> Result<quinn::ClientConfig, Lost> {
        let io = |error: String| Lost::Io(error);
        let tls = self.judge.client_config(&self.own, expect, ALPN_PEER);
        let tls = tls.map_err(|error| io(error.to_string()))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| io(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.transport.clone());
        Ok(config)
    }
}

fn transport_config(config: &QuicConfig) -> Result<quinn::TransportConfig, QuicError> {
    let idle = quinn::IdleTimeout::try_from(config.idle_timeout)
        .map_err(|error| QuicError::Config(error.to_string()))?;
    let mut mtu = quinn::MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM_BYTES_MAX);
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .mtu_discovery_config(Some(mtu))
        .keep_alive_interval(Some(config.idle_timeout / 3))
        .max_concurrent_bidi_streams(config.streams_max.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(config.stream_window_bytes.into())
        .receive_window(config.connection_window_bytes.into())
        .send_window(config.connection_window_bytes.into())
        .datagram_receive_buffer_size(None);
    Ok(transport)
}

/// A process that returns at its old address tells its peers at once that their connections are gone,
/// since the key for saying so outlives the process.
fn endpoint_config(own: &Credentials) -> Result<quinn::EndpointConfig, QuicError> {
    let key = own.private_key().map_err(QuicError::Config)?;
    let derived = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, key.secret_der()),
        b"bailiwick stateless reset",
    );
    let reset = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
    let mut config = quinn::EndpointConfig::new(Arc::new(reset));
    let bytes = config.max_udp_payload_size(DATAGRAM_BYTES_MAX).map(drop);
    bytes.map_err(|error| QuicError::Config(error.to_string()))?;
    config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
    Ok(config)
}

/// Connection ids that any process can't tell from its own: quinn's default recognises only those of
/// the same run, and is silent to all others.
struct RandomIds(SystemRandom);

impl quinn::ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> quinn::ConnectionId {
        let mut id = [0; 8];
        if self.0.fill(&mut id).is_err() {
            tracing::error!("the system has no randomness");
        }
        quinn::ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn udp_socket(addr: SocketAddr, buffer: usize) -> io::Result<std::net::UdpSocket> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.set_recv_buffer_size(buffer)?;
    socket.set_send_buffer_size(buffer)?;
    let given = socket.recv_buffer_size()?.min(socket.send_buffer_size()?);
    if given < buffer {
        // Linux caps it without an error.
        tracing::warn!(
            given,
            wanted = buffer,
            "small UDP buffers; raise net.core.rmem_max and wmem_max"
        );
    }
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

impl Transport for QuicTransport {
    fn dial(
        &self,
        addr: SocketAddr,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>> {
        let connecting = self.client_config(expect).and_then(|config| {
            let connecting = self.endpoint.connect_with(config, addr, SERVER_NAME);
            connecting.map_err(|error| Lost::Io(error.to_string()))
        });
        Box::pin(async move { established(connecting?.await) })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Arriving>>> {
        Box::pin(async move {
            loop {
                let incoming = self.endpoint.accept().await?;
                let crowded = self.endpoint.open_connections() >= self.unproved_max;
                if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
                    // It may be a forged address; one that answers comes back with proof.
                    let _ = incoming.retry();
                    continue;
                }
                return Some(Box::new(QuicArriving(incoming)) as Box<dyn Arriving>);
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    fn close(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.endpoint.close(CLOSED, b"stopping");
            // Peers that don't answer in time find out by their idle timeout.
            let _told = tokio::time::timeout(grace, self.endpoint.wait_idle()).await;
        })
    }
}

struct QuicArriving(quinn::Incoming);

impl Arriving for QuicArriving {
    fn admit(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Connection>, Lost>> {
        Box::pin(async move {
            let connecting = self.0.accept().map_err(|error| connection_lost(&error))?;
            established(connecting.await)
        })
    }

    fn refuse(self: Box<Self>) {
        self.0.refuse();
    }
}

struct QuicConnection {
    connection: quinn::Connection,
    peer: Identity,
}

/// Reads who the peer is. The handshake has verified the certificate.
fn established(
    connected: Result<quinn::Connection, quinn::ConnectionError>,
) -> Result<Arc<dyn Connection>, Lost> {
    let connection = connected.map_err(|error| connection_lost(&error))?;
    let chain = connection.peer_identity();
    let chain = chain.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| Lost::Refused("no certificate".to_owned()))?;
    let peer = Identity::from_certificate(certificate)
        .map_err(|error| Lost::Refused(error.to_string()))?;
    Ok(Arc::new(QuicConnection { connection, peer }))
}

fn duplex((sink, source): (quinn::SendStream, quinn::RecvStream)) -> Duplex {
    Duplex {
        sink: Box::new(QuicSink { stream: sink, state: SinkState::Whole }),
        source: Box::new(QuicSource { stream: source, buffer: BytesMut::new() }),
    }
}

impl Connection for QuicConnection {
    fn peer(&self) -> &Identity {
        &self.peer
    }

    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async move {
            self.connection.open_bi().await.map(duplex).map_err(|e| connection_lost(&e))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async move {
            self.connection.accept_bi().await.map(duplex).map_err(|e| connection_lost(&e))
        })
    }

    fn lost(&self) -> Option<Lost> {
        self.connection.close_reason().map(|error| connection_lost(&error))
    }

    fn closed(&self) -> BoxFuture<'_, Lost> {
        Box::pin(async move { connection_lost(&self.connection.closed().await) })
    }

    fn close(&self) {
        self.connection.close(CLOSED, b"");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SinkState {
    /// Between frames.
    Whole,
    /// Inside a frame; if it stays so, the send was dropped half way.
    Torn,
    Finished,
}

struct QuicSink {
    stream: quinn::SendStream,
    state: SinkState,
}

impl FrameSink for QuicSink {
    fn send(&mut self, frame: Frame) -> BoxFuture<'_, Result<(), Lost>> {
        Box::pin(async move {
            if self.state != SinkState::Whole {
                return Err(Lost::Cut);
            }
            let header = header(&frame)?;
            self.state = SinkState::Torn;
            let written = self.stream.write_all_chunks(&mut [header, frame.body]).await;
            written.map_err(|error| write_lost(&error))?;
            self.state = SinkState::Whole;
            Ok(())
        })
    }

    fn finish(&mut self) {
        if self.state == SinkState::Whole {
            // It fails only when the peer has stopped reading, which is no news at the end.
            let _ = self.stream.finish();
            self.state = SinkState::Finished;
        }
    }

    fn delivered(&mut self) -> BoxFuture<'_, ()> {
        let stopped = self.stream.stopped();
        Box::pin(async move {
            // Acknowledged, stopped or lost: in every case there is nothing left to wait for.
            let _ = stopped.await;
        })
    }
}

impl Drop for QuicSink {
    fn drop(&mut self) {
        if self.state != SinkState::Finished {
            // Without this quinn would end the stream as if it were whole.
            let _ = self.stream.reset(CUT);
        }
    }
}

fn header(frame: &Frame) -> Result<Bytes, Lost> {
    let len = frame.body.len();
    let max = u32::MAX as usize;
    let announced = u32::try_from(len).map_err(|_| Lost::TooLarge { len, max })?;
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_u32(announced);
    header.put_u8(match frame.tag {
        Tag::Head => 1,
        Tag::Data => 2,
        Tag::Failure => 3,
    });
    Ok(header.freeze())
}

fn tag(byte: u8) -> Result<Tag, Lost> {
    match byte {
        1 => Ok(Tag::Head),
        2 => Ok(Tag::Data),
        3 => Ok(Tag::Failure),
        _ => Err(Lost::Protocol("unknown tag")),
    }
}

struct QuicSource {
    stream: quinn::RecvStream,
    /// What has been read but not yet handed out, kept across calls that are dropped.
    buffer: BytesMut,
}

impl QuicSource {
    /// The frame at the start of the buffer, if all of it is there.
    fn take(&mut self, max: usize) -> Result<Option<Frame>, Lost> {
        let Some(([a, b, c, d, e], rest)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if len > max {
            return Err(Lost::TooLarge { len, max });
        }
        let tag = tag(*e)?;
        if rest.len() < len {
            // Once, and not by doubling; what is announced is believed to a bound.
            self.buffer.reserve(len.saturating_sub(rest.len()).min(AHEAD_BYTES));
            return Ok(None);
        }
        let mut whole = self.buffer.split_to(HEADER_BYTES + len);
        Ok(Some(Frame { tag, body: whole.split_off(HEADER_BYTES).freeze() }))
    }
}

impl FrameSource for QuicSource {
    fn recv(&mut self, max: usize) -> BoxFuture<'_, Result<Option<Frame>, Lost>> {
        Box::pin(async move {
            loop {
                if let Some(frame) = self.take(max)? {
                    return Ok(Some(frame));
                }
                match self.stream.read_chunk(CHUNK_BYTES, true).await {
                    Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk.bytes),
                    Ok(None) if self.buffer.is_empty() => return Ok(None),
                    Ok(None) => return Err(Lost::Cut),
                    Err(error) => return Err(read_lost(&error)),
                }
            }
        })
    }
}

fn connection_lost(error: &quinn::ConnectionError) -> Lost {
    use quinn::ConnectionError as E;
    match error {
        E::TimedOut => Lost::TimedOut,
        E::LocallyClosed => Lost::ClosedHere,
        E::ApplicationClosed(_) | E::Reset => Lost::Closed,
        E::TransportError(error) if is_tls_alert(error.code) => Lost::Refused(error.to_string()),
        E::ConnectionClosed(close) if is_tls_alert(close.error_code) => {
            Lost::Refused(close.to_string())
        }
        // What a full or closing endpoint says to a newcomer.
        other => Lost::Io(other.to_string()),
    }
}

/// RFC 9001, 4.8: alerts of the handshake are the codes from 0x100 to 0x1ff.
fn is_tls_alert(code: quinn::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

fn write_lost(error: &quinn::WriteError) -> Lost {
    match error {
        quinn::WriteError::Stopped(_) => Lost::Stopped,
        quinn::WriteError::ConnectionLost(error) => connection_lost(error),
        quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => Lost::Cut,
    }
}

fn read_lost(error: &quinn::ReadError) -> Lost {
    match error {
        quinn::ReadError::Reset(_) => Lost::Cut,
        quinn::ReadError::ConnectionLost(error) => connection_lost(error),
        other => Lost::Io(other.to_string()),
    }
}
