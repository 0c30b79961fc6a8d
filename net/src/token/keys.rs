//! The issuers' public keys, from a JWKS file that is read again when it changes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::kind::Kind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The file's state is looked at no more often than this.
const LOOK_EVERY_MS: i64 = 1000;
const KEYS_BYTES_MAX: u64 = 1 << 20;
const ED25519_BYTES: usize = 32;

/// Tokens can't be verified, or minted, with what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum TokenSetupError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key set without a key that can be used.
    #[error("{}: no Ed25519 or P-256 key with a kid in it", path.display())]
    NoKeys {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl TokenSetupError {
    /// [`Kind::Broken`] where the file could not be read, else [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File { .. } => Kind::Broken,
            Self::NoKeys { .. } | Self::Content { .. } => Kind::Invalid,
        }
    }

    pub(super) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, problem: impl fmt::Display) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// A key and the one algorithm it is used with.
pub(super) struct VerifyingKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

type Keys = BTreeMap<String, Arc<VerifyingKey>>;
/// What of a file changes when it is replaced.
type Stamp = (Option<SystemTime>, u64);

pub(super) struct KeyFile {
    path: PathBuf,
    held: Mutex<Held>,
}

struct Held {
    keys: Keys,
    stamp: Stamp,
    looked: UnixMillis,
}

impl KeyFile {
    pub(super) fn open(path: PathBuf) -> Result<Self, TokenSetupError> {
        let stamp = stamp(&path)?;
        let keys = read(&path)?;
        let held = Mutex::new(Held { keys, stamp, looked: UnixMillis(0) });
        Ok(Self { path, held })
    }

    /// The key named `kid`, from the file as it was at most a second before `now`.
    pub(super) fn find(&self, kid: &str, now: UnixMillis) -> Option<Arc<VerifyingKey>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if (now.0 - held.looked.0).abs() >= LOOK_EVERY_MS {
            held.looked = now;
            self.refresh(&mut held);
        }
        held.keys.get(kid).cloned()
    }

    /// A file that is broken for a moment does not lock everyone out: what was read last stays.
    fn refresh(&self, held: &mut Held) {
        let again = stamp(&self.path).and_then(|stamp| {
            if stamp == held.stamp { Ok(None) } else { Ok(Some((stamp, read(&self.path)?))) }
        });
        match again {
            Ok(None) => {}
            Ok(Some((stamp, keys))) => {
                tracing::info!(keys = keys.len(), "the key set was read again");
                (held.stamp, held.keys) = (stamp, keys);
            }
            Err(error) => tracing::error!(%error, "the key set can't be read, the last one stays"),
        }
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn stamp(path: &Path) -> Result<Stamp, TokenSetupError> {
    let found = std::fs::metadata(path).map_err(|error| TokenSetupError::file(path, error))?;
    if found.len() > KEYS_BYTES_MAX {
        let problem = format!("{} bytes, at most {KEYS_BYTES_MAX} are allowed", found.len());
        return Err(TokenSetupError::content(path, problem));
    }
    Ok((found.modified().ok(), found.len()))
}

fn read(path: &Path) -> Result<Keys, TokenSetupError> {
    let text = std::fs::read(path).map_err(|error| TokenSetupError::file(path, error))?;
    let set: JwkSet = serde_json::from_slice(&text)
        .map_err(|error| TokenSetupError::content(path, format!("not a JWKS: {error}")))?;
    let mut keys = Keys::new();
    for jwk in &set.keys {
        let Some((kid, algorithm)) = usable(jwk) else { continue };
        let key = verifying(jwk, algorithm)
            .ok_or_else(|| TokenSetupError::content(path, format!("key `{kid}` is malformed")))?;
        if keys.insert(kid.clone(), Arc::new(key)).is_some() {
            return Err(TokenSetupError::content(path, format!("key `{kid}` stands in it twice")));
        }
    }
    if keys.is_empty() {
        return Err(TokenSetupError::NoKeys { path: path.to_owned() });
    }
    Ok(keys)
}

/// A set may hold keys of other kinds; those are never used.
fn usable(jwk: &Jwk) -> Option<(&String, Algorithm)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    Some((jwk.common.key_id.as_ref()?, algorithm))
}

fn verifying(jwk: &Jwk, algorithm: Algorithm) -> Option<VerifyingKey> {
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let long_enough = match algorithm {
        // The verifier takes the first 32 bytes without asking whether they are there.
        Algorithm::EdDSA => key.try_get_as_bytes().ok()?.len() == ED25519_BYTES,
        _ => true,
    };
    long_enough.then_some(VerifyingKey { algorithm, key })
}
