//! Sockets: one public port for gRPC, gRPC-Web and HTTP+JSON over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bailiwick_net::supervisor::{Supervisor, Task};
use http::header::CONTENT_TYPE;
use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const HEADERS_BYTES_MAX: u32 = 32 << 10;
const STREAMS_MAX: u32 = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Out of file descriptors, most likely: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a connection came from. In extensions only; it belongs in no log.
#[derive(Debug, Clone, Copy)]
struct PeerAddress(SocketAddr);

/// The peer's address; one that is trusted with nothing where it is not known.
pub(crate) fn peer_of(extensions: &Extensions) -> IpAddr {
    let found = extensions.get::<PeerAddress>();
    found.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// What is served on one port.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) http: Router,
    /// None on the admin port.
    pub(crate) grpc: Option<Router>,
}

impl Served {
    async fn answer(self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        request.extensions_mut().insert(PeerAddress(peer));
        let wants_grpc = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let router = match self.grpc {
            Some(grpc) if wants_grpc => grpc,
            _ => self.http,
        };
        router
            .oneshot(request.map(Body::new))
            .await
            .unwrap_or_else(|never: Infallible| match never {})
    }
}

/// How connections are taken.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) connections_max: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) open: Gauge,
}

/// A port that is being served.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    accepting: CancellationToken,
    served: Task<()>,
}

impl Port {
    /// Takes no more connections, and lets those that are open end their requests.
    pub(crate) async fn close(self, grace: Duration) {
        self.accepting.cancel();
        if timeout(grace, self.served.join()).await.is_err() {
            tracing::warn!("connections were still open at the end of their grace");
        }
    }
}

/// Serves a port until it is closed.
pub(crate) fn serve(
    listener: TcpListener,
    served: Served,
    door: Door,
    tasks: &Supervisor,
) -> io::Result<Port> {
    let address = listener.local_addr()?;
    let accepting = tasks.token().child_token();
    let (children, stop) = (tasks.child(door.name), accepting.clone());
    let served = tasks.spawn(format!("{} port", door.name), async move {
        let open = GracefulShutdown::new();
        let accepted = accept(&listener, served, door, &open, children);
        stop.run_until_cancelled(accepted).await;
        drop(listener);
        open.shutdown().await;
    });
    Ok(Port { address, accepting, served })
}

async fn accept(
    listener: &TcpListener,
    served: Served,
    door: Door,
    open: &GracefulShutdown,
    tasks: Supervisor,
) {
    let permits = Arc::new(Semaphore::new(door.connections_max));
    loop {
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Dropping the socket sends the peer away before any work is done for it.
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let (served, door, watcher) = (served.clone(), door.clone(), open.watcher());
        tasks.spawn("connection", async move {
            door.open.inc();
            connection(tcp, peer, served, &door, watcher).await;
            door.open.dec();
            drop(permit);
        });
    }
}

async fn connection(
    tcp: TcpStream,
    peer: SocketAddr,
    served: Served,
    door: &Door,
    watcher: Watcher,
) {
    // Nagle's algorithm would hold small answers back.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    match &door.tls {
        None => speak(tcp, peer, served, door, watcher).await,
        Some(config) => {
            let handshake = TlsAcceptor::from(Arc::clone(config)).accept(tcp);
            if let Ok(Ok(tls)) = timeout(door.head_timeout, handshake).await {
                speak(tls, peer, served, door, watcher).await;
            }
        }
    }
}

async fn speak(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    served: Served,
    door: &Door,
    watcher: Watcher,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Impatient::new(io, Arc::clone(&asked), door.head_timeout));
    let service = hyper::service::service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let served = served.clone();
        async move { Ok::<_, Infallible>(served.answer(request, peer).await) }
    });
    let builder = builder(door);
    let connection = builder.serve_connection(io, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = %error, "a connection ended");
    }
}

fn builder(door: &Door) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(door.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

/// A connection that must bring the head of its first request in time. HTTP/1.1 has a bound for heads of
/// its own, but none for finding out which version is spoken.
struct Impatient<T> {
    io: T,
    asked: Arc<AtomicBool>,
    patience: Pin<Box<Sleep>>,
}

impl<T> Impatient<T> {
    fn new(io: T, asked: Arc<AtomicBool>, patience: Duration) -> Self {
        Self { io, asked, patience: Box::pin(sleep(patience)) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Impatient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let waits = read.is_pending() && !self.asked.load(Ordering::Relaxed);
        if waits && self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Impatient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
