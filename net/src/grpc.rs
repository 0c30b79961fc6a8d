//! tonic over the same identities: accepted connections carry the peer's, channels name whom they
//! expect.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};

use crate::identity::{Expect, Identity};
use crate::supervisor::Supervisor;
use crate::tls::{ALPN_GRPC, Judge, SERVER_NAME, TlsError};
use crate::trust::Credentials;

/// Bounds of what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptLimits {
    /// Handshakes at one time; peers beyond it are sent away.
    pub handshakes_max: usize,
    /// A handshake takes at most this long.
    pub handshake_timeout: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self { handshakes_max: 64, handshake_timeout: Duration::from_secs(5) }
    }
}

/// Who is at the other end; found in a tonic request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who the peer is, as its verified certificate attests.
    pub identity: Identity,
    /// The address it called from. It belongs in no log.
    pub remote: SocketAddr,
}

/// An accepted connection whose peer is known.
pub struct Accepted {
    stream: TlsStream<TcpStream>,
    peer: PeerInfo,
}

impl Accepted {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }
}

impl Connected for Accepted {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

/// Accepts connections on `listener`, does their handshakes off the accept loop, and yields those of
/// peers whom `tls` expects. Give it to tonic's `serve_with_incoming`. Ends with the supervisor.
pub fn incoming(
    listener: TcpListener,
    tls: rustls::ServerConfig,
    limits: AcceptLimits,
    tasks: &Supervisor,
) -> ReceiverStream<io::Result<Accepted>> {
    let (out, accepted) = mpsc::channel(limits.handshakes_max.max(1));
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let children = tasks.clone();
    tasks.spawn_droppable("grpc accept", async move {
        let permits = Arc::new(Semaphore::new(limits.handshakes_max));
        while !out.is_closed() {
            let Some((tcp, remote)) = next(&listener).await else { continue };
            // Dropping the socket sends the peer away before any work is done for it.
            let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
            let (acceptor, out) = (acceptor.clone(), out.clone());
            children.spawn_droppable("grpc handshake", async move {
                let handshake = admit(&acceptor, tcp, remote);
                let admitted = tokio::time::timeout(limits.handshake_timeout, handshake).await;
                match admitted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                    // The permit is kept until the server takes the connection.
                    Ok(connection) => drop(out.send(Ok(connection)).await),
                    Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
                }
                drop(permit);
            });
        }
    });
    ReceiverStream::new(accepted)
}

async fn next(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: trying at once would only spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn admit(acceptor: &TlsAcceptor, tcp: TcpStream, remote: SocketAddr) -> io::Result<Accepted> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| io::Error::other("the peer showed nothing"))?;
    let identity = Identity::from_certificate(certificate).map_err(io::Error::other)?;
    Ok(Accepted { stream, peer: PeerInfo { identity, remote } })
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Makes channels for one process.
#[derive(Clone)]
pub struct Channels {
    judge: Arc<Judge>,
    own: Arc<Credentials>,
    connect_timeout: Duration,
}

impl Channels {
    /// Channels of the process that `own` names.
    #[must_use]
    pub fn new(judge: Arc<Judge>, own: Arc<Credentials>, connect_timeout: Duration) -> Self {
        Self { judge, own, connect_timeout }
    }

    /// A channel to `addr`, where `expect` should be. It connects when first used, and again when the
    /// connection is lost; a peer that is somebody else is never spoken to.
    ///
    /// # Errors
    /// [`TlsError`] when the credentials can't be used.
    pub fn channel(&self, addr: SocketAddr, expect: Expect) -> Result<Channel, TlsError> {
        let config = self.judge.client_config(&self.own, expect, ALPN_GRPC)?;
        let connector = TlsConnector::from(Arc::new(config));
        let connect = tower::service_fn(move |_: http::Uri| dial(connector.clone(), addr));
        // The scheme only says that nobody but the connector below does TLS.
        let origin = http::Uri::from_static("http://bailiwick.internal");
        let endpoint = Endpoint::from(origin)
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(3))
            .keep_alive_while_idle(true);
        Ok(endpoint.connect_with_connector_lazy(connect))
    }
}

type Dialled = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;

async fn dial(connector: TlsConnector, addr: SocketAddr) -> io::Result<Dialled> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    Ok(TokioIo::new(connector.connect(name, tcp).await?))
}
