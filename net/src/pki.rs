//! A certificate authority for each domain, certificates for its processes, and the bundle that tells
//! everybody which authority speaks for which domain. What `bailiwick pki` does.
//!
//! ```text
//! <dir>/trust/trust.toml, eu.pem ...   for every process
//! <dir>/eu/ca.pem, ca.key              stays with those who may make processes of the domain
//! <dir>/eu/receipt.key                 for the domain's own nodes
//! ```

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bailiwick_core::ids::{ClusterName, DomainId};
use bailiwick_core::kind::Kind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::secret::{self, FileError, Secret};
use crate::trust::{CERTIFICATE_FILE, KEY_FILE, RawDomain, RawTrust, TRUST_FILE, read_raw};

/// The folder of the trust bundle, beside those of the domains.
pub const TRUST_DIR: &str = "trust";
/// The CA's certificate, in its domain's folder.
pub const CA_FILE: &str = "ca.pem";
/// The CA's private key, in its domain's folder.
pub const CA_KEY_FILE: &str = "ca.key";
/// The key that the domain's nodes sign receipts with, an Ed25519 seed of 32 bytes, in its domain's folder.
pub const RECEIPT_KEY_FILE: &str = "receipt.key";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks differ: a certificate counts from a little before it was made.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// How long certificates are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// A domain's CA.
    pub ca: Duration,
    /// A process's certificate.
    pub process: Duration,
}

impl Default for Life {
    fn default() -> Self {
        Self { ca: 3650 * DAY, process: 365 * DAY }
    }
}

/// Certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is missing, in the way or malformed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The library refused.
    #[error("cannot make {what}: {reason}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Its words.
        reason: String,
    },
    /// The bundle is another cluster's.
    #[error("{} is the bundle of cluster {found}, not of {wanted}", path.display())]
    Cluster {
        /// The bundle.
        path: PathBuf,
        /// Its cluster.
        found: ClusterName,
        /// The cluster asked for.
        wanted: ClusterName,
    },
    /// The bundle knows the domain already.
    #[error("{} has domain {domain} already", path.display())]
    Exists {
        /// The bundle.
        path: PathBuf,
        /// The domain.
        domain: DomainId,
    },
}

impl PkiError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Make { .. } => Kind::Broken,
            Self::Cluster { .. } => Kind::Invalid,
            Self::Exists { .. } => Kind::Stale,
        }
    }
}

fn make(what: &'static str) -> impl FnOnce(rcgen::Error) -> PkiError {
    move |error| PkiError::Make { what, reason: error.to_string() }
}

/// What [`init`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainFiles {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// The CA's private key, mode 0600.
    pub ca_key: PathBuf,
    /// The receipts' private key, mode 0600, for this domain's nodes only.
    pub receipt_key: PathBuf,
    /// The folder of the trust bundle, to be copied to every process.
    pub trust: PathBuf,
}

/// Makes a domain's CA and receipt key under `<dir>/<domain>` and adds the domain to the trust bundle
/// in `<dir>/trust`.
///
/// # Errors
/// [`PkiError`] when the domain exists already, or a file can't be written. Nothing is overwritten.
pub fn init(
    dir: &Path,
    cluster: &ClusterName,
    domain: &DomainId,
    life: Life,
) -> Result<DomainFiles, PkiError> {
    let (home, trust) = (dir.join(domain.as_str()), dir.join(TRUST_DIR));
    let mut bundle = open_bundle(&trust, cluster, domain)?;
    create_folder(&home)?;
    let files = DomainFiles {
        ca: home.join(CA_FILE),
        ca_key: home.join(CA_KEY_FILE),
        receipt_key: home.join(RECEIPT_KEY_FILE),
        trust: trust.clone(),
    };
    let (certificate, key) = new_ca(cluster, domain, life)?;
    secret::create(&files.ca_key, key.as_bytes())?;
    secret::create_public(&files.ca, certificate.as_bytes())?;
    let (receipt_key, public) = new_receipt_key()?;
    secret::create(&files.receipt_key, receipt_key.expose())?;
    let ca_name = format!("{domain}.pem");
    secret::create_public(&trust.join(&ca_name), certificate.as_bytes())?;
    let entry = RawDomain { ca: vec![ca_name], receipt_key: BASE64.encode(public) };
    bundle.domains.insert(domain.clone(), entry);
    write_bundle(&trust, &bundle)?;
    Ok(files)
}

/// What [`issue`] made: a folder that [`crate::trust::Credentials::load`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key, mode 0600.
    pub key: PathBuf,
}

