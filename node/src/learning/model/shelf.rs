//! The models on a node's disk, by hash, and which of them is served.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_proto::store::ModelManifest;
use sha2::{Digest as _, Sha256};

use super::{ModelFile, ServedModel};
use crate::store::StoreError;
use crate::store::durable::sync_parent;

/// The hash that names a file.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What is kept in memory: the model that is served, and the one before, so that a rollback is at once.
#[derive(Default)]
struct Held {
    serving: Option<Arc<ServedModel>>,
    before: Option<Arc<ServedModel>>,
}

/// The models of a node.
pub struct Models {
    path: PathBuf,
    held: Mutex<Held>,
}

impl Models {
    /// The models in a folder, which is made. Parts of files that never arrived are removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        for file in files(path)? {
            if file.extension().is_some_and(|ending| ending == "part") {
                fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
            }
        }
        Ok(Self { path: path.to_owned(), held: Mutex::default() })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a model's file is, if it is there.
    #[must_use]
    pub fn file(&self, sha256: &[u8]) -> PathBuf {
        let name: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        self.path.join(name).with_extension("model")
    }

    /// Keeps a file's bytes under their hash, durably. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] when the bytes are not those that `sha256` names.
    pub fn put(&self, sha256: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.file(sha256);
        let damaged = |why: &str| StoreError::Damaged {
            what: path.display().to_string(),
            why: why.to_owned(),
        };
        if sha256_of(bytes) != sha256 {
            return Err(damaged("it is not what its name says"));
        }
        ModelFile::decode(bytes).map_err(|error| damaged(&error.to_string()))?;
        let part = path.with_extension("part");
        let mut file = fs::File::create(&part).map_err(StoreError::io("create", &part))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("write", &part))?;
        fs::rename(&part, &path).map_err(StoreError::io("rename to", &path))?;
        sync_parent(&path)
    }

    /// Reads a model. A file that is not what the manifest says is removed, so that it is fetched again;
    /// none when there is no file. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read(&self, manifest: &ModelManifest) -> Result<Option<ModelFile>, StoreError> {
        let path = self.file(&manifest.sha256);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let whole = u64::try_from(bytes.len()).is_ok_and(|length| length == manifest.length)
            && sha256_of(&bytes) == manifest.sha256.as_slice();
        match ModelFile::decode(&bytes) {
            Ok(model) if whole => Ok(Some(model)),
            _ => {
                tracing::error!(path = %path.display(), "a model's file is torn: fetched again");
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                Ok(None)
            }
        }
    }

    /// Removes the files of models that `manifests` don't name. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep<'a>(
        &self,
        manifests: impl IntoIterator<Item = &'a ModelManifest>,
    ) -> Result<(), StoreError> {
        let named: Vec<PathBuf> = manifests.into_iter().map(|m| self.file(&m.sha256)).collect();
        for file in files(&self.path)? {
            let model = file.extension().is_some_and(|ending| ending == "model");
            if model && !named.contains(&file) {
                fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
            }
        }
        Ok(())
    }

    /// The hash of the model that is served.
    #[must_use]
    pub fn serving(&self) -> Option<Vec<u8>> {
        self.held().serving.as_ref().map(|model| model.sha256().to_vec())
    }

    /// The model that is served.
    #[must_use]
    pub fn served(&self) -> Option<Arc<ServedModel>> {
        self.held().serving.clone()
    }

    /// Serves a model, or none; the one that was served is held for a rollback.
    pub fn serve(&self, model: Option<Arc<ServedModel>>) {
        let mut held = self.held();
        let was = std::mem::replace(&mut held.serving, model);
        if was.is_some() {
            held.before = was;
        }
    }

    /// The model before, if it is the one of that hash.
    #[must_use]
    pub fn before(&self, sha256: &[u8]) -> Option<Arc<ServedModel>> {
        self.held().before.clone().filter(|model| model.sha256() == sha256)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(path).map_err(StoreError::io("list", path))?;
    entries.map(|entry| Ok(entry.map_err(StoreError::io("list", path))?.path())).collect()
}
