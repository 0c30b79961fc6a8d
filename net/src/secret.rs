//! Files that only their owner may read, and bytes that are wiped when they are let go.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bailiwick_core::kind::Kind;
use zeroize::Zeroizing;

/// Bytes of the largest secret file.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// A file could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Others than the owner may read the secret.
    #[error("{} has mode {mode:03o}: others may read it; mend it with `chmod 600 {}`", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error("{} is not usable: {what}; {mend}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
        /// How to mend it.
        mend: &'static str,
    },
}

impl FileError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Io { .. } => Kind::Broken,
            Self::Open { .. } => Kind::Refused,
            Self::Content { .. } => Kind::Invalid,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn content(path: &Path, what: impl fmt::Display, mend: &'static str) -> Self {
        Self::Content { path: path.to_owned(), what: what.to_string(), mend }
    }
}

/// Bytes that don't show in `Debug` and are wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Reads a secret file of at most 1 MiB.
///
/// # Errors
/// [`FileError`] when it can't be read, or when group or others may read it.
pub fn read(path: &Path) -> Result<Secret, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    // The mode of the file that was opened, not of whatever the path names by now.
    let metadata = file.metadata().map_err(FileError::io("inspect", path))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    let len = metadata.len();
    if !metadata.is_file() || len > SECRET_BYTES_MAX {
        let what = format!("{len} bytes, at most {SECRET_BYTES_MAX} are allowed in a plain file");
        return Err(FileError::content(path, what, "name the key file itself"));
    }
    // Room for all of it at once: a vector that grows leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1));
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    Ok(Secret(bytes))
}

/// Makes a secret file that did not exist, with mode 0600, and syncs it and its folder.
///
/// # Errors
/// [`FileError`] when the file exists or can't be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, 0o600)
}

/// As [`create`], for a file that anyone may read.
pub(crate) fn create_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, 0o644)
}

/// Writes a file that anyone may read in place of an older one: whole and durable, or not at all.
///
/// # Errors
/// [`FileError`] when it can't be written; the older one is then still there.
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_extension("next");
    let made = File::create(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    made.map_err(FileError::io("write", &fresh))?;
    std::fs::rename(&fresh, path).map_err(FileError::io("replace", path))?;
    sync_folder(path)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(FileError::io("create", path))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.sync_all().map_err(FileError::io("sync", path))?;
    sync_folder(path)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(FileError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_comes_back_and_never_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"hush").unwrap();
        let secret = read(&path).unwrap();
        assert_eq!(secret.expose(), b"hush");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"hush").unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"first").unwrap();
        assert!(create(&path, b"second").is_err());
        assert_eq!(read(&path).unwrap().expose(), b"first");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nowhere/a.key")).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("/nowhere/a.key"));
    }
}
