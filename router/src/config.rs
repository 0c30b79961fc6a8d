//! The router's configuration: read from TOML and the environment, checked as a whole before a port is
//! bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, Issuer, Jurisdiction, NodeName, RegionId};
use bailiwick_core::kind::Kind;
use bailiwick_core::placement::Site;
use bailiwick_core::policy::Service;
use bailiwick_net::token::TokenSettings;

use crate::network::Network;

mod raw;

pub use raw::{RawConfig, RawLimits, RawNode, RawTls, RawTokens};

/// Variables named `BAILIWICK_ROUTER_<FIELD>` override the file; `__` stands between nested names.
pub const ENV_PREFIX: &str = "BAILIWICK_ROUTER_";
/// The longest that a request may be given.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The field's path.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigFault>);

impl ConfigErrors {
    /// Always [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{}: {}", fault.field, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

fn fault(field: &str, problem: String) -> ConfigFault {
    ConfigFault { field: field.to_owned(), problem }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public port.
    pub listen: SocketAddr,
    /// The admin port.
    pub admin_listen: SocketAddr,
    /// Folder with the certificate and key of this process.
    pub identity: PathBuf,
    /// Folder with the trust bundle.
    pub trust: PathBuf,
    /// Certificate and key of the public port.
    pub tls: Option<RawTls>,
    /// Whose tokens are taken.
    pub tokens: TokenSettings,
    /// What the edge itself needs.
    pub edge: EdgeConfig,
}

/// What the edge needs besides sockets and keys.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The jurisdiction this router stands in.
    pub location: Jurisdiction,
    /// Nodes to ask for the topology first.
    pub seeds: Vec<NodeAddress>,
    /// Public edges by domain, until a node names them.
    pub edges: BTreeMap<DomainId, String>,
    /// Peers whose `X-Client-Jurisdiction` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds.
    pub limits: Limits,
}

impl EdgeConfig {
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }
}

/// A node and where its edge service listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// Who its certificate must say it is.
    pub site: Site,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests at one time.
    pub concurrency_max: usize,
    /// Connections at one time.
    pub connections_max: usize,
    /// How long a request may take where the caller does not say.
    pub request_timeout: Duration,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let mut unfaulted = Faults::default();
        unfaulted.limits(&RawLimits::default())
    }
}

#[derive(Default)]
struct Faults(Vec<ConfigFault>);

impl Faults {
    fn parse<T: std::str::FromStr>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        text.parse().map_err(|e: T::Err| self.0.push(fault(field, format!("`{text}`: {e}")))).ok()
    }

    fn due(&mut self, field: &str, found: bool, problem: &str) {
        if !found {
            self.0.push(fault(field, problem.to_owned()));
        }
    }

    fn tokens(&mut self, raw: &RawTokens) -> TokenSettings {
        self.due("tokens.issuers", !raw.issuers.is_empty(), "name at least one issuer");
        self.due("tokens.audience", !raw.audience.is_empty(), "it is empty");
        self.due("tokens.clients", !raw.clients.is_empty(), "register at least one app");
        let issuers: BTreeSet<Issuer> =
            raw.issuers.iter().filter_map(|text| self.parse("tokens.issuers", text)).collect();
        let mut clients = BTreeMap::new();
        for (azp, text) in &raw.clients {
            if let Some(service) = self.parse::<Service>(&format!("tokens.clients.{azp}"), text) {
                clients.insert(azp.clone(), service);
            }
        }
        let (jwks, audience) = (raw.jwks.clone(), raw.audience.clone());
        TokenSettings { jwks, issuers, audience, clients }
    }

    fn node(&mut self, at: usize, raw: &RawNode) -> Option<NodeAddress> {
        let field = |name: &str| format!("nodes[{at}].{name}");
        let name = self.parse::<NodeName>(&field("name"), &raw.name);
        let domain = self.parse::<DomainId>(&field("domain"), &raw.domain);
        let region = self.parse::<RegionId>(&field("region"), &raw.region);
        let address = self.parse(&field("address"), &raw.address);
        let site = Site { name: name?, domain: domain?, region: region? };
        Some(NodeAddress { site, address: address? })
    }

    fn edges(&mut self, raw: &BTreeMap<String, String>) -> BTreeMap<DomainId, String> {
        let mut edges = BTreeMap::new();
        for (domain, url) in raw {
            let field = format!("edges.{domain}");
            self.due(&field, is_base_url(url), "a URL such as https://eu.example.org is due");
            if let Some(domain) = self.parse(&field, domain) {
                edges.insert(domain, url.clone());
            }
        }
        edges
    }

    fn limits(&mut self, raw: &RawLimits) -> Limits {
        let mut millis = |field: &str, ms: u64| {
            let found = Duration::from_millis(ms);
            let fits = (1..=60_000).contains(&ms);
            self.due(&format!("limits.{field}"), fits, "it must be 1 to 60000");
            found
        };
        let limits = Limits {
            concurrency_max: raw.concurrency_max,
            connections_max: raw.connections_max,
            request_timeout: millis("request_timeout_ms", raw.request_timeout_ms),
            header_timeout: millis("header_timeout_ms", raw.header_timeout_ms),
            body_timeout: millis("body_timeout_ms", raw.body_timeout_ms),
        };
        self.due("limits.concurrency_max", raw.concurrency_max > 0, "it must be at least 1");
        self.due("limits.connections_max", raw.connections_max > 0, "it must be at least 1");
        limits
    }

    fn file(&mut self, field: &str, path: &Path) {
        let problem = match std::fs::File::open(path) {
            Ok(_) => return,
            Err(error) => format!("{}: {error}", path.display()),
        };
        self.0.push(fault(field, problem));
    }
}

/// A public edge: scheme and host, nothing that could swallow the path that is put behind it.
pub(crate) fn is_base_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    })
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigErrors;

    /// Checks every field, and that the files it names can be opened.
    fn try_from(raw: RawConfig) -> Result<Self, ConfigErrors> {
        let mut faults = Faults::default();
        let listen = faults.parse("listen", &raw.listen);
        let admin_listen = faults.parse("admin_listen", &raw.admin_listen);
        let location = faults.parse("location", &raw.location);
        let tokens = faults.tokens(&raw.tokens);
        faults.due("nodes", !raw.nodes.is_empty(), "name at least one node");
        let numbered = raw.nodes.iter().enumerate();
        let seeds = numbered.filter_map(|(at, node)| faults.node(at, node)).collect();
        let edges = faults.edges(&raw.edges);
        let networks = raw.trusted_proxies.iter();
        let trusted_proxies =
            networks.filter_map(|text| faults.parse("trusted_proxies", text)).collect();
        let limits = faults.limits(&raw.limits);
        faults.file("tokens.jwks", &raw.tokens.jwks);
        faults.file("identity", &raw.identity);
        faults.file("trust", &raw.trust);
        if let Some(tls) = &raw.tls {
            faults.file("tls.certificate", &tls.certificate);
            faults.file("tls.key", &tls.key);
        }
        match (listen, admin_listen, location) {
            (Some(listen), Some(admin_listen), Some(location)) if faults.0.is_empty() => Ok(Self {
                listen,
                admin_listen,
                identity: raw.identity,
                trust: raw.trust,
                tls: raw.tls,
                tokens,
                edge: EdgeConfig { location, seeds, edges, trusted_proxies, limits },
            }),
            _ => Err(ConfigErrors(faults.0)),
        }
    }
}
