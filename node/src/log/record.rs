//! Records and their frames.
//!
//! ```text
//! magic u32 | length u32 | checksum u32 | version u8 | kind u8 | synced u32 | body (protobuf)
//! ```
//! Little-endian. `length` counts from `version` on, and so does the checksum, which begins with the
//! segment's salt: bytes of an older file, or bytes that look like a record inside a value, are never
//! taken for one. `synced` is how much of the segment was durable when the record was written. That
//! tells damage from a torn end: when a bad record is followed by one that was written after the bad
//! one had been synced, something acknowledged is lost.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;

use super::Position;

const MAGIC: [u8; 4] = *b"bwR1";
pub(crate) const VERSION: u8 = 1;
/// Bytes before the counted part.
const HEAD: usize = 12;
/// Version, kind and `synced`.
const PREFIX: usize = 6;
/// Bytes of one record: an entry of one upload, with room.
pub(crate) const RECORD_BYTES_MAX: usize = 80 << 20;

/// What is known of a group besides its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hard {
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<Position>,
    pub(crate) purged: Option<Position>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry, first written or carried over from an old segment.
    Entry { group: Arc<str>, at: Position, body: Bytes },
    /// The vote of a group.
    Vote { group: Arc<str>, vote: Bytes },
    /// The last committed position that was told.
    Committed { group: Arc<str>, at: Option<Position> },
    /// Entries from `from` on are void.
    Truncate { group: Arc<str>, from: u64 },
    /// Entries up to `upto` are no longer needed.
    Purge { group: Arc<str>, upto: Position },
    /// Everything besides entries, repeated at the head of each segment.
    State { group: Arc<str>, hard: Hard },
    /// The node has left the group.
    Forget { group: Arc<str> },
    /// Segments up to this one may be gone.
    Released { segment: u64 },
    /// Nothing but the proof, in `synced`, that what is before it was made durable.
    Mark,
}

#[derive(Clone, PartialEq, Message)]
struct PositionForm {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RecordForm {
    #[prost(string, tag = "1")]
    group: String,
    /// Of an entry; committed of a state; `from` of a truncation; the segment released.
    #[prost(message, optional, tag = "2")]
    at: Option<PositionForm>,
    /// An entry's bytes, or a vote.
    #[prost(bytes = "bytes", optional, tag = "3")]
    body: Option<Bytes>,
    #[prost(message, optional, tag = "4")]
    purged: Option<PositionForm>,
}

fn form(position: Position) -> PositionForm {
    PositionForm { term: position.term, index: position.index }
}

fn position(form: &PositionForm) -> Position {
    Position { term: form.term, index: form.index }
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Entry { .. } => 1,
            Self::Vote { .. } => 2,
            Self::Committed { .. } => 3,
            Self::Truncate { .. } => 4,
            Self::Purge { .. } => 5,
            Self::State { .. } => 6,
            Self::Forget { .. } => 7,
            Self::Mark => 8,
            Self::Released { .. } => 9,
        }
    }

    fn to_form(&self) -> RecordForm {
        let named =
            |group: &Arc<str>| RecordForm { group: group.to_string(), ..Default::default() };
        match self {
            Self::Entry { group, at, body } => {
                RecordForm { at: Some(form(*at)), body: Some(body.clone()), ..named(group) }
            }
            Self::Vote { group, vote } => RecordForm { body: Some(vote.clone()), ..named(group) },
            Self::Committed { group, at } => RecordForm { at: at.map(form), ..named(group) },
            Self::Truncate { group, from } => {
                RecordForm { at: Some(PositionForm { term: 0, index: *from }), ..named(group) }
            }
            Self::Purge { group, upto } => RecordForm { purged: Some(form(*upto)), ..named(group) },
            Self::State { group, hard } => RecordForm {
                at: hard.committed.map(form),
                body: hard.vote.clone(),
                purged: hard.purged.map(form),
                ..named(group)
            },
            Self::Released { segment } => {
                let at = Some(PositionForm { term: 0, index: *segment });
                RecordForm { at, ..Default::default() }
            }
            Self::Forget { group } => named(group),
            Self::Mark => RecordForm::default(),
        }
    }

    fn from_form(kind: u8, f: RecordForm) -> Option<Self> {
        let group: Arc<str> = f.group.into();
        let at = f.at.as_ref().map(position);
        let purged = f.purged.as_ref().map(position);
        Some(match kind {
            1 => Self::Entry { group, at: at?, body: f.body? },
            2 => Self::Vote { group, vote: f.body? },
            3 => Self::Committed { group, at },
            4 => Self::Truncate { group, from: at?.index },
            5 => Self::Purge { group, upto: purged? },
            6 => Self::State { group, hard: Hard { vote: f.body, committed: at, purged } },
            7 => Self::Forget { group },
            8 => Self::Mark,
            9 => Self::Released { segment: at?.index },
            _ => return None,
        })
    }
}

fn checksum(salt: u32, counted: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(counted);
    hasher.finalize()
}

