//! The directory of a group's snapshots: one that counts, and those on their way.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::snapshot::{SnapshotFile, TRAILER_BYTES};
use crate::store::durable::sync_parent;
use crate::store::error::StoreError;

/// The directory of one group's snapshots.
#[derive(Debug)]
pub(crate) struct SnapshotDir {
    path: PathBuf,
    /// Numbers files, so that a later one has a greater name.
    next: AtomicU64,
    current: Mutex<Option<SnapshotFile>>,
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".snap")?.parse().ok()
}

impl SnapshotDir {
    /// Opens the directory, or makes it: keeps the newest snapshot that holds, drops older ones and
    /// what never arrived in full, and moves damaged ones out of the way.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        sync_parent(path)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(path).map_err(StoreError::io("list", path))? {
            let file = entry.map_err(StoreError::io("list", path))?.path();
            match number_of(&file) {
                Some(number) => numbers.push(number),
                None if file.extension().is_some_and(|e| e == "part") => remove(&file)?,
                None => {}
            }
        }
        numbers.sort_unstable();
        let next = AtomicU64::new(numbers.last().map_or(1, |n| n + 1));
        let dir = Self { path: path.to_owned(), next, current: Mutex::new(None) };
        let current = dir.newest_whole(&numbers)?;
        *dir.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(dir)
    }

    fn newest_whole(&self, numbers: &[u64]) -> Result<Option<SnapshotFile>, StoreError> {
        let mut found = None;
        for number in numbers.iter().rev() {
            let path = self.file(*number);
            if found.is_some() {
                remove(&path)?;
                continue;
            }
            match SnapshotFile::open(&path) {
                Ok(file) => found = Some(file),
                Err(why @ StoreError::Damaged { .. }) => {
                    tracing::error!(%why, "a snapshot is set aside");
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside).map_err(StoreError::io("move aside", &path))?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}.snap"))
    }

    /// The snapshot that counts.
    pub(crate) fn current(&self) -> Option<SnapshotFile> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A name for a file that is being written.
    pub(crate) fn part(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{number:020}.part"))
    }

    /// Makes a whole and durable file the one that counts, durably, and removes the others.
    pub(crate) fn adopt(&self, mut file: SnapshotFile) -> Result<SnapshotFile, StoreError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = current.as_ref().filter(|c| c.path == file.path) {
            return Ok(same.clone());
        }
        let path = self.file(self.next.fetch_add(1, Ordering::Relaxed));
        fs::rename(&file.path, &path).map_err(StoreError::io("rename", &file.path))?;
        sync_parent(&path)?;
        file.path = path;
        if let Some(old) = current.replace(file.clone()) {
            remove(&old.path)?;
        }
        Ok(file)
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// A snapshot that is being received. Dropped before [`SnapshotSink::finish`], it leaves nothing.
#[derive(Debug)]
pub struct SnapshotSink {
    path: PathBuf,
    file: Option<File>,
    /// The hash of all bytes but the last 32, which are held back in `tail`.
    hasher: Sha256,
    tail: Vec<u8>,
    length: u64,
    length_max: u64,
}

impl SnapshotSink {
    pub(crate) fn create(path: PathBuf, length_max: u64) -> Result<Self, StoreError> {
        let file = File::options().create_new(true).read(true).write(true).open(&path);
        let file = file.map_err(StoreError::io("create", &path))?;
        let tail = Vec::new();
        Ok(Self { path, file: Some(file), hasher: Sha256::new(), tail, length: 0, length_max })
    }

    /// Takes the next bytes. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when more bytes come than were announced, or the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.length > self.length_max {
            return Err(self.damaged("more bytes came than were announced"));
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(StoreError::io("write", &self.path))?;
        }
        self.tail.extend_from_slice(bytes);
        let trailer = usize::try_from(TRAILER_BYTES).unwrap_or_default();
        let ready = self.tail.len().saturating_sub(trailer);
        self.hasher.update(self.tail.drain(..ready).as_slice());
        Ok(())
    }

    /// Ends the file, checks it against what was announced, and makes it durable. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when length or hash are not as announced; the file is then removed.
    pub fn finish(mut self, sha256: [u8; 32]) -> Result<SnapshotFile, StoreError> {
        let found: [u8; 32] = self.hasher.finalize_reset().into();
        if self.length != self.length_max || found != sha256 || self.tail != sha256 {
            return Err(self.damaged("it is not what was announced"));
        }
        let Some(file) = self.file.take() else {
            return Err(self.damaged("it was finished before"));
        };
        file.sync_all().map_err(StoreError::io("sync", &self.path))?;
        let path = std::mem::take(&mut self.path);
        Ok(SnapshotFile { path, file: Arc::new(file), length: self.length, sha256 })
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { what: self.path.display().to_string(), why: why.to_owned() }
    }
}

impl Drop for SnapshotSink {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "a part of a snapshot stays behind");
        }
    }
}
