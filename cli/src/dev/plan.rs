//! The cluster as it is to be: identities, ports and configurations.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::{ClusterName, DomainId, NodeName, RegionId};
use bailiwick_net::pki::{self, Life};
use bailiwick_net::{Identity, Role};
use bailiwick_node::seal::{Secret, keys};

use super::args::RunArgs;
use super::configs;
use super::error::DevError;
use super::layout::Layout;
use super::packs;
use super::place::Place;
use super::ports::Ports;
use super::tokens::Tokens;

const CLUSTER: &str = "dev";
pub(super) const USERS_GROUPS: u16 = 2;
pub(super) const STATE_CACHE_BYTES: u64 = 8 << 20;

/// Domains, the location of each one's router, and the regions of its nodes.
const DOMAINS: [(&str, &str, [&str; 3]); 3] = [
    ("eu", "EU-DE", ["eu-west", "eu-north", "eu-west"]),
    ("us", "US-CA", ["us-east", "us-west", "us-east"]),
    ("in", "IN", ["in-south", "in-south", "in-south"]),
];

/// A node to run.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Its region.
    pub region: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// UDP, for peers.
    pub peers: SocketAddr,
    /// TCP, for routers.
    pub edge: SocketAddr,
    /// TCP, for operators.
    pub admin: SocketAddr,
    /// Where it runs; with all others where nothing is said.
    pub place: Option<Place>,
}

/// A router to run.
#[derive(Debug, Clone)]
pub struct RouterPlan {
    /// Its domain.
    pub domain: String,
    /// Its location.
    pub location: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// The public port.
    pub listen: SocketAddr,
    /// TCP, for operators.
    pub admin: SocketAddr,
    /// Where it runs; with all others where nothing is said.
    pub place: Option<Place>,
}

impl RouterPlan {
    /// Its public address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }
}

/// A domain's router and nodes.
#[derive(Debug, Clone)]
pub struct DomainPlan {
    /// Its router.
    pub router: RouterPlan,
    /// Its nodes.
    pub nodes: Vec<NodePlan>,
}

/// Everything to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By domain.
    pub domains: Vec<DomainPlan>,
}

impl Plan {
    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodePlan> {
        self.domains.iter().flat_map(|domain| &domain.nodes)
    }

    /// All routers.
    pub fn routers(&self) -> impl Iterator<Item = &RouterPlan> {
        self.domains.iter().map(|domain| &domain.router)
    }

    /// The router of a domain.
    #[must_use]
    pub fn router(&self, domain: &str) -> Option<&RouterPlan> {
        self.routers().find(|router| router.domain == domain)
    }
}

/// Makes what is missing (identities, keys, packs) and writes the configurations anew, with free ports.
pub(super) fn prepare(layout: &Layout, args: &RunArgs) -> Result<Plan, DevError> {
    check(&args.places)?;
    fs::create_dir_all(layout.pki()).map_err(DevError::io("create", &layout.pki()))?;
    if !layout.cluster_key().exists() {
        keys::create_cluster(&layout.cluster_key())?;
    }
    for (domain, _, _) in DOMAINS {
        make_domain(layout, domain)?;
    }
    Tokens::open(layout)?;
    write_packs(&layout.policies())?;
    let mut domains = Vec::new();
    // Held until all are known, so that none is found twice.
    let mut taken = Vec::new();
    for (at, (domain, location, regions)) in (0..).zip(DOMAINS) {
        let mut ports = Ports::of(Place::of(&args.places, domain));
        let router = plan_router(layout, domain, location, args.base_port, at, &mut ports)?;
        let mut nodes = Vec::new();
        for (number, region) in (1..).zip(regions) {
            nodes.push(plan_node(layout, domain, region, number, &mut ports)?);
        }
        domains.push(DomainPlan { router, nodes });
        taken.push(ports);
    }
    // The ports are free again for those that they were found for.
    drop(taken);
    let plan = Plan { domains };
    for domain in &plan.domains {
        for node in &domain.nodes {
            write(&node.config, &configs::node(layout, &plan, domain, node))?;
        }
        write(&domain.router.config, &configs::router(layout, &plan, &domain.router))?;
    }
    Ok(plan)
}

