//! From a checked configuration to what a router starts with: keys read, ports bound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{ClusterName, DomainId};
use bailiwick_core::kind::Kind;
use bailiwick_net::grpc::Channels;
use bailiwick_net::secret::FileError;
use bailiwick_net::tls::{Judge, TlsError};
use bailiwick_net::token::{TokenSetupError, TokenVerifier};
use bailiwick_net::{Credentials, Expect, Identity, Role, TrustBundle};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tonic::transport::Channel;

use crate::config::{Config, EdgeConfig, NodeAddress, RawTls};
use crate::view::Dial;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// A router can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the process's identity can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key set can't be used.
    #[error(transparent)]
    Tokens(#[from] TokenSetupError),
    /// The certificate or key of the public port can't be used.
    #[error("{}: {reason}", path.display())]
    PublicTls {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate is not a router's.
    #[error("the certificate is a {found}'s, a router's is due")]
    Role {
        /// Whose it is.
        found: &'static str,
    },
    /// A port can't be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The port.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A socket that was given can't be used.
    #[error("cannot use a socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The services' descriptors can't be served.
    #[error("server reflection: {0}")]
    Reflection(String),
}

impl StartError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Tls(error) => error.kind(),
            Self::Tokens(error) => error.kind(),
            Self::PublicTls { .. } | Self::Role { .. } => Kind::Invalid,
            Self::Bind { .. } | Self::Socket(_) => Kind::Unavailable,
            Self::Reflection(_) => Kind::Broken,
        }
    }
}

/// What a router starts with. A process with several of them, or a test, makes it by itself.
pub struct Parts {
    /// The domain that this router's certificate names.
    pub here: DomainId,
    /// Place, seeds and bounds.
    pub edge: EdgeConfig,
    /// Verifies bearer tokens.
    pub tokens: Arc<TokenVerifier>,
    /// Opens channels to nodes.
    pub dial: Box<dyn Dial>,
    /// TLS on the public port.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The public port.
    pub public: TcpListener,
    /// The admin port.
    pub admin: TcpListener,
}

impl Parts {
    /// Reads what the configuration names, then binds the ports.
    ///
    /// # Errors
    /// [`StartError`] for a file or a port that can't be used.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let own = Arc::new(Credentials::load(&config.identity)?);
        let identity = own.identity().clone();
        if identity.role != Role::Router {
            return Err(StartError::Role { found: identity.role.as_str() });
        }
        let judge = Judge::new(&TrustBundle::load(&config.trust)?)?;
        let dial = Box::new(MutualTls::new(judge, own));
        let tokens = Arc::new(TokenVerifier::open(config.tokens)?);
        let tls = config.tls.as_ref().map(public_tls).transpose()?;
        let (public, admin) = (bind(config.listen).await?, bind(config.admin_listen).await?);
        Ok(Self { here: identity.domain, edge: config.edge, tokens, dial, tls, public, admin })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

/// Channels with mutual TLS: a node must prove to be the one that is meant.
pub struct MutualTls {
    channels: Channels,
    cluster: ClusterName,
}

impl MutualTls {
    /// Channels of the router that `own` names.
    #[must_use]
    pub fn new(judge: Arc<Judge>, own: Arc<Credentials>) -> Self {
        let cluster = own.identity().cluster.clone();
        Self { channels: Channels::new(judge, own, CONNECT_TIMEOUT), cluster }
    }
}

impl Dial for MutualTls {
    fn dial(&self, node: &NodeAddress) -> Result<Channel, String> {
        let expected = Identity {
            cluster: self.cluster.clone(),
            domain: node.site.domain.clone(),
            region: node.site.region.clone(),
            role: Role::Node,
            name: node.site.name.clone(),
        };
        let channel = self.channels.channel(node.address, Expect::Exactly(expected));
        channel.map_err(|error| error.to_string())
    }
}

fn public_tls(files: &RawTls) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let refused = |path: &Path, reason: &dyn std::fmt::Display| StartError::PublicTls {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)
        .map_err(|error| refused(&files.certificate, &error))?
        .collect();
    let chain = chain.map_err(|error| refused(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| refused(&files.key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&files.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refused(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
