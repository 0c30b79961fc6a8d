//! Keys in files: made once, open to their owner alone, never beside the data.
//!
//! ```text
//! keys_dir/epoch-<n>.key   key-encryption key of epoch n; the highest wraps
//! keys_dir/row.key         the domain's secret: row keys, slots, revisions
//! keys_dir/receipt.key     Ed25519 seed that receipts are signed with
//! keys_dir/receipt.pub     its public key, to be handed to every node
//! cluster.key              the cluster's secret: revisions of the catalogue
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::KeyPair as _;
use zeroize::Zeroizing;

use super::domain::DomainSecret;
use super::epochs::EpochRing;
use super::error::SealError;
use super::secret::{Entropy, Secret, draw};

const ROW: &str = "row.key";
const RECEIPT: &str = "receipt.key";
const RECEIPT_PUBLIC: &str = "receipt.pub";
const FIRST_EPOCH: u32 = 1;

/// The keys of one domain, read from its keys directory.
#[derive(Debug)]
pub struct DomainKeys {
    /// Wraps data keys.
    pub ring: EpochRing,
    /// Row keys, slots and revisions.
    pub secret: DomainSecret,
    /// The seed of the key that receipts are signed with.
    pub receipt: Secret,
}

/// Makes a domain's keys in `dir` (mode 700, files 600) and returns the public key of its receipts.
///
/// # Errors
/// [`SealError::Io`], also when a key is there already: a key is never written over.
pub fn create(dir: &Path) -> Result<[u8; 32], SealError> {
    create_with(dir, &Secret::new(draw(&SystemRandom::new())?))
}

/// The same, with the seed of a receipt key that was made elsewhere.
///
/// # Errors
/// As [`create`].
pub fn create_with(dir: &Path, seed: &Secret) -> Result<[u8; 32], SealError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir).map_err(SealError::io("create", dir))?;
    let entropy = SystemRandom::new();
    let public = receipt_public(seed)?;
    write_new(&dir.join(epoch_name(FIRST_EPOCH)), &draw::<32>(&entropy)?)?;
    write_new(&dir.join(ROW), &draw::<32>(&entropy)?)?;
    write_new(&dir.join(RECEIPT), seed.expose())?;
    write_new(&dir.join(RECEIPT_PUBLIC), &public)?;
    sync_dir(dir)?;
    Ok(public)
}

/// Makes the cluster's secret in `file`.
///
/// # Errors
/// As [`create`].
pub fn create_cluster(file: &Path) -> Result<(), SealError> {
    write_new(file, &draw::<32>(&SystemRandom::new())?)?;
    file.parent().map_or(Ok(()), sync_dir)
}

/// Reads a domain's keys.
///
/// # Errors
/// [`SealError`] when `dir` lies inside `data_dir`, a key is missing, of the wrong size, or open to
/// others.
pub fn open(dir: &Path, data_dir: &Path) -> Result<DomainKeys, SealError> {
    open_with(dir, data_dir, Box::new(SystemRandom::new()))
}

/// The same, wrapping with nonces from `entropy`.
///
/// # Errors
/// As [`open`].
pub fn open_with(
    dir: &Path,
    data_dir: &Path,
    entropy: Box<dyn Entropy>,
) -> Result<DomainKeys, SealError> {
    refuse_inside(dir, data_dir)?;
    Ok(DomainKeys {
        ring: open_epochs(dir, entropy)?,
        secret: DomainSecret::new(&read(&dir.join(ROW))?),
        receipt: read(&dir.join(RECEIPT))?,
    })
}

/// Reads the cluster's secret.
///
/// # Errors
/// As [`open`].
pub fn open_cluster(file: &Path, data_dir: &Path) -> Result<Secret, SealError> {
    refuse_inside(file, data_dir)?;
    read(file)
}

/// Reads the public key of a domain's receipts.
///
/// # Errors
/// [`SealError::Io`] or [`SealError::Length`].
pub fn open_public(dir: &Path) -> Result<[u8; 32], SealError> {
    let path = dir.join(RECEIPT_PUBLIC);
    let bytes = fs::read(&path).map_err(SealError::io("read", &path))?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| SealError::Length { path, found })
}

/// The public half of a receipt key.
pub(crate) fn receipt_public(seed: &Secret) -> Result<[u8; 32], SealError> {
    let bad = || SealError::Crypto { what: "take a signing key" };
    let pair =
        ring::signature::Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| bad())?;
    pair.public_key().as_ref().try_into().map_err(|_| bad())
}

fn epoch_name(epoch: u32) -> String {
    format!("epoch-{epoch}.key")
}