/// Appends the frame of `record` to `out`, and returns its length.
pub(crate) fn encode(record: &Record, salt: u32, synced: u32, out: &mut Vec<u8>) -> usize {
    let form = record.to_form();
    let mut counted = Vec::with_capacity(PREFIX + form.encoded_len());
    counted.extend([VERSION, record.kind()]);
    counted.extend(synced.to_le_bytes());
    form.encode_raw(&mut counted);
    frame(&counted, salt, out);
    HEAD + counted.len()
}

/// Puts a head with a checksum before what is counted.
pub(crate) fn frame(counted: &[u8], salt: u32, out: &mut Vec<u8>) {
    out.extend(MAGIC);
    out.extend(u32::try_from(counted.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(checksum(salt, counted).to_le_bytes());
    out.extend(counted);
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole record.
    Whole {
        record: Record,
        /// Bytes of the frame.
        length: usize,
        /// How much of the segment was durable when it was written.
        synced: u32,
    },
    /// A whole record of a newer build.
    Newer { version: u8 },
    /// Nothing that was ever written whole.
    Bad { why: &'static str },
}

/// The counted part of a frame and the frame's length, if its checksum holds.
fn counted(mut bytes: Bytes, salt: u32) -> Result<(Bytes, usize), &'static str> {
    if bytes.len() < HEAD + PREFIX {
        return Err("the file ends inside a record");
    }
    let mut magic = [0; 4];
    bytes.copy_to_slice(&mut magic);
    if magic != MAGIC {
        return Err("no record begins here");
    }
    let length = usize::try_from(bytes.get_u32_le()).unwrap_or(usize::MAX);
    let expected = bytes.get_u32_le();
    if !(PREFIX..=RECORD_BYTES_MAX).contains(&length) {
        return Err("the record's length is not plausible");
    }
    if bytes.len() < length {
        return Err("the file ends inside a record");
    }
    bytes.truncate(length);
    match checksum(salt, &bytes) == expected {
        true => Ok((bytes, HEAD + length)),
        false => Err("the record's checksum does not hold"),
    }
}

/// Reads the frame at the beginning of `bytes`.
pub(crate) fn decode(bytes: Bytes, salt: u32) -> Frame {
    let (mut counted, length) = match counted(bytes, salt) {
        Ok(found) => found,
        Err(why) => return Frame::Bad { why },
    };
    let (version, kind, synced) = (counted.get_u8(), counted.get_u8(), counted.get_u32_le());
    if version > VERSION {
        return Frame::Newer { version };
    }
    let form = RecordForm::decode(counted).ok();
    match form.and_then(|form| Record::from_form(kind, form)) {
        Some(record) => Frame::Whole { record, length, synced },
        None => Frame::Bad { why: "the record is of no known kind" },
    }
}

/// Whether a record follows somewhere in `bytes` that was written when more than `offset` bytes of
/// the segment were durable.
pub(crate) fn synced_later(bytes: &Bytes, salt: u32, offset: u64) -> bool {
    let mut at = 0;
    while let Some(next) = find_magic(bytes, at) {
        if let Ok((mut counted, _)) = counted(bytes.slice(next..), salt) {
            counted.advance(2);
            if u64::from(counted.get_u32_le()) > offset {
                return true;
            }
        }
        at = next + 1;
    }
    false
}

fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(MAGIC.len()).position(|window| window == MAGIC).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Arc<str> {
        "users-eu-0".into()
    }

    fn all() -> Vec<Record> {
        let at = Position { term: 3, index: 7 };
        let hard = Hard { vote: Some(Bytes::from_static(b"v")), committed: Some(at), purged: None };
        vec![
            Record::Entry { group: group(), at, body: Bytes::from_static(b"body") },
            Record::Vote { group: group(), vote: Bytes::from_static(b"vote") },
            Record::Committed { group: group(), at: None },
            Record::Truncate { group: group(), from: 9 },
            Record::Purge { group: group(), upto: at },
            Record::State { group: group(), hard },
            Record::Forget { group: group() },
            Record::Released { segment: 4 },
            Record::Mark,
        ]
    }

    #[test]
    fn every_record_comes_back_and_no_damaged_one_does() {
        for record in all() {
            let mut out = Vec::new();
            let length = encode(&record, 5, 11, &mut out);
            assert_eq!(length, out.len());
            let whole = Frame::Whole { record, length, synced: 11 };
            assert_eq!(decode(Bytes::from(out.clone()), 5), whole);
            assert!(matches!(decode(Bytes::from(out.clone()), 6), Frame::Bad { .. }), "other salt");
            for at in 0..out.len() {
                let mut bad = out.clone();
                bad[at] ^= 0x40;
                assert!(matches!(decode(Bytes::from(bad), 5), Frame::Bad { .. }), "flip at {at}");
                let cut = Bytes::copy_from_slice(&out[..at]);
                assert!(matches!(decode(cut, 5), Frame::Bad { .. }), "cut at {at}");
            }
        }
    }

    #[test]
    fn only_a_record_written_after_a_sync_proves_damage() {
        let mut out = b"garbage".to_vec();
        encode(&Record::Mark, 5, 100, &mut out);
        let bytes = Bytes::from(out);
        assert!(synced_later(&bytes, 5, 99));
        assert!(!synced_later(&bytes, 5, 100));
        assert!(!synced_later(&bytes, 6, 0), "a record of another file proves nothing");
    }
}
