//! The durable buffer: events whose group lacks a quorum wait here, sealed, on a living node of their
//! domain, and are delivered when the group is back.
//!
//! One file a batch, named by time and number, never by person. A batch is acknowledged when its file
//! and the directory are synced; it is removed when it was delivered. A crash in between delivers it
//! twice, which the events' ids make once. What a person may have changed meanwhile counts: the
//! batch carries what the decision was made from, and whoever delivers decides again.

pub(crate) mod batch;
mod error;
mod held;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::ids::{GroupId, UnixMillis};
use bailiwick_core::pinned::Pinned;
use futures::future::BoxFuture;

pub use batch::Batch;
use batch::{decode, encode, unseal};
pub use error::BufferError;
use error::Remedy;
pub use held::{BufferBounds, Waiting};
use held::{Held, Ticket};

use crate::raft::offload::Offload;
use crate::users::Vault;

const WHOLE: &str = "events";
const PART: &str = "part";
const TORN: &str = "torn";

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Its group has it, or had it already.
    Delivered,
    /// The decision has changed: it may not be stored any more.
    Dropped,
    /// Not now; the later batches of its group wait with it.
    NotYet,
}

/// What one round of delivery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Batches that their groups have.
    pub delivered: usize,
    /// Batches that may not be stored any more.
    pub dropped: usize,
    /// Batches older than the bound.
    pub expired: usize,
    /// Files that were set aside.
    pub torn: usize,
    /// Batches that still wait.
    pub waiting: usize,
}

/// The events that wait on this node, on disk.
#[derive(Debug)]
pub struct EventBuffer {
    dir: PathBuf,
    bounds: BufferBounds,
    offload: Offload,
    held: Mutex<Held>,
    /// One round of delivery at a time.
    flushing: tokio::sync::Mutex<()>,
}

