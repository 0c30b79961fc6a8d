//! The one that writes: batches to the newest file, and file after file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::UnixMillis;
use bailiwick_proto::store::DecisionRecord;
use tokio::sync::mpsc;

use super::QUEUE;
use super::chain::{self, ChainError, End, HEADER, Hash, chained, frame};

/// A file that is as long is followed by another: a start reads no more than the newest.
const FILE_BYTES: u64 = 64 << 20;

/// Appends records to the newest file.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    last: Hash,
    /// The name of the newest file without its ending: day and number.
    newest: Option<Name>,
    file: Option<(File, u64)>,
    /// All that was written is on disk.
    synced: bool,
}

/// `<UTC day>.<number>`: sorts as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    day: String,
    number: u32,
}

impl Name {
    fn read(path: &Path) -> Option<Self> {
        let (day, number) = path.file_name()?.to_str()?.strip_suffix(".log")?.split_once('.')?;
        Some(Self { day: day.to_owned(), number: number.parse().ok()? })
    }

    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.{:06}.log", self.day, self.number))
    }

    /// The file after this one, for a record of `day`.
    fn next(&self, day: String) -> Self {
        if day > self.day {
            Self { day, number: 0 }
        } else {
            Self { day: self.day.clone(), number: self.number + 1 }
        }
    }
}

