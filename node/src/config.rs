//! A node's configuration: raw text in, checked values out, every error at once.

mod ranking;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_core::ids::{Issuer, NodeName};
use bailiwick_core::policy::Service;
use bailiwick_net::token::TokenSettings;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::Deserialize;

pub use self::ranking::{RankingConfig, RawRanking};
use crate::cluster::Seed;
use crate::learning::Schedule;

/// Users groups of a domain where nothing else is said.
const USERS_GROUPS_DEFAULT: u16 = 2;
/// A snapshot is made after this many entries where nothing else is said.
const SNAPSHOT_EVERY_DEFAULT: u64 = 10_000;
const SNAPSHOT_EVERY_MIN: u64 = 10;
const LOG_SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
const LOG_SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// The configuration as it is written.
///
/// Nothing in it says where the node stands: that is in its certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Log, state and snapshots.
    pub data_dir: PathBuf,
    /// The domain's keys; never inside `data_dir`.
    pub keys_dir: PathBuf,
    /// The cluster's secret.
    pub cluster_key: PathBuf,
    /// `cert.pem` and `key.pem`.
    pub credentials_dir: PathBuf,
    /// `trust.toml` and the CAs it names.
    pub trust_dir: PathBuf,
    /// Packs to propose at the start.
    pub policies_dir: Option<PathBuf>,
    /// Where to listen.
    pub listen: RawListen,
    /// What peers and routers are told, where it differs from `listen`.
    #[serde(default)]
    pub advertise: RawAdvertise,
    /// Peers to meet first.
    #[serde(default)]
    pub seeds: Vec<RawSeed>,
    /// Users groups of the domain; fixed once the domain exists.
    pub users_groups: Option<u16>,
    /// The domain's public edge.
    pub edge: Option<String>,
    /// Whose tokens are believed.
    pub tokens: RawTokens,
    /// Bytes of the state's page cache.
    pub state_cache_bytes: Option<u64>,
    /// Entries after which a group makes a snapshot and purges its log.
    pub snapshot_every: Option<u64>,
    /// Bytes after which the log begins a new segment.
    pub log_segment_bytes: Option<u64>,
    /// When to learn without being asked.
    #[serde(default)]
    pub learning: RawLearning,
    /// What slates are composed for besides relevance.
    #[serde(default)]
    pub ranking: RawRanking,
}

/// When to learn without being asked; never where nothing is said. The node that leads the control group looks.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLearning {
    /// So many hours after the run before began.
    pub every_hours: Option<u32>,
    /// When the number of items has changed by this part of those that the model knows.
    pub moved: Option<f64>,
}

/// Addresses as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListen {
    /// UDP, for peers.
    pub peers: String,
    /// TCP, for routers.
    pub edge: String,
    /// TCP, for operators.
    pub admin: String,
}

/// Addresses as text.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAdvertise {
    /// For peers.
    pub peers: Option<String>,
    /// For routers.
    pub edge: Option<String>,
}

/// A peer to meet first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSeed {
    /// Its name.
    pub name: String,
    /// Where it listens for peers.
    pub peers: String,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTokens {
    /// The JWKS file.
    pub jwks: PathBuf,
    /// `iss` that are believed.
    pub issuers: Vec<String>,
    /// `aud` that must be named.
    pub audience: String,
    /// `azp` -> `general`, `social` or `vlop`.
    pub clients: BTreeMap<String, String>,
    /// The kind of service that a request without a token is.
    pub anonymous_service: Option<String>,
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Log, state and snapshots.
    pub data_dir: PathBuf,
    /// The domain's keys.
    pub keys_dir: PathBuf,
    /// The cluster's secret.
    pub cluster_key: PathBuf,
    /// `cert.pem` and `key.pem`.
    pub credentials_dir: PathBuf,
    /// `trust.toml` and the CAs it names.
    pub trust_dir: PathBuf,
    /// Packs to propose at the start.
    pub policies_dir: Option<PathBuf>,
    /// UDP, for peers.
    pub listen_peers: SocketAddr,
    /// TCP, for routers.
    pub listen_edge: SocketAddr,
    /// TCP, for operators.
    pub listen_admin: SocketAddr,
    /// What peers are told; the bound address where absent.
    pub advertise_peers: Option<SocketAddr>,
    /// What routers are told; the bound address where absent.
    pub advertise_edge: Option<SocketAddr>,
    /// Peers to meet first.
    pub seeds: Vec<Seed>,
    /// Users groups of the domain.
    pub users_groups: u16,
    /// The domain's public edge.
    pub edge: Option<String>,
    /// Whose tokens are believed.
    pub tokens: TokenSettings,
    /// The kind of service that a request without a token is.
    pub anonymous_service: Service,
    /// Bytes of the state's page cache.
    pub state_cache_bytes: Option<u64>,
    /// Entries after which a group makes a snapshot and purges its log.
    pub snapshot_every: u64,
    /// Bytes after which the log begins a new segment.
    pub log_segment_bytes: u64,
    /// When to learn without being asked.
    pub learning: Schedule,
    /// What slates are composed for besides relevance.
    pub ranking: RankingConfig,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} errors:\n{}", .0.len(), .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl RawConfig {
    /// Reads a TOML file; `BAILIWICK_NODE_` variables override it.
    ///
    /// # Errors
    /// [`ConfigErrors`] that names the field.
    pub fn load(path: &std::path::Path) -> Result<Self, ConfigErrors> {
        let figment = Figment::new()
            .merge(Toml::file_exact(path))
            .merge(Env::prefixed("BAILIWICK_NODE_").split("__"));
        figment.extract().map_err(|errors| {
            ConfigErrors(errors.into_iter().map(|error| format!("  {error}")).collect())
        })
    }
}

