//! The node's decision log: append-only, each record chained to the one before by SHA-256.
//!
//! ```text
//! decisions/<UTC day>.log   "bailiwick decisions 1\n", then records
//! record                    length u32 LE | DecisionRecord | SHA-256(hash before, length, record)
//! ```
//! A file begins with the hash that the day before ended with, so that a record can't be changed, taken
//! out or put in without breaking the chain behind it. A request does not wait for the disk: what a crash
//! loses is the end of the log, which the chain shows as an end and nothing else. The queue is bounded; a
//! request that finds it full is shed, so that nothing is decided without being logged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::kind::Kind;
use bailiwick_net::Supervisor;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::DecisionRecord;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

/// The version of records and files.
pub const FORMAT: u32 = 1;
const HEADER: &[u8] = b"bailiwick decisions 1\n";
const HASH_BYTES: usize = 32;
/// Records that wait for the disk.
const QUEUE: usize = 8192;
/// Bytes of one record.
const RECORD_BYTES_MAX: u32 = 64 << 10;
/// A request that finds the queue full may come back after this time.
const RETRY: Duration = Duration::from_millis(200);

type Hash = [u8; HASH_BYTES];

/// Where decisions are written.
#[derive(Debug, Clone)]
pub struct Decisions {
    queue: mpsc::Sender<DecisionRecord>,
}

/// A log that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not a decision log, or of a newer version.
    #[error("{} is not a decision log of version {FORMAT}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// A record does not follow from the one before.
    #[error("{}: the chain breaks at byte {offset}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: usize,
    },
}

impl Decisions {
    /// Writes into `dir`, made if there is none, going on with the chain that is there.
    ///
    /// # Errors
    /// When the folder can't be made or the last file's chain does not hold.
    pub fn open(dir: &Path, tasks: &Supervisor) -> Result<Self, ChainError> {
        let failed = |source| ChainError::Io { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let last = match files(dir).map_err(failed)?.pop() {
            Some(path) => tail(&path)?,
            None => Hash::default(),
        };
        let (queue, records) = mpsc::channel(QUEUE);
        let writer = Writer { dir: dir.to_owned(), last, day: String::new(), file: None };
        let escalate = tasks.clone();
        tasks.spawn_blocking("decisions", move || {
            if let Err(error) = writer.run(records) {
                escalate.escalate("decisions", error.to_string());
            }
        });
        Ok(Self { queue })
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Overloaded when the disk does not keep up.
    pub fn write(&self, record: DecisionRecord) -> Result<(), Failure> {
        self.queue.try_send(record).map_err(|_| {
            Failure::new(Kind::Overloaded, "the decision log does not keep up").retry_after(RETRY)
        })
    }
}

struct Writer {
    dir: PathBuf,
    last: Hash,
    day: String,
    file: Option<File>,
}

impl Writer {
    /// Ends when the last sender is gone, with everything written and synced.
    fn run(mut self, mut records: mpsc::Receiver<DecisionRecord>) -> io::Result<()> {
        let mut batch = Vec::new();
        while records.blocking_recv_many(&mut batch, QUEUE) > 0 {
            for record in batch.drain(..) {
                self.append(&record)?;
            }
            self.file.as_ref().map_or(Ok(()), File::sync_data)?;
        }
        Ok(())
    }

    fn append(&mut self, record: &DecisionRecord) -> io::Result<()> {
        let day = UnixMillis(record.at_ms).day().map(|day| day.to_string()).unwrap_or_default();
        if self.file.is_none() || day > self.day {
            self.begin(day)?;
        }
        let framed = frame(&record.encode_to_vec());
        self.last = chained(&self.last, &framed);
        let bytes = [framed.as_slice(), &self.last].concat();
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&bytes))
    }

    fn begin(&mut self, day: String) -> io::Result<()> {
        let path = self.dir.join(format!("{day}.log"));
        let fresh = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        if fresh {
            file.write_all(&[HEADER, &self.last].concat())?;
            File::open(&self.dir)?.sync_all()?;
        }
        (self.day, self.file) = (day, Some(file));
        Ok(())
    }
}

