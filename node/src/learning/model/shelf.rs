//! The models on a node's disk, by hash, and which of them is served.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_proto::store::ModelManifest;

use super::{ModelFile, ServedModel};
use crate::files::{Content, Folder, sha256_of};
use crate::store::StoreError;

/// Nodes of one process read in turn: a file and its parts are several times as large as what is kept of them.
static READING: Mutex<()> = Mutex::new(());

/// What is kept in memory: the model that is served, and the one before, so that a rollback is at once.
#[derive(Default)]
struct Held {
    serving: Option<Arc<ServedModel>>,
    before: Option<Arc<ServedModel>>,
}

/// The models of a node.
pub struct Models {
    folder: Arc<Folder>,
    held: Mutex<Held>,
}

/// What a manifest names; a hash that is none names nothing that there is.
pub(super) fn content_of(manifest: &ModelManifest) -> Result<Content, StoreError> {
    Content::named(&manifest.sha256, manifest.length).ok_or_else(|| StoreError::Damaged {
        what: "a model's manifest".to_owned(),
        why: "its hash has not 32 bytes".to_owned(),
    })
}

impl Models {
    /// The models in a folder, which is made.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { folder: Arc::new(Folder::open(path, "model")?), held: Mutex::default() })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their files.
    #[must_use]
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Keeps a file's bytes under their hash, durably. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] when the bytes are not those that `sha256` names.
    pub fn put(&self, sha256: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let damaged = |why: String| {
            let what = self.folder.file(sha256).display().to_string();
            StoreError::Damaged { what, why }
        };
        ModelFile::decode(bytes).map_err(|error| damaged(error.to_string()))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let content = Content::named(sha256, length);
        let content = content.ok_or_else(|| damaged("its hash has not 32 bytes".to_owned()))?;
        let mut arrival = self.folder.begin(content)?;
        arrival.write(bytes)?;
        arrival.finish()
    }

    /// Reads a model. A file that is not what the manifest says is removed, so that it is fetched again;
    /// none when there is no file. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read(&self, manifest: &ModelManifest) -> Result<Option<ModelFile>, StoreError> {
        let _turn = READING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = self.bytes(manifest)? else { return Ok(None) };
        match ModelFile::decode(&bytes) {
            Ok(model) => Ok(Some(model)),
            Err(_) => self.discard(manifest),
        }
    }

    /// Whether there is the very file that the manifest names; another one in its place is removed. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn has(&self, manifest: &ModelManifest) -> Result<bool, StoreError> {
        Ok(self.bytes(manifest)?.is_some())
    }

    fn bytes(&self, manifest: &ModelManifest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.file(&manifest.sha256);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let whole = u64::try_from(bytes.len()).is_ok_and(|length| length == manifest.length)
            && sha256_of(&bytes) == manifest.sha256.as_slice();
        if whole { Ok(Some(bytes)) } else { self.discard(manifest) }
    }

    fn discard<T>(&self, manifest: &ModelManifest) -> Result<Option<T>, StoreError> {
        let path = self.folder.file(&manifest.sha256);
        tracing::error!(path = %path.display(), "a model's file is torn: fetched again");
        self.folder.remove(&manifest.sha256)?;
        Ok(None)
    }

    /// Removes the files of models that `manifests` don't name. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep<'a>(
        &self,
        manifests: impl IntoIterator<Item = &'a ModelManifest>,
    ) -> Result<(), StoreError> {
        self.folder.keep(manifests.into_iter().map(|manifest| manifest.sha256.as_slice()))
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
