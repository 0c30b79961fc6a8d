//! The checkpoints on a node's disk: the one that `control` names, and one that is to be named.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::learning::{Training, TrainingOptions};
use bailiwick_proto::store::{LearningPhase, LearningRun, TrainingCheckpoint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::file::{self, Checkpoint, CheckpointError};
use crate::files::{Content, Folder};
use crate::learning::ItemOrder;
use crate::store::StoreError;

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;
/// A run takes at most one part of so many for its checkpoints.
const PART: u32 = 20;

/// A checkpoint that no run names yet: written here, or taken from the coordinator.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) run: Vec<u8>,
    pub(super) checkpoint: TrainingCheckpoint,
    /// How long it took to write, where it was written here and nobody else has it yet.
    pub(super) written: Option<Duration>,
}

/// What the last checkpoint took, and when it was done.
#[derive(Debug, Clone, Copy)]
struct Taken {
    at: Instant,
    time: Duration,
}

#[derive(Debug, Default)]
struct Held {
    fresh: Option<Fresh>,
    taken: Option<Taken>,
    /// Files that came, so that a look whether all are named is due after each.
    arrivals: u64,
}

/// The checkpoints of a node.
#[derive(Debug)]
pub struct Checkpoints {
    folder: Arc<Folder>,
    held: Mutex<Held>,
    /// Held while a file gets its name, or loses it.
    naming: Mutex<()>,
    pub(super) written: Notify,
}

/// What is named; a hash that is none names nothing that there is.
pub(super) fn content_of(checkpoint: &TrainingCheckpoint) -> Result<Content, StoreError> {
    Content::named(&checkpoint.sha256, checkpoint.length).ok_or_else(|| StoreError::Damaged {
        what: "a checkpoint's name".to_owned(),
        why: "its hash has not 32 bytes".to_owned(),
    })
}

impl Checkpoints {
    /// The checkpoints in a folder, which is made.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Arc::new(Folder::open(path, "training")?);
        let (held, naming) = (Mutex::default(), Mutex::default());
        Ok(Self { folder, held, naming, written: Notify::new() })
    }

    /// Their files.
    #[must_use]
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the coordinator is to write another: the one before has gone out, and what it took is little beside
    /// what the run took since.
    pub(in crate::learning) fn is_due(&self, run: &[u8]) -> bool {
        let held = self.held();
        let goes_out = held.fresh.as_ref().is_some_and(|f| f.run == run && f.written.is_some());
        !goes_out && held.taken.is_none_or(|taken| taken.at.elapsed() >= taken.time * PART)
    }

    /// Writes a training, durably, to be sent to others. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(in crate::learning) fn write(
        &self,
        run: &[u8],
        options: &TrainingOptions,
        order: &ItemOrder,
        training: &Training,
    ) -> Result<(), StoreError> {
        let (began, part) = (Instant::now(), self.folder.part());
        let mut file = File::create(&part).map_err(StoreError::io("create", &part))?;
        let mut out = BufWriter::with_capacity(BUFFER, &mut file);
        let written = file::write(&mut out, run, options, order, training);
        drop(out);
        let written =
            written.and_then(|()| file.sync_all()).map_err(StoreError::io("write", &part));
        let naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let adopted = written.and_then(|()| self.folder.adopt(&part));
        if adopted.is_err() {
            // If it can't be removed now, the next start does it.
            let _ = std::fs::remove_file(&part);
        }
        let Content { sha256, length } = adopted?;
        let (done, _) = training.progress();
        let checkpoint = TrainingCheckpoint { sha256: sha256.to_vec(), length, done };
        self.hold(Fresh { run: run.to_vec(), checkpoint, written: Some(began.elapsed()) });
        drop(naming);
        self.arrived();
        self.written.notify_one();
        Ok(())
    }

    /// Reads the training that a checkpoint names. A file that is not what its name says is removed; none when there
    /// is no file. Blocks on the disk.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn read(
        &self,
        checkpoint: &TrainingCheckpoint,
        run: &[u8],
        options: TrainingOptions,
    ) -> Result<Option<Checkpoint>, CheckpointError> {
        let io = |error: StoreError| std::io::Error::other(error.to_string());
        let content = content_of(checkpoint).map_err(io)?;
        let Some(path) = self.folder.whole(&content).map_err(io)? else { return Ok(None) };
        let mut from = BufReader::with_capacity(BUFFER, File::open(path)?);
        file::read(&mut from, run, options).map(Some)
    }

    pub(super) fn hold(&self, fresh: Fresh) {
        self.held().fresh = Some(fresh);
    }

    pub(super) fn arrived(&self) {
        let mut held = self.held();
        held.arrivals = held.arrivals.wrapping_add(1);
    }

    /// What was written here and is to go out.
    pub(super) fn to_send(&self) -> Option<Fresh> {
        self.held().fresh.clone().filter(|fresh| fresh.written.is_some())
    }

    /// Takes note that a checkpoint went out, or could not, and how long all of it took.
    pub(super) fn sent(&self, sent: &Fresh, took: Duration) {
        let mut held = self.held();
        held.taken = Some(Taken { at: Instant::now(), time: took });
        if let Some(fresh) = held.fresh.as_mut().filter(|f| f.checkpoint == sent.checkpoint) {
            fresh.written = None;
        }
    }

    /// The checkpoints that are kept: the one that the run names, if it is under way, and one that it is about to
    /// name; and how many files came by now.
    pub(super) fn named(&self, run: Option<&LearningRun>) -> (Vec<Vec<u8>>, u64) {
        let run = run.filter(|run| run.phase() == LearningPhase::Running);
        let mut held = self.held();
        held.fresh.take_if(|fresh| run.is_none_or(|run| run.run != fresh.run));
        let named = run.and_then(|run| run.checkpoint.as_ref()).into_iter();
        let named = named.chain(held.fresh.as_ref().map(|fresh| &fresh.checkpoint));
        (named.map(|checkpoint| checkpoint.sha256.clone()).collect(), held.arrivals)
    }

    /// Removes the files that are not kept. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn keep(&self, run: Option<&LearningRun>) -> Result<(), StoreError> {
        let _naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let (named, _) = self.named(run);
        self.folder.keep(named.iter().map(Vec::as_slice))
    }
}