/// Domains hear each other on loopback or between places, not across.
fn check(places: &[Place]) -> Result<(), DevError> {
    let named: BTreeSet<&str> = places.iter().map(|place| place.domain.as_str()).collect();
    let all: BTreeSet<&str> = DOMAINS.iter().map(|(domain, _, _)| *domain).collect();
    if places.is_empty() || (named == all && places.len() == all.len()) {
        return Ok(());
    }
    let all = Vec::from_iter(all).join(", ");
    Err(DevError::Config(format!("--place: give each of {all} one place, or none of them")))
}

fn make_domain(layout: &Layout, domain: &str) -> Result<(), DevError> {
    if layout.domain_keys(domain).exists() {
        return Ok(());
    }
    let files = pki::init(&layout.pki(), &cluster(), &label(domain)?, Life::default())?;
    let seed = bailiwick_net::secret::read(&files.receipt_key)?;
    let seed: [u8; 32] = seed
        .expose()
        .try_into()
        .map_err(|_| DevError::Config("the receipt key is not 32 bytes".into()))?;
    keys::create_with(&layout.domain_keys(domain), &Secret::new(seed))?;
    Ok(())
}

fn cluster() -> ClusterName {
    // INVARIANT: the constant is a valid label; a test starts a cluster with it.
    ClusterName::new(CLUSTER).unwrap_or_else(|_| unreachable!("a constant label"))
}

fn label(text: &str) -> Result<DomainId, DevError> {
    DomainId::new(text).map_err(|error| DevError::Config(error.to_string()))
}

fn issue(
    layout: &Layout,
    domain: &str,
    region: &str,
    role: Role,
    name: &str,
    out: &Path,
) -> Result<(), DevError> {
    if out.exists() {
        return Ok(());
    }
    let wrong = |error: bailiwick_core::ids::IdError| DevError::Config(error.to_string());
    let identity = Identity {
        cluster: cluster(),
        domain: label(domain)?,
        region: RegionId::new(region).map_err(wrong)?,
        role,
        name: NodeName::new(name).map_err(wrong)?,
    };
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    pki::issue(&layout.pki(), &identity, &names, out, Life::default())?;
    Ok(())
}

fn plan_node(
    layout: &Layout,
    domain: &str,
    region: &str,
    number: u16,
    ports: &mut Ports<'_>,
) -> Result<NodePlan, DevError> {
    let name = format!("{region}-{number}");
    let dir = layout.node(&name);
    fs::create_dir_all(&dir).map_err(DevError::io("create", &dir))?;
    issue(layout, domain, region, Role::Node, &name, &dir.join("identity"))?;
    Ok(NodePlan {
        name,
        domain: domain.into(),
        region: region.into(),
        config: dir.join("node.toml"),
        dir,
        peers: ports.udp()?,
        edge: ports.tcp()?,
        admin: ports.tcp()?,
        place: ports.place.cloned(),
    })
}

fn plan_router(
    layout: &Layout,
    domain: &str,
    location: &str,
    base_port: u16,
    at: u16,
    ports: &mut Ports<'_>,
) -> Result<RouterPlan, DevError> {
    let dir = layout.router(domain);
    fs::create_dir_all(&dir).map_err(DevError::io("create", &dir))?;
    let region = format!("{domain}-edge");
    issue(
        layout,
        domain,
        &region,
        Role::Router,
        &format!("{domain}-router"),
        &dir.join("identity"),
    )?;
    let listen = match base_port {
        0 => ports.tcp()?,
        port => SocketAddr::from((ports.address(), port.saturating_add(at))),
    };
    Ok(RouterPlan {
        domain: domain.into(),
        location: location.into(),
        config: dir.join("router.toml"),
        dir,
        listen,
        admin: ports.tcp()?,
        place: ports.place.cloned(),
    })
}

fn write_packs(dir: &Path) -> Result<(), DevError> {
    fs::create_dir_all(dir).map_err(DevError::io("create", dir))?;
    for (name, text) in packs::TEXTS {
        write(&dir.join(name), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), DevError> {
    fs::write(path, text).map_err(DevError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_has_one_place_or_none_has() {
        let place = |domain: &str| format!("{domain}=10.77.1.1@/run/netns/x").parse().unwrap();
        let check = |domains: &[&str]| {
            check(&domains.iter().map(|domain| place(domain)).collect::<Vec<_>>())
        };
        assert!(check(&[]).is_ok() && check(&["us", "in", "eu"]).is_ok());
        for wrong in [&["eu"][..], &["eu", "us", "mars"], &["eu", "us", "in", "in"]] {
            assert!(check(wrong).unwrap_err().to_string().contains("--place"), "{wrong:?}");
        }
    }
}