fn frame(record: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), record].concat()
}

fn chained(before: &Hash, framed: &[u8]) -> Hash {
    Sha256::new().chain_update(before).chain_update(framed).finalize().into()
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The last hash of a file; a record that a crash cut short is cut off.
fn tail(path: &Path) -> Result<Hash, ChainError> {
    let failed = |source| ChainError::Io { path: path.to_owned(), source };
    let (records, hash, whole) = walk(path)?;
    drop(records);
    let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
    let length = u64::try_from(whole).unwrap_or(u64::MAX);
    file.set_len(length).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(hash)
}

/// Reads a day's records and checks the chain.
///
/// # Errors
/// [`ChainError`] where it does not hold.
pub fn read(path: &Path) -> Result<Vec<DecisionRecord>, ChainError> {
    walk(path).map(|(records, _, _)| records)
}

/// The records, the last hash, and the bytes that are whole.
fn walk(path: &Path) -> Result<(Vec<DecisionRecord>, Hash, usize), ChainError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| ChainError::Io { path: path.to_owned(), source })?;
    let header = || ChainError::Header { path: path.to_owned() };
    let rest = bytes.strip_prefix(HEADER).ok_or_else(header)?;
    let (first, mut rest) = rest.split_first_chunk::<HASH_BYTES>().ok_or_else(header)?;
    let (mut hash, mut records) = (*first, Vec::new());
    while let Some((framed, found, after)) = split(rest) {
        let broken = || ChainError::Broken {
            path: path.to_owned(),
            offset: bytes.len().saturating_sub(rest.len()),
        };
        let expected = chained(&hash, framed);
        let body = framed.get(4..).unwrap_or_default();
        let record = DecisionRecord::decode(body).map_err(|_| broken())?;
        if *found != expected {
            return Err(broken());
        }
        (hash, rest) = (expected, after);
        records.push(record);
    }
    Ok((records, hash, bytes.len().saturating_sub(rest.len())))
}

/// The first record with its length, its hash, and what follows; none at a cut or empty end.
fn split(bytes: &[u8]) -> Option<(&[u8], &Hash, &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    let framed = usize::try_from(length.min(RECORD_BYTES_MAX)).ok()?.checked_add(4)?;
    let (framed, rest) = bytes.split_at_checked(framed)?;
    let (hash, rest) = rest.split_first_chunk::<HASH_BYTES>()?;
    Some((framed, hash, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: i64) -> DecisionRecord {
        DecisionRecord {
            format: FORMAT,
            at_ms: n * 1000,
            variant: "editorial".into(),
            ..Default::default()
        }
    }

    async fn write(dir: &Path, range: std::ops::Range<i64>) {
        let tasks = Supervisor::new();
        let log = Decisions::open(dir, &tasks).unwrap();
        range.for_each(|n| log.write(record(n)).unwrap());
        drop(log);
        tasks.shutdown(Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn the_chain_goes_on_over_a_restart_and_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..5).await;
        let path = dir.path().join("1970-01-01.log");
        let whole = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(whole - 3).unwrap();
        write(dir.path(), 10..12).await;
        let times: Vec<i64> = read(&path).unwrap().iter().map(|r| r.at_ms / 1000).collect();
        assert_eq!(times, [0, 1, 2, 3, 10, 11]);
    }

    #[tokio::test]
    async fn a_changed_record_breaks_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..5).await;
        let path = dir.path().join("1970-01-01.log");
        let whole = fs::read(&path).unwrap();
        // Anything from the first record on, but for lengths, which make the end look cut.
        let at = HEADER.len() + HASH_BYTES + 4 + 2;
        for offset in [at, at + 40, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[offset] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(matches!(read(&path), Err(ChainError::Broken { .. })), "{offset}");
        }
    }
}