impl EventBuffer {
    /// Opens the buffer in `dir`, made if there is none, and finds what an earlier process left: whole
    /// files wait on, a file that was never acknowledged goes, a torn one is set aside. What waits is read
    /// where `offload` says.
    ///
    /// # Errors
    /// [`BufferError::Io`].
    pub fn open(dir: &Path, bounds: BufferBounds, offload: Offload) -> Result<Self, BufferError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(BufferError::io("create", dir))?;
        let buffer = Self {
            dir: dir.to_owned(),
            bounds,
            offload,
            held: Mutex::new(Held::default()),
            flushing: tokio::sync::Mutex::new(()),
        };
        for entry in fs::read_dir(dir).map_err(BufferError::io("list", dir))? {
            let entry = entry.map_err(BufferError::io("list", dir))?;
            buffer.find(&entry.file_name().to_string_lossy())?;
        }
        sync_dir(dir)?;
        Ok(buffer)
    }

    /// How much waits.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.held().waiting()
    }

    /// When the oldest of what waits was taken.
    #[must_use]
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.held().oldest()
    }

    /// Stores a batch for the group of `vault`; when this returns, it outlives the process and the
    /// power. Blocks on the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`BufferError`]; then nothing is stored.
    pub fn put(&self, vault: &Vault, batch: &Batch) -> Result<(), BufferError> {
        let bytes = encode(vault, batch)?;
        let size = size(&bytes);
        let ticket = self.held().reserve(batch.received, size, &self.bounds)?;
        let written = self.write(ticket, &bytes);
        match written {
            Ok(()) => self.held().written(ticket, size),
            Err(_) => self.held().release(size),
        }
        written
    }

    /// Delivers what waits, oldest first: opens each batch with its group's vault and hands it, pinned,
    /// to `deliver`, which decides again and proposes. A batch is removed once it was delivered or
    /// dropped; batches without a vault here, or behind one that is not delivered yet, wait on.
    ///
    /// # Errors
    /// [`BufferError::Io`] when a file can't be read or removed; what was not removed waits on.
    pub async fn deliver<'f>(
        &self,
        now: UnixMillis,
        vault_of: impl Fn(&GroupId) -> Option<Arc<Vault>>,
        mut deliver: impl FnMut(Pinned<Batch>) -> BoxFuture<'f, Delivery>,
    ) -> Result<Flushed, BufferError> {
        let _one_at_a_time = self.flushing.lock().await;
        let mut flushed = Flushed { expired: self.expire(now)?, ..Flushed::default() };
        let mut stuck: Vec<GroupId> = Vec::new();
        for ticket in self.tickets() {
            let (group, batch) = match self.read(ticket, &vault_of).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) => {
                    flushed.torn += self.remedy(ticket, error)?;
                    continue;
                }
            };
            if stuck.contains(&group) {
                continue;
            }
            match deliver(batch).await {
                Delivery::Delivered => flushed.delivered += 1,
                Delivery::Dropped => flushed.dropped += 1,
                Delivery::NotYet => {
                    stuck.push(group);
                    continue;
                }
            }
            self.discard(ticket)?;
        }
        sync_dir(&self.dir)?;
        flushed.waiting = self.waiting().batches;
        Ok(flushed)
    }

    /// Removes what is older than the bound, torn files too.
    fn expire(&self, now: UnixMillis) -> Result<usize, BufferError> {
        let over = |ticket: &Ticket| ticket.is_over(now, self.bounds.age_ms_max);
        let expired: Vec<Ticket> = self.tickets().into_iter().filter(over).collect();
        for ticket in &expired {
            self.discard(*ticket)?;
        }
        if !expired.is_empty() {
            tracing::warn!(batches = expired.len(), "buffered events were not delivered in time");
        }
        for entry in fs::read_dir(&self.dir).map_err(BufferError::io("list", &self.dir))? {
            let path = entry.map_err(BufferError::io("list", &self.dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if Ticket::of(&name).is_some_and(|(ticket, ending)| ending == TORN && over(&ticket)) {
                fs::remove_file(&path).map_err(BufferError::io("remove", &path))?;
            }
        }
        Ok(expired.len())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.held().tickets()
    }

    fn path(&self, ticket: Ticket, ending: &str) -> PathBuf {
        self.dir.join(ticket.name(ending))
    }

    /// Takes in a file that was there at the start.
    fn find(&self, name: &str) -> Result<(), BufferError> {
        let Some((ticket, ending)) = Ticket::of(name) else { return Ok(()) };
        let path = self.dir.join(name);
        match ending {
            PART => fs::remove_file(&path).map_err(BufferError::io("remove", &path)),
            WHOLE => {
                let bytes = fs::read(&path).map_err(BufferError::io("read", &path))?;
                self.held().adopt(ticket, size(&bytes));
                decode(&bytes).map_or_else(|error| self.remedy(ticket, error).map(drop), |_| Ok(()))
            }
            _ => Ok(()),
        }
    }

    /// Written beside, synced, renamed, directory synced: whole or not there.
    fn write(&self, ticket: Ticket, bytes: &[u8]) -> Result<(), BufferError> {
        let (part, whole) = (self.path(ticket, PART), self.path(ticket, WHOLE));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, &whole)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|source| {
            // Not acknowledged, so it may not be delivered either; a leftover part goes at the start.
            let _ = fs::remove_file(&part);
            let _ = fs::remove_file(&whole);
            BufferError::Io { what: "write", path: whole, source }
        })
    }

    /// A batch and its group; none when its group has no vault here.
    async fn read(
        &self,
        ticket: Ticket,
        vault_of: &impl Fn(&GroupId) -> Option<Arc<Vault>>,
    ) -> Result<Option<(GroupId, Pinned<Batch>)>, BufferError> {
        let path = self.path(ticket, WHOLE);
        let from = path.clone();
        let read = self.offload.call(move || fs::read(from)).await.flatten();
        let bytes = read.map_err(BufferError::io("read", &path))?;
        let file = decode(&bytes)?;
        let group: GroupId = file.group.parse()?;
        let Some(vault) = vault_of(&group) else { return Ok(None) };
        let batch = unseal(&vault, &file)?;
        Ok(Some((group, Pinned::new(vault.home().clone(), batch))))
    }

    fn discard(&self, ticket: Ticket) -> Result<(), BufferError> {
        let path = self.path(ticket, WHOLE);
        fs::remove_file(&path).map_err(BufferError::io("remove", &path))?;
        self.held().remove(ticket);
        Ok(())
    }

    /// Deals with a batch that could not be read; how many files were set aside.
    fn remedy(&self, ticket: Ticket, error: BufferError) -> Result<usize, BufferError> {
        match error.remedy() {
            Remedy::SetAside => self.set_aside(ticket, &error).map(|()| 1),
            Remedy::Wait => {
                tracing::warn!(%error, "buffered events wait");
                Ok(0)
            }
            Remedy::GiveUp => Err(error),
        }
    }

    fn set_aside(&self, ticket: Ticket, error: &BufferError) -> Result<(), BufferError> {
        let (from, to) = (self.path(ticket, WHOLE), self.path(ticket, TORN));
        tracing::warn!(%error, file = %to.display(), "buffered events are set aside");
        fs::rename(&from, &to).map_err(BufferError::io("set aside", &from))?;
        self.held().remove(ticket);
        Ok(())
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn sync_dir(dir: &Path) -> Result<(), BufferError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(BufferError::io("sync", dir))
}