impl Writer {
    pub(super) fn open(dir: &Path) -> Result<Self, ChainError> {
        let failed = ChainError::io(dir);
        fs::create_dir_all(dir).map_err(&failed)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            last: Hash::default(),
            newest: None,
            file: None,
            synced: true,
        };
        let mut names = names(dir).map_err(&failed)?;
        while let Some(name) = names.pop() {
            let path = name.path(dir);
            let Some(end) = chain::end(&path)? else {
                // Cut before its first sync: there was no record in it.
                fs::remove_file(&path).map_err(ChainError::io(&path))?;
                continue;
            };
            let file = mend(&path, &end).map_err(ChainError::io(&path))?;
            writer.file = Some((file, u64::try_from(end.whole).unwrap_or(u64::MAX)));
            (writer.last, writer.newest) = (end.hash, Some(name));
            break;
        }
        Ok(writer)
    }

    /// Ends when the last sender is gone, with everything written and synced.
    pub(super) fn run(mut self, mut records: mpsc::Receiver<DecisionRecord>) -> io::Result<()> {
        let mut batch = Vec::new();
        while records.blocking_recv_many(&mut batch, QUEUE) > 0 {
            for record in batch.drain(..) {
                self.append(&record)?;
            }
            self.file.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())?;
            self.synced = true;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, record: &DecisionRecord) -> io::Result<()> {
        let day = UnixMillis(record.at_ms).day().map(|day| day.to_string()).unwrap_or_default();
        let full = self.file.as_ref().is_none_or(|(_, bytes)| *bytes >= FILE_BYTES);
        if full || self.newest.as_ref().is_none_or(|newest| day > newest.day) {
            self.begin(day)?;
        }
        let framed = frame(record, std::mem::take(&mut self.synced));
        self.last = chained(&self.last, &framed);
        let bytes = [framed.as_slice(), &self.last].concat();
        if let Some((file, length)) = self.file.as_mut() {
            file.write_all(&bytes)?;
            *length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    fn begin(&mut self, day: String) -> io::Result<()> {
        if let Some((file, _)) = self.file.take() {
            // A later file is on disk only behind this one.
            file.sync_data()?;
        }
        let name = match &self.newest {
            Some(newest) => newest.next(day),
            None => Name { day, number: 0 },
        };
        let path = name.path(&self.dir);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        let header = [HEADER, &self.last].concat();
        file.write_all(&header)?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        self.file = Some((file, u64::try_from(header.len()).unwrap_or(u64::MAX)));
        self.newest = Some(name);
        self.synced = true;
        Ok(())
    }
}

fn names(dir: &Path) -> io::Result<Vec<Name>> {
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    let mut names: Vec<Name> = paths.iter().filter_map(|path| Name::read(path)).collect();
    names.sort();
    Ok(names)
}

/// Opens a file at the end of its chain; what a crash cut short is kept beside it for who wants to look.
fn mend(path: &Path, end: &End) -> io::Result<File> {
    let file = OpenOptions::new().append(true).open(path)?;
    if !end.torn.is_empty() {
        tracing::warn!(
            file = %path.display(), offset = end.whole, bytes = end.torn.len(),
            "the end of the decision log was cut short; it is set aside"
        );
        let aside = path.with_extension(format!("torn-{}", end.whole));
        let mut torn =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside)?;
        torn.write_all(&end.torn)?;
        torn.sync_all()?;
        file.set_len(u64::try_from(end.whole).unwrap_or(u64::MAX))?;
    }
    // After a crash without a power cut the last batch may still be in memory alone.
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FORMAT;
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn record(n: i64) -> DecisionRecord {
        DecisionRecord {
            format: FORMAT,
            at_ms: n * 1000,
            variant: "editorial".into(),
            ..Default::default()
        }
    }

    /// Writes the records as one batch.
    fn write(dir: &Path, range: std::ops::Range<i64>) {
        let (queue, records) = mpsc::channel(QUEUE);
        range.for_each(|n| queue.try_send(record(n)).unwrap());
        drop(queue);
        Writer::open(dir).unwrap().run(records).unwrap();
    }

    fn first(dir: &Path) -> PathBuf {
        dir.join("1970-01-01.000000.log")
    }

    fn kept(path: &Path) -> Vec<i64> {
        chain::read(path).unwrap().iter().map(|record| record.at_ms / 1000).collect()
    }

    #[test]
    fn the_chain_goes_on_over_a_restart_and_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..5);
        let path = first(dir.path());
        let whole = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(whole - 3).unwrap();
        write(dir.path(), 10..12);
        assert_eq!(kept(&path), [0, 1, 2, 3, 10, 11]);
    }

    #[test]
    fn a_day_has_its_own_file_that_follows_from_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..2);
        let next = DAY_MS / 1000;
        write(dir.path(), next..next + 1);
        let before = chain::end(&first(dir.path())).unwrap().unwrap().hash;
        let second = dir.path().join("1970-01-02.000000.log");
        assert!(fs::read(&second).unwrap()[HEADER.len()..].starts_with(&before));
        assert_eq!(kept(&second), [next]);
        // A clock that was set back goes on in the newest file.
        write(dir.path(), 3..4);
        assert_eq!(kept(&second), [next, 3]);
    }

    #[test]
    fn a_file_whose_beginning_was_not_synced_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..3);
        for torn in [vec![], vec![0; 700], HEADER[..9].to_vec()] {
            fs::write(dir.path().join("1970-01-02.000000.log"), torn).unwrap();
            write(dir.path(), 3..4);
            assert!(!dir.path().join("1970-01-02.000000.log").exists());
        }
        assert_eq!(kept(&first(dir.path())), [0, 1, 2, 3, 3, 3]);
        fs::write(dir.path().join("1970-01-02.000000.log"), b"bailiwick decisions 9\n").unwrap();
        let refused = Writer::open(dir.path()).err().unwrap();
        assert!(refused.to_string().contains("not a decision log of version 1"), "{refused}");
    }

    #[test]
    fn a_changed_record_breaks_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..3);
        write(dir.path(), 3..5);
        let path = first(dir.path());
        let whole = fs::read(&path).unwrap();
        let at = HEADER.len() + size_of::<Hash>();
        for offset in [at, at + 4 + 2, at + 40] {
            let mut bytes = whole.clone();
            bytes[offset] ^= 1;
            fs::write(&path, bytes).unwrap();
            for error in [chain::read(&path).err(), Writer::open(dir.path()).err()] {
                assert!(matches!(error, Some(ChainError::Broken { .. })), "{offset}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// A power cut leaves of the last batch whatever pages it likes, zeros in place of the others.
        #[test]
        fn whatever_a_cut_leaves_of_the_last_batch_the_log_opens(
            from in 0_usize..700, zeros in 0_usize..700, cut in 0_usize..700,
        ) {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), 0..3);
            let path = first(dir.path());
            let synced = fs::metadata(&path).unwrap().len() as usize;
            write(dir.path(), 3..10);
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(bytes.len().saturating_sub(cut).max(synced));
            let from = (synced + from).min(bytes.len());
            bytes[from..].iter_mut().take(zeros).for_each(|byte| *byte = 0);
            fs::write(&path, bytes).unwrap();
            write(dir.path(), 20..21);
            let kept = kept(&path);
            prop_assert!(kept.starts_with(&[0, 1, 2]) && kept.ends_with(&[20]), "{:?}", kept);
        }
    }
}
