//! A folder of files that are named by their content.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::store::StoreError;
use crate::store::durable::sync_parent;

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;
/// Bytes read at a time.
const CHUNK: usize = 1 << 18;
/// Endings of what is not whole yet.
const UNFINISHED: [&str; 2] = ["part", "partial"];

/// The hash that names bytes.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> [u8; HASH_BYTES] {
    Sha256::digest(bytes).into()
}

/// What a file must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its hash.
    pub sha256: [u8; HASH_BYTES],
    /// Its bytes.
    pub length: u64,
}

impl Content {
    /// What a message names; none when that is no hash.
    #[must_use]
    pub fn named(sha256: &[u8], length: u64) -> Option<Self> {
        Some(Self { sha256: sha256.try_into().ok()?, length })
    }

    /// What a file holds. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let (mut hash, mut length, mut room) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
        loop {
            let read = file.read(&mut room).map_err(StoreError::io("read", path))?;
            if read == 0 {
                return Ok(Self { sha256: hash.finalize().into(), length });
            }
            hash.update(room.get(..read).unwrap_or_default());
            length += u64::try_from(read).unwrap_or(u64::MAX);
        }
    }
}

/// Such a folder. All files in it have one ending.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    ending: &'static str,
    /// Names parts, so that two who fetch the same file do not write into one.
    parts: AtomicU64,
}

impl Folder {
    /// A folder, which is made. What never became whole is removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path, ending: &'static str) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        for file in list(path)? {
            if UNFINISHED.iter().any(|ending| ends(&file, ending)) {
                fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
            }
        }
        Ok(Self { path: path.to_owned(), ending, parts: AtomicU64::new(0) })
    }

    /// Where the file of that hash is, if it is there.
    #[must_use]
    pub fn file(&self, sha256: &[u8]) -> PathBuf {
        let name: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        self.path.join(name).with_extension(self.ending)
    }

    /// A path in the folder that nobody uses yet, for what is to become a file of it.
    #[must_use]
    pub fn part(&self) -> PathBuf {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{number}.part"))
    }

    /// Begins to take a file. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin(&self, content: Content) -> Result<Arrival, StoreError> {
        let part = self.part();
        let file = File::create(&part).map_err(StoreError::io("create", &part))?;
        let path = self.file(&content.sha256);
        Ok(Arrival { file, hash: Sha256::new(), left: content.length, content, part, path })
    }

    /// Takes a synced file of [`Folder::part`] under the name of its content, durably. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn adopt(&self, part: &Path) -> Result<Content, StoreError> {
        let content = Content::of(part)?;
        let path = self.file(&content.sha256);
        fs::rename(part, &path).map_err(StoreError::io("rename to", &path))?;
        sync_parent(&path)?;
        Ok(content)
    }

    /// The path of a file that is there and what its name says. One that is not is removed, so that it is
    /// fetched again. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn whole(&self, content: &Content) -> Result<Option<PathBuf>, StoreError> {
        let path = self.file(&content.sha256);
        if !path.exists() {
            return Ok(None);
        }
        if Content::of(&path)? == *content {
            return Ok(Some(path));
        }
        tracing::error!(path = %path.display(), "a file is not what its name says: it is removed");
        self.remove(&content.sha256)?;
        Ok(None)
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, sha256: &[u8]) -> Result<(), StoreError> {
        let path = self.file(sha256);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the files that are not named. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep<'a>(&self, named: impl IntoIterator<Item = &'a [u8]>) -> Result<(), StoreError> {
        let named: Vec<PathBuf> = named.into_iter().map(|sha256| self.file(sha256)).collect();
        for file in list(&self.path)? {
            if ends(&file, self.ending) && !named.contains(&file) {
                fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
            }
        }
        Ok(())
    }
}

/// A file that is being taken: hashed as it comes, under its name only when it is whole, and gone if it
/// never is.
#[derive(Debug)]
pub struct Arrival {
    file: File,
    hash: Sha256,
    left: u64,
    content: Content,
    part: PathBuf,
    path: PathBuf,
}

impl Arrival {
    /// Takes the next bytes. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are more than were announced, [`StoreError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let left = u64::try_from(bytes.len()).ok().and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(|| self.damaged("it is longer than was announced"))?;
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(StoreError::io("write", &self.part))
    }

    /// Ends it: it is what its name says, and durable. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not, [`StoreError::Io`].
    pub fn finish(self) -> Result<(), StoreError> {
        if self.left > 0 {
            return Err(self.damaged("it is shorter than was announced"));
        }
        let found: [u8; HASH_BYTES] = self.hash.clone().finalize().into();
        if found != self.content.sha256 {
            return Err(self.damaged("it is not what its name says"));
        }
        self.file.sync_all().map_err(StoreError::io("write", &self.part))?;
        fs::rename(&self.part, &self.path).map_err(StoreError::io("rename to", &self.path))?;
        sync_parent(&self.path)
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { what: self.path.display().to_string(), why: why.to_owned() }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // Gone already if it became whole; if it can't be removed now, the next start does it.
        let _ = fs::remove_file(&self.part);
    }
}

fn ends(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found| found == ending)
}

fn list(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(path).map_err(StoreError::io("list", path))?;
    entries.map(|entry| Ok(entry.map_err(StoreError::io("list", path))?.path())).collect()
}
