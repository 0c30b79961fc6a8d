//! Mutual TLS 1.3 by identity: the chain must lead to the CA of the domain that the certificate itself
//! names, so that no other domain can mint an `eu` node. DNS names are not looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bailiwick_core::ids::{ClusterName, DomainId};
use bailiwick_core::kind::Kind;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    PeerMisbehaved, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::identity::{Expect, Identity, IdentityError, Unexpected};
use crate::trust::{Credentials, TrustBundle};

/// The protocol spoken over QUIC.
pub const ALPN_PEER: &[u8] = b"bailiwick/1";
/// The protocol spoken over TCP.
pub const ALPN_GRPC: &[u8] = b"h2";
/// Peers are told apart by identity, so every one has the same server name.
pub(crate) const SERVER_NAME: &str = "bailiwick.internal";

/// A TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A CA's certificate can't be used.
    #[error("the CA of {domain} cannot be used: {reason}")]
    Ca {
        /// The domain.
        domain: DomainId,
        /// The library's words.
        reason: String,
    },
    /// The certificate and the key don't belong together.
    #[error("the certificate of {identity} cannot be used: {reason}")]
    Own {
        /// Who the certificate names.
        identity: Box<Identity>,
        /// The library's words.
        reason: String,
    },
}

impl TlsError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Why a peer's certificate was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PeerRefused {
    /// It names no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It is another cluster's.
    #[error("the peer is of cluster {found}, not of {own}")]
    Cluster {
        /// The peer's.
        found: ClusterName,
        /// This process's.
        own: ClusterName,
    },
    /// No CA speaks for its domain.
    #[error("no CA is known for domain {0}")]
    Domain(DomainId),
    /// It is not signed by the CA of the domain that it names.
    #[error("the CA of domain {domain} does not vouch for it: {reason}")]
    Chain {
        /// The domain it names.
        domain: DomainId,
        /// The library's words.
        reason: String,
    },
    /// It is not the peer that was expected.
    #[error(transparent)]
    Unexpected(#[from] Unexpected),
}

struct DomainRoots {
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

/// Judges certificates: which CA speaks for which domain.
pub struct Judge {
    cluster: ClusterName,
    domains: BTreeMap<DomainId, DomainRoots>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Judge({}, {:?})", self.cluster, self.domains.keys())
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

impl Judge {
    /// A judge by the bundle.
    ///
    /// # Errors
    /// [`TlsError::Ca`] when a CA's certificate can't be used.
    pub fn new(bundle: &TrustBundle) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut domains = BTreeMap::new();
        for (domain, trust) in &bundle.domains {
            let refused = |reason: String| TlsError::Ca { domain: domain.clone(), reason };
            let mut roots = RootCertStore::empty();
            for ca in &trust.ca {
                roots.add(ca.clone()).map_err(|error| refused(error.to_string()))?;
            }
            let roots = Arc::new(roots);
            let clients =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .build()
                    .map_err(|error| refused(error.to_string()))?;
            domains.insert(domain.clone(), DomainRoots { roots, clients });
        }
        Ok(Arc::new(Self { cluster: bundle.cluster.clone(), domains, provider }))
    }

    /// Who the peer is, if the CA of the domain that it claims vouches for it and it is whom `expect`
    /// names.
    fn judge(
        &self,
        side: Side,
        expect: &Expect,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, PeerRefused> {
        let identity = Identity::from_certificate(certificate)?;
        if identity.cluster != self.cluster {
            let own = self.cluster.clone();
            return Err(PeerRefused::Cluster { found: identity.cluster, own });
        }
        let domain = &identity.domain;
        let roots = self.domains.get(domain).ok_or_else(|| PeerRefused::Domain(domain.clone()))?;
        let chained = match side {
            Side::Client => {
                roots.clients.verify_client_cert(certificate, intermediates, now).map(|_| ())
            }
            Side::Server => self.chain_of_server(&roots.roots, certificate, intermediates, now),
        };
        chained.map_err(|error| PeerRefused::Chain {
            domain: domain.clone(),
            reason: error.to_string(),
        })?;
        expect.admit(&identity)?;
        Ok(identity)
    }

    fn chain_of_server(
        &self,
        roots: &RootCertStore,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms().all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// The side that accepts connections from whom `expect` names. Both sides show certificates.
    ///
    /// # Errors
    /// [`TlsError::Own`] when the credentials can't be used.
    pub fn server_config(
        self: &Arc<Self>,
        own: &Credentials,
        expect: Expect,
        alpn: &[u8],
    ) -> Result<ServerConfig, TlsError> {
        let refused = own_refused(own);
        let verifier = Arc::new(Verifier { judge: self.clone(), expect });
        let key = own.private_key().map_err(&refused)?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| refused(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own.chain(), key)
            .map_err(|error| refused(error.to_string()))?;
        config.alpn_protocols = vec![alpn.to_vec()];
        // Every connection is judged anew: a resumed one would outlive a change of the bundle.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// The side that dials whom `expect` names. Both sides show certificates.
    ///
    /// # Errors
    /// [`TlsError::Own`] when the credentials can't be used.
    pub fn client_config(
        self: &Arc<Self>,
        own: &Credentials,
        expect: Expect,
        alpn: &[u8],
    ) -> Result<ClientConfig, TlsError> {
        let refused = own_refused(own);
        let verifier = Arc::new(Verifier { judge: self.clone(), expect });
        let key = own.private_key().map_err(&refused)?;
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(own.chain(), key)
            .map_err(|error| refused(error.to_string()))?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        Ok(config)
    }
}

fn own_refused(own: &Credentials) -> impl Fn(String) -> TlsError {
    let identity = Box::new(own.identity().clone());
    move |reason| TlsError::Own { identity: identity.clone(), reason }
}

/// rustls tells the reason by `Debug`; people read the words.
struct Said(PeerRefused);

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Said {}

/// The judge in the shape that rustls asks for.
#[derive(Debug)]
struct Verifier {
    judge: Arc<Judge>,
    expect: Expect,
}

impl Verifier {
    fn judge(
        &self,
        side: Side,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match self.judge.judge(side, &self.expect, certificate, intermediates, now) {
            Ok(_) => Ok(()),
            Err(refused) => {
                tracing::warn!(%refused, "a peer's certificate was refused");
                let reason = CertificateError::Other(OtherError(Arc::new(Said(refused))));
                Err(rustls::Error::InvalidCertificate(reason))
            }
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, self.judge.algorithms())
    }
}

/// Only TLS 1.3 is offered, so this is never asked for; if it is, the answer is no.
fn no_tls12() -> rustls::Error {
    rustls::Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(Side::Server, end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(Side::Client, end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.algorithms().supported_schemes()
    }
}
