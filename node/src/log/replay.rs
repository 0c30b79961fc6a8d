//! Opening the log: every record is read again, in order.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Position;
use super::disk::Disk;
use super::error::LogError;
use super::index::{GroupIndex, Index, Place};
use super::record::{self, Frame, Record};
use super::segment::{self, HEADER_BYTES, Header, Segment};
use crate::store::data_dir::DirectoryId;

/// What was found.
pub(crate) struct Replayed {
    pub(crate) index: Index,
    /// The segments with their lengths, the oldest first; the last is written on.
    pub(crate) segments: Vec<(Segment, u64)>,
}

struct Replay<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    id: &'a DirectoryId,
    found: Replayed,
    /// Segments up to this one may be gone.
    released: u64,
}

/// Opens all segments of a directory, or makes the first.
pub(crate) fn open(
    disk: &dyn Disk,
    directory: &Path,
    id: &DirectoryId,
    cache_bytes_max: usize,
) -> Result<Replayed, LogError> {
    disk.create_dir(directory).map_err(LogError::io("create", directory))?;
    let files = disk.list(directory).map_err(LogError::io("list", directory))?;
    let mut numbers: Vec<u64> = files.iter().filter_map(|p| segment::number_of(p)).collect();
    numbers.sort_unstable();
    for (one, next) in numbers.iter().zip(numbers.iter().skip(1)) {
        if one + 1 != *next {
            return Err(LogError::MissingSegment { path: segment::path_of(directory, one + 1) });
        }
    }
    let found = Replayed { index: Index::new(cache_bytes_max), segments: Vec::new() };
    let mut replay = Replay { disk, directory, id, found, released: 0 };
    for number in &numbers {
        replay.segment(*number, numbers.last() == Some(number))?;
    }
    if numbers.first().is_some_and(|first| *first > replay.released + 1) {
        let path = segment::path_of(directory, replay.released + 1);
        return Err(LogError::MissingSegment { path });
    }
    let mut found = replay.found;
    for (name, group) in &mut found.index.groups {
        check_group(name, group)?;
    }
    Ok(found)
}

impl Replay<'_> {
    fn segment(&mut self, number: u64, last: bool) -> Result<(), LogError> {
        let path = segment::path_of(self.directory, number);
        let file = self.disk.open(&path).map_err(LogError::io("open", &path))?;
        let length = file.length().map_err(LogError::io("stat", &path))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
        let salt = match segment::decode(&bytes, &path, number, self.id)? {
            Header::Ours(salt) => salt,
            // The power failed while the file was made, before anything was written to it.
            Header::Torn if last && bytes.len() <= HEADER_BYTES => {
                self.disk.remove(&path).map_err(LogError::io("remove", &path))?;
                let synced = self.disk.sync_dir(self.directory);
                return synced.map_err(LogError::io("sync", self.directory));
            }
            Header::Torn => {
                let why = "its header is damaged".to_owned();
                return Err(LogError::Corrupt { path, offset: 0, why });
            }
        };
        let segment = Segment { number, path, file, salt };
        let length = self.records(&segment, Bytes::from(bytes), last)?;
        self.found.segments.push((segment, length));
        Ok(())
    }

    /// Reads the records of a segment, and cuts off its torn end. Returns its length.
    fn records(&mut self, segment: &Segment, bytes: Bytes, last: bool) -> Result<u64, LogError> {
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let offset = u64::try_from(at).unwrap_or(u64::MAX);
            let rest = bytes.slice(at..);
            match record::decode(rest.clone(), segment.salt) {
                Frame::Whole { record, length, .. } => {
                    let place = Place { segment: segment.number, offset, length };
                    self.apply(record, place);
                    at += length;
                }
                Frame::Newer { version } => {
                    let (path, found) = (segment.path.clone(), version.into());
                    return Err(LogError::Newer { path, found, known: record::VERSION.into() });
                }
                Frame::Bad { why }
                    if !last || record::synced_later(&rest, segment.salt, offset) =>
                {
                    let (path, why) = (segment.path.clone(), why.to_owned());
                    return Err(LogError::Corrupt { path, offset, why });
                }
                Frame::Bad { why } => {
                    let path = segment.path.display();
                    tracing::warn!(%path, offset, why, "the torn end of the log is cut off");
                    segment.file.cut(offset).map_err(LogError::io("cut", &segment.path))?;
                    break;
                }
            }
        }
        if last {
            // A process that was killed may have left bytes that the device has not got yet.
            segment.file.sync().map_err(LogError::io("sync", &segment.path))?;
        }
        Ok(u64::try_from(at).unwrap_or(u64::MAX))
    }

    fn apply(&mut self, record: Record, place: Place) {
        let index = &mut self.found.index;
        match record {
            Record::Entry { group, at, .. } => index.found(&group, at, place),
            Record::Vote { group, vote } => index.group(&group).hard.vote = Some(own(&vote)),
            Record::Committed { group, at } => index.group(&group).hard.committed = at,
            Record::Truncate { group, from } => index.truncate(&group, from),
            Record::Purge { group, upto } => index.purge(&group, upto),
            Record::State { group, hard } => {
                let found = index.group(&group);
                found.hard.vote = hard.vote.as_ref().map(own);
                found.hard.committed = hard.committed;
                if let Some(upto) = hard.purged {
                    index.purge(&group, upto);
                }
            }
            Record::Forget { group } => index.forget(&group),
            Record::Released { segment } => self.released = self.released.max(segment),
            Record::Mark => {}
        }
    }
}

/// A copy: a slice would keep its whole segment in memory.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Checks that a group's entries follow each other and its purge marker.
fn check_group(name: &Arc<str>, group: &mut GroupIndex) -> Result<(), LogError> {
    let mut next = group.hard.purged.map(|purged| purged.index + 1);
    for index in group.slots.keys() {
        if next.is_some_and(|next| next != *index) {
            let index = next.unwrap_or_default();
            return Err(LogError::Hole { group: name.to_string(), index });
        }
        next = index.checked_add(1);
    }
    // The committed position is told without waiting for the disk; it can't be ahead of the entries.
    let last = group.last();
    group.hard.committed =
        group.hard.committed.map(|at| last.map_or(at, |last: Position| at.min(last)));
    if last.is_none() {
        group.hard.committed = None;
    }
    Ok(())
}
