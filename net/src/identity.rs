//! Who a process is: what its certificate says, never what configuration says.

use std::fmt;
use std::str::FromStr;

use bailiwick_core::ids::{ClusterName, DomainId, IdError, NodeName, RegionId};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Destination;
use bailiwick_core::placement::Site;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Keeps data and answers for it.
    Node,
    /// Stands at the edge and keeps nothing.
    Router,
}

impl Role {
    /// The word in a certificate.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Router => "router",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a process is and where it stands, as a certificate attests.
///
/// ```
/// use bailiwick_net::Identity;
/// let text = "spiffe://demo/domain/eu/region/eu-west/node/eu-west-1";
/// let identity: Identity = text.parse().unwrap();
/// assert_eq!(identity.domain.as_str(), "eu");
/// assert_eq!(identity.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Its residency domain.
    pub domain: DomainId,
    /// Its region.
    pub region: RegionId,
    /// What it does.
    pub role: Role,
    /// Its name, unique in the cluster.
    pub name: NodeName,
}

/// Why an identity could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The text has another shape.
    #[error("`{text}` is not spiffe://<cluster>/domain/<d>/region/<r>/<node|router>/<n>")]
    Shape {
        /// The text, shortened.
        text: String,
    },
    /// One of the names in it is malformed.
    #[error("identity: {0}")]
    Name(#[from] IdError),
    /// The certificate could not be parsed.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The certificate must name exactly one URI.
    #[error("the certificate names {found} URIs, exactly one is allowed")]
    Uris {
        /// URIs found.
        found: usize,
    },
}

impl IdentityError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Unauthenticated
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, domain, region, role, name } = self;
        write!(f, "spiffe://{cluster}/domain/{domain}/region/{region}/{role}/{name}")
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bad = || IdentityError::Shape { text: text.chars().take(160).collect() };
        let rest = text.strip_prefix("spiffe://").ok_or_else(bad)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [cluster, "domain", domain, "region", region, role, name] = parts.as_slice() else {
            return Err(bad());
        };
        let role = match *role {
            "node" => Role::Node,
            "router" => Role::Router,
            _ => return Err(bad()),
        };
        Ok(Self {
            cluster: ClusterName::new(*cluster)?,
            domain: DomainId::new(*domain)?,
            region: RegionId::new(*region)?,
            role,
            name: NodeName::new(*name)?,
        })
    }
}

impl Identity {
    /// Reads the identity in a certificate's subject alternative names. It does not verify the
    /// certificate: [`crate::tls::Judge`] does.
    ///
    /// # Errors
    /// [`IdentityError`] when the certificate is malformed or does not name exactly one URI.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let unreadable = |what: String| IdentityError::Certificate(what);
        let (rest, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} bytes follow it", rest.len())));
        }
        let names =
            parsed.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
            .collect();
        match uris.as_slice() {
            [uri] => uri.parse(),
            _ => Err(IdentityError::Uris { found: uris.len() }),
        }
    }

    /// The identity as placement sees it.
    #[must_use]
    pub fn site(&self) -> Site {
        Site { name: self.name.clone(), domain: self.domain.clone(), region: self.region.clone() }
    }

    /// The identity as a place to send pinned data to.
    #[must_use]
    pub fn destination(&self) -> Destination {
        Destination::domain(self.domain.clone())
    }
}

/// Whom a side of a handshake expects; any other peer is refused before a byte of payload is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Any member of the cluster.
    Member,
    /// Any member with this role.
    Role(Role),
    /// Any member with this role in one domain.
    Within(Role, DomainId),
    /// The node of this name, wherever its certificate says that it stands.
    Node(NodeName),
    /// Exactly this identity.
    Exactly(Identity),
}

/// The peer is somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Unexpected {
    /// Whom the side expected.
    pub expected: Expect,
    /// Whom it found.
    pub found: Box<Identity>,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => f.write_str("any member"),
            Self::Role(role) => write!(f, "any {role}"),
            Self::Within(role, domain) => write!(f, "any {role} in {domain}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Exactly(identity) => identity.fmt(f),
        }
    }
}

impl Expect {
    /// Whether `found` is the peer that was expected. The cluster is judged elsewhere.
    ///
    /// # Errors
    /// [`Unexpected`] when it is another.
    pub fn admit(&self, found: &Identity) -> Result<(), Unexpected> {
        let expected = match self {
            Self::Member => true,
            Self::Role(role) => found.role == *role,
            Self::Within(role, domain) => found.role == *role && found.domain == *domain,
            Self::Node(name) => found.role == Role::Node && found.name == *name,
            Self::Exactly(identity) => found == identity,
        };
        if expected {
            Ok(())
        } else {
            Err(Unexpected { expected: self.clone(), found: Box::new(found.clone()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_one_shape_is_an_identity() {
        for text in [
            "",
            "spiffe://demo",
            "https://demo/domain/eu/region/eu-west/node/n",
            "spiffe://demo/domain/eu/region/eu-west/king/n",
            "spiffe://demo/domain/EU/region/eu-west/node/n",
            "spiffe://demo/domain/eu/region/eu-west/node/n/",
            "spiffe://demo/domain/eu/region/eu-west/node/",
            "spiffe://demo/domain/eu/region/eu-west/node/n?x",
            "spiffe://demo//eu/region/eu-west/node/n",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_identity_survives_its_text(names in prop::array::uniform4("[a-z0-9-]{1,48}"), router in any::<bool>()) {
            let [c, d, r, n] = names;
            let role = if router { "router" } else { "node" };
            let text = format!("spiffe://{c}/domain/{d}/region/{r}/{role}/{n}");
            prop_assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = text.parse::<Identity>();
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = Identity::from_certificate(&CertificateDer::from(bytes));
            prop_assert!(read.is_err());
        }
    }
}
