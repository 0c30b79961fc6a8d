//! Whom a process trusts, and how it proves who it is: both from files.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_core::ids::{ClusterName, DomainId};
use bailiwick_core::pinned::Standpoint;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::secret::{self, FileError, Secret};

/// The file of a trust bundle, inside its folder.
pub const TRUST_FILE: &str = "trust.toml";
/// The certificate of a process, inside its folder.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// The private key of a process, inside its folder.
pub const KEY_FILE: &str = "key.pem";

/// `trust.toml` as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTrust {
    pub(crate) cluster: ClusterName,
    #[serde(default)]
    pub(crate) domains: BTreeMap<DomainId, RawDomain>,
}

/// One domain in `trust.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDomain {
    /// Files beside `trust.toml`; more than one while a domain changes its CA.
    pub(crate) ca: Vec<String>,
    /// Base64 of the Ed25519 public key.
    pub(crate) receipt_key: String,
}

/// What the cluster knows of one domain.
#[derive(Debug, Clone)]
pub struct DomainTrust {
    /// The certificates of its own CA.
    pub ca: Vec<CertificateDer<'static>>,
    /// The Ed25519 public key that its receipts are signed for.
    pub receipt_key: [u8; 32],
}

/// Which CA speaks for which domain. No CA speaks for two.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its domains.
    pub domains: BTreeMap<DomainId, DomainTrust>,
}

impl TrustBundle {
    /// Reads `trust.toml` in `dir`, and the certificates it names.
    ///
    /// # Errors
    /// [`FileError`] that names the file at fault.
    pub fn load(dir: &Path) -> Result<Self, FileError> {
        let path = dir.join(TRUST_FILE);
        let raw = read_raw(&path)?;
        let mut domains = BTreeMap::new();
        for (domain, entry) in raw.domains {
            let receipt_key = receipt_key(&path, &entry.receipt_key)?;
            let ca = entry.ca.iter().map(|name| read_ca(&path, dir, name));
            let ca: Vec<_> = ca.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            if ca.is_empty() {
                let what = format!("domain {domain} names no CA");
                return Err(FileError::content(&path, what, "name its CA's file in `ca`"));
            }
            domains.insert(domain, DomainTrust { ca, receipt_key });
        }
        let bundle = Self { cluster: raw.cluster, domains };
        bundle.check_disjoint(&path)?;
        Ok(bundle)
    }

    /// A CA that spoke for two domains could mint the nodes of either.
    fn check_disjoint(&self, path: &Path) -> Result<(), FileError> {
        let mut seen: BTreeMap<&[u8], &DomainId> = BTreeMap::new();
        for (domain, trust) in &self.domains {
            for ca in &trust.ca {
                let other = seen.insert(ca.as_ref(), domain).filter(|other| *other != domain);
                if let Some(other) = other {
                    let what = format!("one CA speaks for both {other} and {domain}");
                    return Err(FileError::content(path, what, "give each domain its own CA"));
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn read_raw(path: &Path) -> Result<RawTrust, FileError> {
    let text = std::fs::read_to_string(path).map_err(FileError::io("read", path))?;
    toml::from_str(&text)
        .map_err(|error| FileError::content(path, error, "see `bailiwick pki init`"))
}

fn receipt_key(path: &Path, text: &str) -> Result<[u8; 32], FileError> {
    let decoded = BASE64.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    decoded.ok_or_else(|| {
        let what = "a receipt_key is not the base64 of 32 bytes";
        FileError::content(path, what, "copy it from the bundle that `bailiwick pki init` wrote")
    })
}

fn read_ca(
    bundle: &Path,
    dir: &Path,
    name: &str,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    // The bundle is copied from hand to hand: a name in it must not reach outside its folder.
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        let what = format!("`{name}` is not the name of a file beside it");
        return Err(FileError::content(bundle, what, "put the CA's file into the same folder"));
    }
    read_certificates(&dir.join(name))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = std::fs::read(path).map_err(FileError::io("read", path))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let mend = "it should hold certificates as PEM";
    let certificates = certificates.map_err(|error| FileError::content(path, error, mend))?;
    if certificates.is_empty() {
        return Err(FileError::content(path, "no certificate in it", mend));
    }
    Ok(certificates)
}

/// How a process proves who it is.
pub struct Credentials {
    identity: Identity,
    chain: Vec<CertificateDer<'static>>,
    key: Secret,
}

impl Credentials {
    /// Reads `cert.pem` and `key.pem` in `dir`.
    ///
    /// # Errors
    /// [`FileError`] that names the file at fault; also when others than the owner may read the key.
    pub fn load(dir: &Path) -> Result<Self, FileError> {
        let (certificate, key_path) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
        let chain = read_certificates(&certificate)?;
        let identity = chain.first().map(Identity::from_certificate).transpose();
        let mend = "issue it anew with `bailiwick pki issue`";
        let identity = identity.map_err(|error| FileError::content(&certificate, error, mend))?;
        let identity = identity
            .ok_or_else(|| FileError::content(&certificate, "no certificate in it", mend))?;
        let key = secret::read(&key_path)?;
        let credentials = Self { identity, chain, key };
        credentials.private_key().map_err(|what| FileError::content(&key_path, what, mend))?;
        Ok(credentials)
    }

    /// Who the process is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the process stands, as its certificate attests.
    #[must_use]
    pub fn standpoint(&self) -> Standpoint {
        Standpoint::attested(self.identity.domain.clone())
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(self.key.expose()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bundle: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TRUST_FILE), bundle).unwrap();
        TrustBundle::load(dir.path()).unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_that_is_wrong_says_where() {
        let key = BASE64.encode([7; 32]);
        let entry = |ca: &str, key: &str| {
            format!("cluster = \"demo\"\n[domains.eu]\nca = [{ca}]\nreceipt_key = \"{key}\"\n")
        };
        for (bundle, words) in [
            (entry("\"../eu.pem\"", &key), "../eu.pem"),
            (entry("\"/etc/eu.pem\"", &key), "/etc/eu.pem"),
            (entry("", &key), "names no CA"),
            (entry("\"eu.pem\"", "AAAA"), "32 bytes"),
            (entry("\"eu.pem\"", &key), "eu.pem"),
            ("cluster = \"demo\"\nsurprise = 1\n".to_owned(), "surprise"),
            ("cluster = \"DEMO\"\n".to_owned(), "cluster name"),
        ] {
            let text = refusal(&bundle);
            assert!(text.contains(words), "{text} should say {words}");
        }
    }
}
