//! A node's data directory: its layout, whose it is, and that one process at a time uses it.
//!
//! ```text
//! meta          version, cluster, node, raft id, directory id: written once
//! lock          held by the process that has it open
//! log/          the segment log, the truth
//! state/        sled, which can be rebuilt
//! checkpoint    how far state/ was when it was last durable
//! snapshots/    one directory a group
//! models/       what learning brought, by the hash of its content
//! trainings/    checkpoints of a run of learning that is under way, likewise
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{ClusterName, GroupId, NodeName};
use bailiwick_core::kind::Kind;
use prost::Message;

use super::durable::{read_checked, sync_parent, write_checked};
use super::error::StoreError;
use crate::raft::types::RaftId;

/// The layout that this build makes, and the newest that it opens.
pub const LAYOUT_VERSION: u32 = 1;

/// Raft ids stay below this, so that JSON numbers carry them exactly.
pub const RAFT_ID_BOUND: RaftId = 1 << 53;

/// Why a data directory can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DataDirError {
    /// Made by a newer build.
    #[error("{path} has layout version {found}, this build opens up to {LAYOUT_VERSION}")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// It belongs to another cluster or node.
    #[error("{path} belongs to {found_what} {found}, not to {wanted}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// `cluster` or `node`.
        found_what: &'static str,
        /// Whose it is.
        found: String,
        /// Who opens it.
        wanted: String,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It holds data but does not say whose.
    #[error("{path} holds a log but no meta file: it is not a whole data directory")]
    Headless {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused, or the meta file is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DataDirError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Newer { .. } => Kind::Stale,
            Self::Foreign { .. } | Self::Headless { .. } => Kind::Invalid,
            Self::InUse { .. } => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct MetaForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    cluster: String,
    #[prost(string, tag = "3")]
    node: String,
    #[prost(uint64, tag = "4")]
    raft_id: u64,
    #[prost(bytes = "vec", tag = "5")]
    directory: Vec<u8>,
}

/// The random number of a data directory, which every log segment names.
pub type DirectoryId = [u8; 16];

/// An open data directory. Clones share the lock, which is held until the last is dropped.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    raft_id: RaftId,
    id: DirectoryId,
    _lock: Arc<File>,
}

impl DataDir {
    /// Opens the directory of `node` in `cluster`, or makes it with a new raft id.
    ///
    /// # Errors
    /// [`DataDirError`] when it is another's, newer, in use, incomplete or can't be written.
    pub fn open(path: &Path, cluster: &ClusterName, node: &NodeName) -> Result<Self, DataDirError> {
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        let lock = lock(path)?;
        let meta = path.join("meta");
        let form = match read_checked(&meta)? {
            Some(body) => MetaForm::decode(body.as_slice()).map_err(|e| StoreError::Damaged {
                what: meta.display().to_string(),
                why: e.to_string(),
            })?,
            None => create(path, cluster, node)?,
        };
        check(path, &form, cluster, node)?;
        let id = form.directory.as_slice().try_into().map_err(|_| StoreError::Damaged {
            what: meta.display().to_string(),
            why: "the directory id has not 16 bytes".to_owned(),
        })?;
        Ok(Self { path: path.to_owned(), raft_id: form.raft_id, id, _lock: Arc::new(lock) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The node's number in every Raft group.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.raft_id
    }

    /// The directory's own random number.
    #[must_use]
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Where the segment log stands.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the applied state stands.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The checkpoint's file.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Where the snapshots of a group stand.
    #[must_use]
    pub fn snapshots(&self, group: &GroupId) -> PathBuf {
        self.path.join("snapshots").join(group.to_string())
    }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let name = path.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(StoreError::io("open", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &name)(error).into()),
    }
}

fn create(path: &Path, cluster: &ClusterName, node: &NodeName) -> Result<MetaForm, DataDirError> {
    // A new raft id over an old log would make one member out of two, so that is refused.
    if path.join("log").exists() {
        return Err(DataDirError::Headless { path: path.to_owned() });
    }
    let form = MetaForm {
        version: LAYOUT_VERSION,
        cluster: cluster.to_string(),
        node: node.to_string(),
        raft_id: rand::random_range(1..RAFT_ID_BOUND),
        directory: rand::random::<DirectoryId>().to_vec(),
    };
    write_checked(&path.join("meta"), &form.encode_to_vec())?;
    sync_parent(path)?;
    Ok(form)
}

fn check(
    path: &Path,
    form: &MetaForm,
    cluster: &ClusterName,
    node: &NodeName,
) -> Result<(), DataDirError> {
    let path = path.to_owned();
    let foreign = |found_what, found: &str, wanted: &str| DataDirError::Foreign {
        path: path.clone(),
        found_what,
        found: found.to_owned(),
        wanted: wanted.to_owned(),
    };
    if form.version > LAYOUT_VERSION {
        return Err(DataDirError::Newer { path, found: form.version });
    }
    if form.cluster != cluster.as_str() {
        return Err(foreign("cluster", &form.cluster, cluster.as_str()));
    }
    if form.node != node.as_str() {
        return Err(foreign("node", &form.node, node.as_str()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, cluster: &str, node: &str) -> Result<DataDir, DataDirError> {
        DataDir::open(path, &cluster.parse().unwrap(), &node.parse().unwrap())
    }

    #[test]
    fn a_directory_stays_whose_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), "c1", "eu-1").unwrap();
        let (raft_id, id) = (first.raft_id(), first.id());
        assert!(raft_id > 0 && raft_id < RAFT_ID_BOUND);
        assert!(matches!(open(dir.path(), "c1", "eu-1"), Err(DataDirError::InUse { .. })));
        drop(first);
        let again = open(dir.path(), "c1", "eu-1").unwrap();
        assert_eq!((again.raft_id(), again.id()), (raft_id, id));
        drop(again);
        for (cluster, node) in [("c2", "eu-1"), ("c1", "eu-2")] {
            let error = open(dir.path(), cluster, node).unwrap_err();
            assert!(matches!(error, DataDirError::Foreign { .. }), "{error}");
        }
    }

    #[test]
    fn a_newer_layout_and_a_lost_meta_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), "c1", "eu-1").unwrap());
        let meta = dir.path().join("meta");
        let body = read_checked(&meta).unwrap().unwrap();
        let mut form = MetaForm::decode(body.as_slice()).unwrap();
        form.version += 1;
        write_checked(&meta, &form.encode_to_vec()).unwrap();
        assert!(matches!(
            open(dir.path(), "c1", "eu-1"),
            Err(DataDirError::Newer { found: 2, .. })
        ));
        fs::remove_file(&meta).unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        assert!(matches!(open(dir.path(), "c1", "eu-1"), Err(DataDirError::Headless { .. })));
    }
}