/// Issues a certificate for `identity`, signed by the CA of its own domain under `<dir>/<domain>`, and
/// writes it with its key into `out`. `names` are DNS names and IP addresses for clients that look at
/// those; peers look at the identity alone.
///
/// # Errors
/// [`PkiError`] when the CA can't be read or a file can't be written. Nothing is overwritten.
pub fn issue(
    dir: &Path,
    identity: &Identity,
    names: &[String],
    out: &Path,
    life: Life,
) -> Result<IssuedFiles, PkiError> {
    let bundle = dir.join(TRUST_DIR).join(TRUST_FILE);
    let found = read_raw(&bundle)?.cluster;
    if found != identity.cluster {
        return Err(PkiError::Cluster { path: bundle, found, wanted: identity.cluster.clone() });
    }
    let ca = load_ca(&dir.join(identity.domain.as_str()))?;
    let key = KeyPair::generate().map_err(make("a key"))?;
    let params = leaf(identity, names, life)?;
    let certificate = params.signed_by(&key, &ca).map_err(make("a certificate"))?;
    create_folder(out)?;
    let files = IssuedFiles { certificate: out.join(CERTIFICATE_FILE), key: out.join(KEY_FILE) };
    secret::create(&files.key, Zeroizing::new(key.serialize_pem()).as_bytes())?;
    secret::create_public(&files.certificate, certificate.pem().as_bytes())?;
    Ok(files)
}

fn open_bundle(
    trust: &Path,
    cluster: &ClusterName,
    domain: &DomainId,
) -> Result<RawTrust, PkiError> {
    let path = trust.join(TRUST_FILE);
    if !path.exists() {
        create_folder(trust)?;
        return Ok(RawTrust { cluster: cluster.clone(), domains: Default::default() });
    }
    let bundle = read_raw(&path)?;
    if bundle.cluster != *cluster {
        return Err(PkiError::Cluster { path, found: bundle.cluster, wanted: cluster.clone() });
    }
    if bundle.domains.contains_key(domain) {
        return Err(PkiError::Exists { path, domain: domain.clone() });
    }
    Ok(bundle)
}

/// Written beside and renamed, so that a reader finds the old bundle or the new one.
fn write_bundle(trust: &Path, bundle: &RawTrust) -> Result<(), PkiError> {
    let (path, fresh) = (trust.join(TRUST_FILE), trust.join("trust.toml.new"));
    let text = toml::to_string(bundle)
        .map_err(|error| PkiError::Make { what: "the bundle", reason: error.to_string() })?;
    if fresh.exists() {
        fs::remove_file(&fresh).map_err(FileError::io("remove", &fresh))?;
    }
    secret::create_public(&fresh, text.as_bytes())?;
    fs::rename(&fresh, &path).map_err(FileError::io("rename", &fresh))?;
    Ok(secret::sync_folder(&path)?)
}

fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::io("create", path))
}

fn new_ca(
    cluster: &ClusterName,
    domain: &DomainId,
    life: Life,
) -> Result<(String, Zeroizing<String>), PkiError> {
    let key = KeyPair::generate().map_err(make("a key"))?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{cluster} {domain} CA"));
    // No CA below it: it signs processes and nothing else.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit(&mut params, life.ca);
    let certificate = params.self_signed(&key).map_err(make("a CA"))?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

fn load_ca(home: &Path) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let (path, key_path) = (home.join(CA_FILE), home.join(CA_KEY_FILE));
    let mend = "make the domain's CA with `bailiwick pki init`";
    let pem = fs::read_to_string(&path).map_err(FileError::io("read", &path))?;
    let key = secret::read(&key_path)?;
    let key = std::str::from_utf8(key.expose()).ok().and_then(|key| KeyPair::from_pem(key).ok());
    let key = key.ok_or_else(|| FileError::content(&key_path, "not a private key", mend))?;
    Ok(Issuer::from_ca_cert_pem(&pem, key)
        .map_err(|error| FileError::content(&path, error, mend))?)
}

fn leaf(identity: &Identity, names: &[String], life: Life) -> Result<CertificateParams, PkiError> {
    let text = |text: &str| text.to_owned().try_into().map_err(make("a name"));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, identity.name.as_str());
    params.subject_alt_names.push(SanType::URI(text(&identity.to_string())?));
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(text(name)?),
        });
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    limit(&mut params, life.process);
    Ok(params)
}

fn limit(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now.saturating_add(life);
}

fn new_receipt_key() -> Result<(Secret, [u8; 32]), PkiError> {
    let refused = |reason: String| PkiError::Make { what: "a receipt key", reason };
    let rng = ring::rand::SystemRandom::new();
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(
        ring::rand::generate(&rng).map_err(|error| refused(error.to_string()))?.expose(),
    );
    let pair =
        Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|error| refused(error.to_string()))?;
    let public = <[u8; 32]>::try_from(pair.public_key().as_ref())
        .map_err(|error| refused(error.to_string()))?;
    Ok((Secret::new(seed.to_vec()), public))
}
