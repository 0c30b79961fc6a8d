//! The world over real sockets: certificates from real CAs, and a gate before each process that can
//! drop every packet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_net::pki::{self, Life};
use bailiwick_net::quic::{QuicConfig, QuicError, QuicTransport};
use bailiwick_net::tls::Judge;
use bailiwick_net::transport::Transport;
use bailiwick_net::{Credentials, Identity, Supervisor, TrustBundle};
use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::world::{LONG, World};

pub struct OverQuic {
    dir: TempDir,
    open: Arc<AtomicBool>,
    relays: Supervisor,
    /// What stands behind a gate, by the gate's address.
    behind: Mutex<BTreeMap<SocketAddr, SocketAddr>>,
}

impl Default for OverQuic {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for domain in ["eu", "us"] {
            let domain = domain.parse().unwrap();
            pki::init(dir.path(), &"demo".parse().unwrap(), &domain, Life::default()).unwrap();
        }
        let open = Arc::new(AtomicBool::new(true));
        Self { dir, open, relays: Supervisor::new(), behind: Mutex::default() }
    }
}

/// Credentials that a CA of the caller's choice signed: a CA does not look at what it is asked to sign.
fn credentials(dir: &Path, identity: &Identity, ca: &str) -> Credentials {
    let shop = tempfile::tempdir().unwrap();
    let copy = |from: String, to: String| {
        let to = shop.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(dir.join(from), to).unwrap();
    };
    copy("trust/trust.toml".into(), "trust/trust.toml".into());
    for file in ["ca.pem", "ca.key"] {
        copy(format!("{ca}/{file}"), format!("{}/{file}", identity.domain));
    }
    let out = shop.path().join("out");
    pki::issue(shop.path(), identity, &["localhost".into()], &out, Life::default()).unwrap();
    Credentials::load(&out).unwrap()
}

async fn way_back(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    to: SocketAddr,
    open: Arc<AtomicBool>,
) {
    let mut packet = vec![0; 65536];
    while let Ok((len, _)) = back.recv_from(&mut packet).await {
        if open.load(Ordering::SeqCst) {
            let _ = front.send_to(&packet[..len], to).await;
        }
    }
}

impl OverQuic {
    async fn bind(&self, identity: &Identity, ca: &str, addr: SocketAddr) -> QuicTransport {
        let bundle = TrustBundle::load(&self.dir.path().join("trust")).unwrap();
        let own = Arc::new(credentials(self.dir.path(), identity, ca));
        let config =
            QuicConfig { idle_timeout: Duration::from_millis(1500), ..QuicConfig::default() };
        let judge = Judge::new(&bundle).unwrap();
        let patiently = async {
            loop {
                match QuicTransport::bind(addr, judge.clone(), own.clone(), &config) {
                    Ok(transport) => return transport,
                    // The socket of the process that left is let go by a task of its own.
                    Err(QuicError::Bind { source, .. })
                        if source.kind() == std::io::ErrorKind::AddrInUse =>
                    {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(LONG, patiently).await.expect("the port is never free")
    }

    async fn relay(&self, to: SocketAddr) -> SocketAddr {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let addr = front.local_addr().unwrap();
        let (open, tasks) = (self.open.clone(), self.relays.clone());
        self.relays.spawn_droppable("relay", async move {
            let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
            let mut packet = vec![0; 65536];
            loop {
                let Ok((len, from)) = front.recv_from(&mut packet).await else { continue };
                let way = match ways.entry(from) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(fresh) => {
                        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        let way = way_back(back.clone(), front.clone(), from, open.clone());
                        tasks.spawn_droppable("way back", way);
                        fresh.insert(back)
                    }
                };
                if open.load(Ordering::SeqCst) {
                    let _ = way.send_to(&packet[..len], to).await;
                }
            }
        });
        addr
    }
}

impl World for OverQuic {
    async fn transport(
        &self,
        identity: &Identity,
        ca: &str,
        again_at: Option<SocketAddr>,
    ) -> (Arc<dyn Transport>, SocketAddr) {
        let known = again_at.map(|gate| self.behind.lock().unwrap()[&gate]);
        let addr = known.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let transport = self.bind(identity, ca, addr).await;
        let real = transport.local_addr().unwrap();
        let gate = match again_at {
            Some(gate) => gate,
            None => self.relay(real).await,
        };
        self.behind.lock().unwrap().insert(gate, real);
        (Arc::new(transport), gate)
    }

    fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}