/// Collects errors while fields are parsed.
#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn take<T, E: std::fmt::Display>(&mut self, field: &str, found: Result<T, E>) -> Option<T> {
        found.map_err(|error| self.0.push(format!("  {field}: {error}"))).ok()
    }
}

fn address(errors: &mut Errors, field: &str, text: &str) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>();
    errors.take(
        field,
        parsed.map_err(|_| format!("`{text}` is not an address with a port (127.0.0.1:7000)")),
    )
}

fn seeds(errors: &mut Errors, raw: Vec<RawSeed>) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (at, seed) in raw.into_iter().enumerate() {
        let name = errors.take(&format!("seeds[{at}].name"), seed.name.parse::<NodeName>());
        let peer_address = address(errors, &format!("seeds[{at}].peers"), &seed.peers);
        if let (Some(name), Some(peer_address)) = (name, peer_address) {
            seeds.push(Seed { name, peer_address });
        }
    }
    seeds
}

fn tokens(errors: &mut Errors, raw: RawTokens) -> Option<(TokenSettings, Service)> {
    let mut clients = BTreeMap::new();
    for (azp, service) in raw.clients {
        if let Some(service) = errors.take(&format!("tokens.clients.{azp}"), service.parse()) {
            clients.insert(azp, service);
        }
    }
    let issuers = raw.issuers.into_iter().map(Issuer::new).collect::<Result<_, _>>();
    let issuers = errors.take("tokens.issuers", issuers)?;
    let anonymous = raw.anonymous_service.unwrap_or_else(|| "general".into());
    let anonymous = errors.take("tokens.anonymous_service", anonymous.parse())?;
    Some((TokenSettings { jwks: raw.jwks, issuers, audience: raw.audience, clients }, anonymous))
}

fn schedule(errors: &mut Errors, raw: RawLearning) -> Schedule {
    if raw.every_hours == Some(0) {
        errors.0.push("  learning.every_hours: 0 is not 1 or more".to_owned());
    }
    if let Some(moved) = raw.moved.filter(|moved| !(0.01..=1.0).contains(moved)) {
        errors.0.push(format!("  learning.moved: {moved} is not 0.01 to 1"));
    }
    let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
    Schedule { every: raw.every_hours.map(hours), moved: raw.moved }
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigErrors;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigErrors> {
        let mut errors = Errors::default();
        let listen_peers = address(&mut errors, "listen.peers", &raw.listen.peers);
        let listen_edge = address(&mut errors, "listen.edge", &raw.listen.edge);
        let listen_admin = address(&mut errors, "listen.admin", &raw.listen.admin);
        let mut told = |field: &str, text: Option<String>| {
            text.and_then(|text| address(&mut errors, field, &text))
        };
        let advertise_peers = told("advertise.peers", raw.advertise.peers);
        let advertise_edge = told("advertise.edge", raw.advertise.edge);
        let seeds = seeds(&mut errors, raw.seeds);
        let tokens = tokens(&mut errors, raw.tokens);
        let users_groups = raw.users_groups.unwrap_or(USERS_GROUPS_DEFAULT);
        if users_groups == 0 || users_groups > 256 {
            errors.0.push(format!("  users_groups: {users_groups} is not 1 to 256"));
        }
        let snapshot_every = raw.snapshot_every.unwrap_or(SNAPSHOT_EVERY_DEFAULT);
        if snapshot_every < SNAPSHOT_EVERY_MIN {
            errors.0.push(format!(
                "  snapshot_every: {snapshot_every} entries are fewer than {SNAPSHOT_EVERY_MIN}"
            ));
        }
        let log_segment_bytes = raw.log_segment_bytes.unwrap_or(LOG_SEGMENT_BYTES_DEFAULT);
        if log_segment_bytes < LOG_SEGMENT_BYTES_MIN {
            errors.0.push(format!(
                "  log_segment_bytes: {log_segment_bytes} are fewer than {LOG_SEGMENT_BYTES_MIN}"
            ));
        }
        let learning = schedule(&mut errors, raw.learning);
        let ranking = RankingConfig::read(&mut errors, &raw.ranking);
        match (listen_peers, listen_edge, listen_admin, tokens, errors.0.is_empty()) {
            (
                Some(listen_peers),
                Some(listen_edge),
                Some(listen_admin),
                Some((tokens, anonymous_service)),
                true,
            ) => Ok(Self {
                data_dir: raw.data_dir,
                keys_dir: raw.keys_dir,
                cluster_key: raw.cluster_key,
                credentials_dir: raw.credentials_dir,
                trust_dir: raw.trust_dir,
                policies_dir: raw.policies_dir,
                listen_peers,
                listen_edge,
                listen_admin,
                advertise_peers,
                advertise_edge,
                seeds,
                users_groups,
                edge: raw.edge,
                tokens,
                anonymous_service,
                state_cache_bytes: raw.state_cache_bytes,
                snapshot_every,
                log_segment_bytes,
                learning,
                ranking,
            }),
            _ => Err(ConfigErrors(errors.0)),
        }
    }
}
