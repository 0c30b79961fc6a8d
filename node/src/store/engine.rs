//! The one file that names sled.
//!
//! Facts that the rest relies on (sled 0.34.7): `flush` ends in `sync_file_range`, which is no
//! promise of durability, so [`Engine::flush_durably`] adds an fdatasync of its `db` file; values
//! over a quarter segment would live in files that are never synced, so rows stay below 64 KiB;
//! iterators are not snapshots; opening a damaged directory may panic; a dropped database may hold its
//! lock for a moment more, since its threads end by themselves.

use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error::StoreError;
use super::rows::Row;
use super::view::KeyRange;

/// How long a database that was just dropped may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A database with its trees.
#[derive(Debug)]
pub(crate) struct Engine {
    db: sled::Db,
    file: File,
    path: PathBuf,
}

/// One tree.
#[derive(Debug, Clone)]
pub(crate) struct Tree(sled::Tree);

fn failed(what: &'static str) -> impl Fn(sled::Error) -> StoreError {
    move |error| match error {
        sled::Error::Io(source) => {
            StoreError::Io { what, path: PathBuf::from("the database"), source: Arc::new(source) }
        }
        other => StoreError::Engine { what, why: other.to_string() },
    }
}

fn bytes(value: &sled::IVec) -> Bytes {
    Bytes::copy_from_slice(value)
}

/// Runs `open`, turning a panic into an error. sled 0.34 panics on some damage, and only while a
/// directory is opened and read for the first time does this catch it.
pub(crate) fn guarded<T>(open: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(StoreError::Engine { what: "open", why: "it panicked".to_owned() }))
}

/// Waits for the lock of a database that ends. sled asks for it once, and a refusal must not look like damage.
fn wait_until_free(path: &Path) -> Result<(), StoreError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(StoreError::io("open", path))?,
    };
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if since.elapsed() < ENDS_WITHIN => {
                sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(StoreError::io("lock", path)(error.into())),
        }
    }
}

impl Engine {
    /// Opens the directory, or makes it.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let file_path = path.join("db");
        wait_until_free(&file_path)?;
        let db = config.open().map_err(failed("open"))?;
        let file = File::open(&file_path).map_err(StoreError::io("open", &file_path))?;
        Ok(Self { db, file, path: file_path })
    }

    /// Whether the directory held a database before it was opened.
    pub(crate) fn was_recovered(&self) -> bool {
        self.db.was_recovered()
    }

    /// The tree of that name, made if there is none.
    pub(crate) fn tree(&self, name: &str) -> Result<Tree, StoreError> {
        self.db.open_tree(name).map(Tree).map_err(failed("open a tree"))
    }

    /// Removes a tree and its rows.
    pub(crate) fn drop_tree(&self, name: &str) -> Result<(), StoreError> {
        self.db.drop_tree(name).map(drop).map_err(failed("drop a tree"))
    }

    /// The names of all trees but the default one.
    pub(crate) fn tree_names(&self) -> Vec<String> {
        let default = self.db.name();
        let names = self.db.tree_names().into_iter().filter(|name| *name != default);
        names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    /// The rows that belong to no group.
    pub(crate) fn root(&self) -> Tree {
        Tree((*self.db).clone())
    }

    /// Makes durable what was written so far.
    pub(crate) fn flush_durably(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(failed("flush"))?;
        self.file.sync_data().map_err(StoreError::io("sync", &self.path))
    }
}

impl Tree {
    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.0.get(key).map_err(failed("read"))?;
        Ok(value.as_ref().map(bytes))
    }

    /// Rows in the order of their keys. Not a snapshot: later writes may show.
    pub(crate) fn range<'k>(
        &self,
        range: KeyRange<'k>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + use<'k> {
        self.0.range::<&[u8], _>(range).map(|row| {
            let (key, value) = row.map_err(failed("scan"))?;
            Ok(Row { key: bytes(&key), value: bytes(&value) })
        })
    }

    /// Writes all changes or none; an absent value deletes.
    pub(crate) fn apply<'c>(
        &self,
        changes: impl Iterator<Item = (&'c [u8], Option<&'c [u8]>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.0.apply_batch(batch).map_err(failed("write"))
    }
}
