//! A simulated disk: what was not synced may be lost when its power fails, in part and out of order;
//! calls can be made to fail.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};
use crate::mutant::{Mutant, planted};

/// Bytes that a device writes whole or not at all.
const SECTOR: usize = 512;

/// The calls that change or sync something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A write to a file.
    Write,
    /// A sync of a file.
    Sync,
    /// Any other change: making, removing, cutting, syncing a directory.
    Other,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It fails, and so do later ones of its kind.
    Fails(Call, io::ErrorKind),
    /// The power fails: nothing answers any more.
    PowerCut,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// A file: what a reader sees, what is durable, and the changes in between.
#[derive(Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

type Node = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct SimState {
    files: BTreeMap<PathBuf, Node>,
    /// The files that a directory is sure to have.
    durable: BTreeMap<PathBuf, Node>,
    calls: u64,
    /// At which call what happens.
    plan: Option<(u64, Fault)>,
    tripped: Option<Fault>,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<SimState>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A small deterministic generator (SplitMix64), so that a seed names a run.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

impl Dice {
    /// A place in a list of this length; 0 where it is empty.
    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or_default()
    }
}

impl SimDisk {
    /// Calls counted so far that change or sync something.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.state).calls
    }

    /// From the `nth` call on, counted from now, calls of that kind fail.
    pub fn fail_from(&self, nth: u64, call: Call, kind: io::ErrorKind) {
        let mut state = lock(&self.state);
        state.plan = Some((state.calls + nth, Fault::Fails(call, kind)));
    }

    /// At the `nth` call, counted from now, the power fails.
    pub fn cut_power_at(&self, nth: u64) {
        let mut state = lock(&self.state);
        state.plan = Some((state.calls + nth, Fault::PowerCut));
    }

    /// Bit rot: one bit of one file has changed. Which, `seed` says. A disk without bytes stays as it is.
    pub fn rot(&self, seed: u64) {
        let mut dice = Dice(seed);
        let state = lock(&self.state);
        let written: Vec<&Node> =
            state.files.values().filter(|node| !lock(node).durable.is_empty()).collect();
        let Some(node) = written.get(dice.place(written.len())) else { return };
        let mut content = lock(node);
        let (at, bit) = (dice.place(content.durable.len()), dice.below(8));
        let Content { seen, durable, .. } = &mut *content;
        for byte in [seen.get_mut(at), durable.get_mut(at)].into_iter().flatten() {
            *byte ^= 1 << bit;
        }
    }

    /// What is found after the power has failed: all that was synced, and of the rest whatever `seed`
    /// lets reach the device, sector by sector.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut state = lock(&self.state);
        state.tripped = Some(Fault::PowerCut);
        let mut found = state.durable.clone();
        for (path, node) in &state.files {
            if dice.below(2) == 0 {
                found.insert(path.clone(), node.clone());
            }
        }
        for path in state.durable.keys() {
            if !state.files.contains_key(path) && dice.below(2) == 0 {
                found.remove(path);
            }
        }
        let files = found.into_iter().map(|(path, node)| (path, lock(&node).survivor(&mut dice)));
        let files: BTreeMap<PathBuf, Node> = files.collect();
        let survived = SimState { durable: files.clone(), files, ..SimState::default() };
        Self { state: Arc::new(Mutex::new(survived)) }
    }

    /// A disk with the same files, all of them durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = lock(&self.state);
        let settled = |node: &Node| {
            let seen = lock(node).seen.clone();
            Arc::new(Mutex::new(Content { durable: seen.clone(), seen, pending: Vec::new() }))
        };
        let files: BTreeMap<PathBuf, Node> =
            state.files.iter().map(|(path, node)| (path.clone(), settled(node))).collect();
        let copied = SimState { durable: files.clone(), files, ..SimState::default() };
        Self { state: Arc::new(Mutex::new(copied)) }
    }

    /// The bytes of a file; none when there is no such file.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        Some(lock(lock(&self.state).files.get(path)?).seen.clone())
    }

    /// All files as a reader sees them.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = lock(&self.state);
        state.files.iter().map(|(path, node)| (path.clone(), lock(node).seen.clone())).collect()
    }

    /// Sets the bytes of a file, durably.
    pub fn set_bytes(&self, path: &Path, bytes: &[u8]) {
        let content =
            Content { seen: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() };
        let node = Arc::new(Mutex::new(content));
        let mut state = lock(&self.state);
        state.files.insert(path.to_owned(), node.clone());
        state.durable.insert(path.to_owned(), node);
    }

    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, SimState>> {
        let mut state = lock(&self.state);
        state.calls += 1;
        if state.plan.is_some_and(|(at, _)| state.calls >= at) {
            state.tripped = state.plan.take().map(|(_, fault)| fault).or(state.tripped);
        }
        match state.tripped {
            Some(Fault::PowerCut) => Err(io::Error::other("the power is off")),
            Some(Fault::Fails(failing, kind)) if failing == call => Err(kind.into()),
            _ => Ok(state),
        }
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.pending.push(change);
    }

    /// The file as the device has it: durable bytes, and some sectors of some pending changes.
    fn survivor(&self, dice: &mut Dice) -> Node {
        let mut left = self.durable.clone();
        for change in &self.pending {
            match (dice.below(3), change) {
                (0, _) => {}
                (1, Change::Write(offset, bytes)) => torn(&mut left, *offset, bytes, dice),
                _ => apply(&mut left, change),
            }
        }
        Arc::new(Mutex::new(Content { seen: left.clone(), durable: left, pending: Vec::new() }))
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(length) => bytes.resize(usize::try_from(*length).unwrap_or_default(), 0),
        Change::Write(offset, written) => {
            let start = usize::try_from(*offset).unwrap_or_default();
            let end = start + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(place) = bytes.get_mut(start..end) {
                place.copy_from_slice(written);
            }
        }
    }
}

