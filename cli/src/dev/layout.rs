//! Where the development cluster keeps what.

use std::path::{Path, PathBuf};

use super::error::DevError;

/// The folders under the state's root.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The domains' CAs and keys, and the trust bundle.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The trust bundle.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.pki().join(bailiwick_net::pki::TRUST_DIR)
    }

    /// The keys of a domain's nodes.
    #[must_use]
    pub fn domain_keys(&self, domain: &str) -> PathBuf {
        self.pki().join(domain).join("keys")
    }

    /// The cluster's secret.
    #[must_use]
    pub fn cluster_key(&self) -> PathBuf {
        self.pki().join("cluster.key")
    }

    /// The key that tokens are signed with.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.root.join("tokens").join("signing.pem")
    }

    /// Its public half.
    #[must_use]
    pub fn jwks(&self) -> PathBuf {
        self.root.join("tokens").join("jwks.json")
    }

    /// The default packs, written out.
    #[must_use]
    pub fn policies(&self) -> PathBuf {
        self.root.join("policies")
    }

    /// A node's folder.
    #[must_use]
    pub fn node(&self, name: &str) -> PathBuf {
        self.root.join("nodes").join(name)
    }

    /// A router's folder.
    #[must_use]
    pub fn router(&self, domain: &str) -> PathBuf {
        self.root.join("routers").join(domain)
    }

    /// Says which data were loaded, and whom to show.
    #[must_use]
    pub fn loaded(&self) -> PathBuf {
        self.root.join("loaded.json")
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`DevError::Io`]; also when the folder is there but is not one of this program's.
    pub fn remove(&self) -> Result<(), DevError> {
        if !self.root.exists() {
            return Ok(());
        }
        if !self.pki().is_dir() {
            let source = std::io::Error::other("it does not look like a cluster's state");
            return Err(DevError::Io { what: "remove", path: self.root.clone(), source });
        }
        std::fs::remove_dir_all(&self.root).map_err(DevError::io("remove", &self.root))
    }
}
