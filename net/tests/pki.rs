//! From `pki init` to a gRPC call: who is let in, and who is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_net::grpc::{self, AcceptLimits, Channels, PeerInfo};
use bailiwick_net::pki::{self, Life};
use bailiwick_net::tls::{ALPN_GRPC, Judge};
use bailiwick_net::{Credentials, Expect, Identity, Role, Supervisor, TrustBundle, secret};
use base64::Engine as _;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::body::Body;

fn identity(text: &str) -> Identity {
    format!("spiffe://demo/{text}").parse().unwrap()
}

fn node() -> Identity {
    identity("domain/eu/region/eu-west/node/eu-west-1")
}

fn router() -> Identity {
    identity("domain/us/region/us-east/router/us-edge-1")
}

fn pki() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for domain in ["eu", "us"] {
        init(dir.path(), "demo", domain).unwrap();
    }
    dir
}

fn init(dir: &Path, cluster: &str, domain: &str) -> Result<pki::DomainFiles, pki::PkiError> {
    pki::init(dir, &cluster.parse().unwrap(), &domain.parse().unwrap(), Life::default())
}

fn issue(dir: &Path, who: &Identity, life: Life) -> Credentials {
    let out = dir.join("issued").join(who.name.as_str());
    pki::issue(dir, who, &["localhost".into(), "127.0.0.1".into()], &out, life).unwrap();
    Credentials::load(&out).unwrap()
}

fn judge(dir: &Path) -> Arc<Judge> {
    Judge::new(&TrustBundle::load(&dir.join(pki::TRUST_DIR)).unwrap()).unwrap()
}