fn open_epochs(dir: &Path, entropy: Box<dyn Entropy>) -> Result<EpochRing, SealError> {
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(SealError::io("list", dir))? {
        let name = entry.map_err(SealError::io("list", dir))?.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("epoch-")?.strip_suffix(".key"));
        let epoch: Option<u32> = number.and_then(|n| n.parse().ok()).filter(|e| *e > 0);
        // One spelling an epoch: `epoch-01.key` is not epoch 1.
        if let Some(epoch) = epoch.filter(|e| name.to_str() == Some(&epoch_name(*e))) {
            keys.insert(epoch, read(&dir.join(name))?);
        }
    }
    EpochRing::new(&keys, entropy).ok_or_else(|| SealError::NoEpoch { dir: dir.to_owned() })
}

/// Symbolic links are followed first, so that no link brings the keys back beside the data. A data
/// directory that is not there yet holds nothing.
fn refuse_inside(keys: &Path, data: &Path) -> Result<(), SealError> {
    let keys = keys.canonicalize().map_err(SealError::io("find", keys))?;
    match data.canonicalize() {
        Ok(data) if keys.starts_with(&data) => Err(SealError::KeysInsideData { keys, data }),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Secret, SealError> {
    let file = File::open(path).map_err(SealError::io("open", path))?;
    let mode =
        file.metadata().map_err(SealError::io("inspect", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SealError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    let taken = file.take(64).read_to_end(&mut bytes);
    let found = taken.map_err(SealError::io("read", path))?;
    let key = bytes.as_slice().try_into();
    key.map(Secret::new).map_err(|_| SealError::Length { path: path.to_owned(), found })
}

fn write_new(path: &Path, bytes: &[u8; 32]) -> Result<(), SealError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(SealError::io("create", path))?;
    file.write_all(bytes).map_err(SealError::io("write", path))?;
    file.sync_all().map_err(SealError::io("sync", path))
}

fn sync_dir(dir: &Path) -> Result<(), SealError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(SealError::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::super::epochs::KeyRing as _;
    use super::*;

    struct Dirs {
        root: tempfile::TempDir,
    }

    impl Dirs {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            create(&root.path().join("keys")).unwrap();
            fs::create_dir(root.path().join("data")).unwrap();
            Self { root }
        }

        fn key(&self, name: &str) -> std::path::PathBuf {
            self.root.path().join("keys").join(name)
        }

        fn open(&self) -> Result<DomainKeys, SealError> {
            open(&self.root.path().join("keys"), &self.root.path().join("data"))
        }
    }

    /// What opening says after `harm` was done to a good directory.
    fn check(harm: fn(&Dirs), expected: &str) {
        let dirs = Dirs::new();
        harm(&dirs);
        let found = dirs.open().map(|keys| keys.ring.current_epoch().to_string());
        let found = found.unwrap_or_else(|error| error.to_string());
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn a_keys_directory_and_what_may_be_wrong_with_it() {
        check(|_| (), "1");
        check(|d| write_new(&d.key("epoch-12.key"), &[1; 32]).unwrap(), "12");
        check(|d| write_new(&d.key("epoch-012.key"), &[1; 32]).unwrap(), "1");
        check(|d| fs::remove_file(d.key("epoch-1.key")).unwrap(), "holds no epoch");
        check(|d| fs::remove_file(d.key("row.key")).unwrap(), "row.key");
        check(|d| fs::write(d.key("row.key"), [1; 31]).unwrap(), "31 bytes");
        check(
            |d| fs::set_permissions(d.key("row.key"), fs::Permissions::from_mode(0o640)).unwrap(),
            "mode 640",
        );
    }

    #[test]
    fn keys_beside_the_data_are_refused_through_a_link_too() {
        let dirs = Dirs::new();
        let (root, inside) = (dirs.root.path(), dirs.root.path().join("data/keys"));
        create(&inside).unwrap();
        let link = root.join("link");
        std::os::unix::fs::symlink(&inside, &link).unwrap();
        for keys in [&inside, &link] {
            let error = open(keys, &root.join("data")).unwrap_err();
            assert!(matches!(error, SealError::KeysInsideData { .. }), "{error}");
        }
    }

    #[test]
    fn a_key_is_never_written_over() {
        let dirs = Dirs::new();
        let before = fs::read(dirs.key("row.key")).unwrap();
        assert!(create(&dirs.root.path().join("keys")).is_err());
        assert_eq!(fs::read(dirs.key("row.key")).unwrap(), before);
        assert_eq!(fs::metadata(dirs.key("row.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_public_key_belongs_to_the_seed() {
        let dirs = Dirs::new();
        let keys = dirs.open().unwrap();
        let public = open_public(&dirs.root.path().join("keys")).unwrap();
        assert_eq!(public, receipt_public(&keys.receipt).unwrap());
    }
}