/// Writes some of the sectors only.
fn torn(bytes: &mut Vec<u8>, offset: u64, written: &[u8], dice: &mut Dice) {
    let mut at = offset;
    for sector in written.chunks(SECTOR) {
        if dice.below(2) == 0 {
            apply(bytes, &Change::Write(at, sector.to_vec()));
        }
        at += u64::try_from(sector.len()).unwrap_or_default();
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: Node,
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let state = lock(&self.state);
        let inside = state.files.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.call(Call::Other)?;
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = Node::default();
        state.files.insert(path.to_owned(), node.clone());
        Ok(Arc::new(SimFile { disk: self.clone(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = lock(&self.state).files.get(path).cloned();
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), node }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.call(Call::Other)?.files.remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Other)?;
        let inside = |path: &PathBuf| path.parent() == Some(directory);
        let now: Vec<_> = state
            .files
            .iter()
            .filter(|(p, _)| inside(p))
            .map(|(p, n)| (p.clone(), n.clone()))
            .collect();
        state.durable.retain(|path, _| !inside(path));
        state.durable.extend(now);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(lock(&self.node).seen.len()).unwrap_or_default())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = lock(&self.node);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = content.seen.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let cut = matches!(lock(&self.disk.state).plan, Some((_, Fault::PowerCut)));
        let called = self.disk.call(Call::Write).map(drop);
        // A write under way when the power fails may still reach the device, or a part of it.
        if called.is_ok() || cut {
            lock(&self.node).change(Change::Write(offset, bytes.to_vec()));
        }
        called
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        drop(self.disk.call(Call::Other)?);
        lock(&self.node).change(Change::Cut(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.call(Call::Sync)?);
        if planted(Mutant::SkipSync) {
            return Ok(());
        }
        let mut content = lock(&self.node);
        content.durable = content.seen.clone();
        content.pending.clear();
        Ok(())
    }
}