#[test]
fn what_is_issued_says_who_it_is_for() {
    let dir = pki();
    let credentials = issue(dir.path(), &node(), Life::default());
    assert_eq!(*credentials.identity(), node());
    assert_eq!(credentials.standpoint().domain().as_str(), "eu");
    let mode = |path: &str| dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    for key in ["eu/ca.key", "eu/receipt.key", "issued/eu-west-1/key.pem"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = pki();
    issue(dir.path(), &node(), Life::default());
    let out = dir.path().join("issued/eu-west-1");
    std::fs::set_permissions(out.join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Credentials::load(&out).err().unwrap();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("key.pem") && error.to_string().contains("chmod 600"));
}

#[test]
fn nothing_is_made_twice_nor_for_another_cluster() {
    let dir = pki();
    let before = secret::read(&dir.path().join("eu/ca.key")).unwrap().expose().to_vec();
    assert_eq!(init(dir.path(), "demo", "eu").unwrap_err().kind(), Kind::Stale);
    assert_eq!(init(dir.path(), "other", "jp").unwrap_err().kind(), Kind::Invalid);
    assert_eq!(secret::read(&dir.path().join("eu/ca.key")).unwrap().expose(), before);
    let stranger: Identity = "spiffe://other/domain/eu/region/eu-west/node/n".parse().unwrap();
    let out = dir.path().join("out");
    let error = pki::issue(dir.path(), &stranger, &[], &out, Life::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    let nowhere = identity("domain/jp/region/jp-east/node/n");
    let error = pki::issue(dir.path(), &nowhere, &[], &out, Life::default()).unwrap_err();
    assert!(error.to_string().contains("jp/ca.pem"), "{error}");
}

#[test]
fn a_receipt_signed_with_the_private_key_is_verified_with_the_bundle() {
    let dir = pki();
    let secret = secret::read(&dir.path().join("eu/receipt.key")).unwrap();
    let signature = Ed25519KeyPair::from_seed_unchecked(secret.expose()).unwrap().sign(b"granted");
    let bundle = TrustBundle::load(&dir.path().join("trust")).unwrap();
    let verified = |domain: &str| {
        let key = bundle.domains[&domain.parse().unwrap()].receipt_key;
        UnparsedPublicKey::new(&ED25519, key).verify(b"granted", signature.as_ref()).is_ok()
    };
    assert!(verified("eu"));
    assert!(!verified("us"), "no domain signs for another");
}

#[test]
fn one_ca_may_not_speak_for_two_domains() {
    let dir = pki();
    let trust = dir.path().join("trust");
    let text = std::fs::read_to_string(trust.join("trust.toml")).unwrap();
    std::fs::write(trust.join("trust.toml"), text.replace("us.pem", "eu.pem")).unwrap();
    let error = TrustBundle::load(&trust).unwrap_err().to_string();
    assert!(error.contains("one CA speaks for both eu and us"), "{error}");
}

/// Answers every gRPC call with the caller's identity, in a header.
async fn serve(dir: &Path, own: &Identity, expect: Expect, tasks: &Supervisor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let credentials = issue(dir, own, Life::default());
    let tls = judge(dir).server_config(&credentials, expect, ALPN_GRPC).unwrap();
    let incoming = grpc::incoming(listener, tls, AcceptLimits::default(), tasks);
    let service = tower::service_fn(|request: http::Request<Body>| async move {
        let peer = request.extensions().get::<PeerInfo>().unwrap().identity.to_string();
        let peer = base64::engine::general_purpose::STANDARD.encode(peer);
        let answer = http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0")
            .header("peer", peer);
        Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
    });
    let server = tonic::transport::Server::builder();
    let stop = tasks.token().cancelled_owned();
    tasks.spawn("server", async move {
        server.serve_with_incoming_shutdown(service, incoming, stop).await.unwrap();
    });
    addr
}

async fn who_am_i(
    dir: &Path,
    own: Credentials,
    to: SocketAddr,
    expect: Expect,
) -> Result<String, String> {
    use tower::{Service as _, ServiceExt as _};
    let channels = Channels::new(judge(dir), Arc::new(own), Duration::from_secs(10));
    let mut channel = channels.channel(to, expect).unwrap();
    let request = http::Request::post("http://x/who.Am/I").body(Body::empty()).unwrap();
    let ready = channel.ready().await.map_err(|error| format!("{error:?}"))?;
    let answer = ready.call(request).await.map_err(|error| format!("{error:?}"))?;
    let peer = answer.headers()["peer"].as_bytes();
    let peer = base64::engine::general_purpose::STANDARD.decode(peer).unwrap();
    Ok(String::from_utf8(peer).unwrap())
}

#[tokio::test]
async fn a_grpc_server_knows_who_calls() {
    let (dir, tasks) = (pki(), Supervisor::new());
    let addr = serve(dir.path(), &node(), Expect::Role(Role::Router), &tasks).await;
    let own = issue(dir.path(), &router(), Life::default());
    let expect = Expect::Within(Role::Node, "eu".parse().unwrap());
    let told = who_am_i(dir.path(), own, addr, expect).await;
    assert_eq!(told, Ok(router().to_string()));
    assert!(tasks.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test]
async fn a_grpc_client_speaks_only_to_whom_it_expects() {
    let (dir, tasks) = (pki(), Supervisor::new());
    let addr = serve(dir.path(), &node(), Expect::Role(Role::Router), &tasks).await;
    let expect = Expect::Within(Role::Node, "us".parse().unwrap());
    let own = issue(dir.path(), &router(), Life::default());
    let refused = who_am_i(dir.path(), own, addr, expect).await.unwrap_err();
    assert!(refused.contains("expected any node in us"), "{refused}");
}

#[tokio::test]
async fn a_grpc_server_answers_only_whom_it_expects() {
    let (dir, tasks) = (pki(), Supervisor::new());
    let addr = serve(dir.path(), &node(), Expect::Role(Role::Router), &tasks).await;
    let other = identity("domain/eu/region/eu-west/node/eu-west-2");
    let own = issue(dir.path(), &other, Life::default());
    assert!(who_am_i(dir.path(), own, addr, Expect::Member).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_refused() {
    let (dir, tasks) = (pki(), Supervisor::new());
    let addr = serve(dir.path(), &node(), Expect::Member, &tasks).await;
    let over = Life { process: Duration::ZERO, ..Life::default() };
    let own = issue(dir.path(), &router(), over);
    // Certificates count in whole seconds, so this one may be good for the rest of the current one.
    let patiently = async {
        loop {
            let own = Credentials::load(&dir.path().join("issued/us-edge-1")).unwrap();
            if who_am_i(dir.path(), own, addr, Expect::Member).await.is_err() {
                return;
            }
        }
    };
    drop(own);
    tokio::time::timeout(Duration::from_secs(30), patiently).await.expect("it is still good");
}

/// A peer that connects and says nothing holds nobody up.
#[tokio::test]
async fn a_silent_peer_does_not_hold_up_the_next() {
    let (dir, tasks) = (pki(), Supervisor::new());
    let addr = serve(dir.path(), &node(), Expect::Member, &tasks).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(tokio::net::TcpStream::connect(addr).await.unwrap());
    }
    let own = issue(dir.path(), &router(), Life::default());
    let told = who_am_i(dir.path(), own, addr, Expect::Member).await;
    assert_eq!(told, Ok(router().to_string()));
    drop(silent);
}
