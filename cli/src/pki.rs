//! `bailiwick pki`: CAs by domain, the domain's keys, certificates that say where a process stands.

use std::path::PathBuf;

use bailiwick_core::ids::{ClusterName, DomainId, NodeName, RegionId};
use bailiwick_net::pki::{self, Life, PkiError};
use bailiwick_net::secret::FileError;
use bailiwick_net::{Identity, Role};
use bailiwick_node::seal::{SealError, Secret, keys};
use clap::{Subcommand, ValueEnum};

/// What to make.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a domain's CA and keys, and add the domain to the trust bundle.
    Init {
        /// The cluster's name.
        #[arg(long)]
        cluster: ClusterName,
        /// The domain.
        #[arg(long)]
        domain: DomainId,
        /// Where everything is kept; the CA's key belongs off the machines of the cluster.
        #[arg(long, default_value = "pki")]
        dir: PathBuf,
    },
    /// Issue a certificate, signed by the domain's own CA.
    Issue {
        /// The cluster's name.
        #[arg(long)]
        cluster: ClusterName,
        /// The domain that the process stands in.
        #[arg(long)]
        domain: DomainId,
        /// The region that it stands in.
        #[arg(long)]
        region: RegionId,
        /// Node or router.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// Its name.
        #[arg(long)]
        name: NodeName,
        /// DNS names and addresses for clients that look at those.
        #[arg(long = "san")]
        names: Vec<String>,
        /// Where everything is kept.
        #[arg(long, default_value = "pki")]
        dir: PathBuf,
        /// Where to write `cert.pem` and `key.pem`.
        #[arg(long)]
        out: PathBuf,
    },
}

/// A process's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// A node.
    Node,
    /// A router.
    Router,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A certificate could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A key could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key that was just made is of the wrong size: a fault of this program.
    #[error("the receipt key is not 32 bytes")]
    Size,
}

/// Does what the command says.
///
/// # Errors
/// [`CommandError`]; nothing is ever overwritten.
pub fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Init { cluster, domain, dir } => {
            let files = pki::init(&dir, &cluster, &domain, Life::default())?;
            let seed = bailiwick_net::secret::read(&files.receipt_key)?;
            let seed = seed.expose().try_into().map_err(|_| CommandError::Size)?;
            keys::create_with(&dir.join(domain.as_str()).join("keys"), &Secret::new(seed))?;
            let cluster_key = dir.join("cluster.key");
            if !cluster_key.exists() {
                keys::create_cluster(&cluster_key)?;
            }
            Ok(())
        }
        Command::Issue { cluster, domain, region, role, name, names, dir, out } => {
            let role = match role {
                RoleArg::Node => Role::Node,
                RoleArg::Router => Role::Router,
            };
            let identity = Identity { cluster, domain, region, role, name };
            pki::issue(&dir, &identity, &names, &out, Life::default())?;
            Ok(())
        }
    }
}
