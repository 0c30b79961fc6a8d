//! The configuration as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::{Deserialize, Serialize};

use super::{ConfigErrors, ENV_PREFIX, fault};

/// The configuration as it is written. Secrets stand in files that it names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The public port.
    #[serde(default = "RawConfig::listen")]
    pub listen: String,
    /// The admin port.
    #[serde(default = "RawConfig::admin_listen")]
    pub admin_listen: String,
    /// The jurisdiction this router stands in.
    pub location: String,
    /// Folder with the certificate and key of this process.
    pub identity: PathBuf,
    /// Folder with the trust bundle.
    pub trust: PathBuf,
    /// TLS on the public port; absent: clear text, behind a proxy or on loopback.
    #[serde(default)]
    pub tls: Option<RawTls>,
    /// Whose tokens are taken.
    pub tokens: RawTokens,
    /// Nodes to ask for the topology first.
    pub nodes: Vec<RawNode>,
    /// Public edges by domain, until a node names them.
    #[serde(default)]
    pub edges: BTreeMap<String, String>,
    /// Addresses or networks whose `X-Client-Jurisdiction` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Bounds.
    #[serde(default)]
    pub limits: RawLimits,
}

/// Certificate and key of the public port, both PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whose tokens are taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTokens {
    /// The JWKS file.
    pub jwks: PathBuf,
    /// Issuers that are believed.
    pub issuers: Vec<String>,
    /// The audience.
    pub audience: String,
    /// Registered apps and the kind of service each is.
    pub clients: BTreeMap<String, String>,
}

/// A node known from the start. Its certificate must say the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNode {
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Its region.
    pub region: String,
    /// ip:port of its edge service.
    pub address: String,
}

/// Bounds; each has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// Requests at one time; more are shed.
    pub concurrency_max: usize,
    /// Connections at one time; more are closed.
    pub connections_max: usize,
    /// How long a request may take where the caller does not say.
    pub request_timeout_ms: u64,
    /// How long the head of a request may take, and a TLS handshake.
    pub header_timeout_ms: u64,
    /// How long a body may take; for an upload of items, each pause in it.
    pub body_timeout_ms: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            concurrency_max: 1024,
            connections_max: 4096,
            request_timeout_ms: 1000,
            header_timeout_ms: 5000,
            body_timeout_ms: 10_000,
        }
    }
}

impl RawConfig {
    fn listen() -> String {
        "127.0.0.1:8080".to_owned()
    }

    fn admin_listen() -> String {
        "127.0.0.1:9080".to_owned()
    }

    /// Reads `file`, with the environment above it.
    ///
    /// # Errors
    /// [`ConfigErrors`] for a field that is unknown, missing or of the wrong type.
    pub fn read(file: &Path) -> Result<Self, ConfigErrors> {
        if !file.is_file() {
            let problem = "there is no such file".to_owned();
            return Err(ConfigErrors(vec![fault(&file.display().to_string(), problem)]));
        }
        Figment::new()
            .merge(Toml::file_exact(file))
            .merge(Env::prefixed(ENV_PREFIX).split("__"))
            .extract()
            .map_err(|errors| {
                let one = |e: figment::Error| fault(&e.path.join("."), e.kind.to_string());
                ConfigErrors(errors.into_iter().map(one).collect())
            })
    }
}
