//! Tables that no longer change: in memory of their own, or views into a file that was read or mapped.
#![allow(
    unsafe_code,
    reason = "nothing safe views a mapped file as numbers for as long as the file is held"
)]

use std::fs::File;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::Mmap;

use crate::memory::{Huge, Plain};

/// The bytes of a whole file.
#[derive(Debug)]
pub(crate) enum Store {
    /// Read into memory.
    Read(Huge<u8>),
    /// Where the system keeps the file.
    Mapped(Mmap),
}

impl Store {
    /// Maps a file, to be read only.
    ///
    /// What is promised of it: files of indexes are written under another name and renamed once they are
    /// whole, never written in place, so the bytes under a mapping stay what they are; and a file that is
    /// replaced or removed lives on until its last mapping is gone. Who truncates it nonetheless ends this
    /// process by a bus error at the next touch beyond the new end; who writes into it changes answers, but
    /// leads no search out of its memory, since lengths are kept apart from the mapping and ids are
    /// clamped to them.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn map(file: &File) -> std::io::Result<Self> {
        // SAFETY: nobody writes to the file, as promised above.
        let map = unsafe { Mmap::map(file) }?;
        advise(&map);
        Ok(Self::Mapped(map))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Asks for huge pages: what the system has yet to read of the file then comes in such, if the file system has
/// them, and is searched as fast as memory of one's own. What it read before in small pages stays in these. Only
/// advice: a refusal costs speed, nothing else. To ask for all of the file at once took longer than it saved.
fn advise(map: &Mmap) {
    #[cfg(target_os = "linux")]
    {
        _ = map.advise(Advice::HugePage);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = map;
}

/// A table of fixed length that begins on a cache line.
///
/// INVARIANT: `start` is aligned for a `T`, and `len` values there are initialised, do not change, and live as
/// long as `held`.
pub(crate) struct Table<T: Plain> {
    start: NonNull<T>,
    len: usize,
    held: Held<T>,
}

/// What a table lies in.
enum Held<T: Plain> {
    Own(Huge<T>),
    Shared(Arc<Store>),
}

// SAFETY: what a table shows does not change, and both kinds of memory may be read and dropped on any thread.
unsafe impl<T: Plain> Send for Table<T> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Plain> Sync for Table<T> {}

/// Bytes of a cache line, at whose multiples tables begin.
const LINE: usize = 64;

impl<T: Plain> Table<T> {
    /// These bytes of a store as numbers; none if they are beyond its end, off a cache line, or no whole
    /// numbers.
    pub(crate) fn of(store: &Arc<Store>, range: Range<usize>) -> Option<Self> {
        let bytes = store.bytes().get(range)?;
        let whole = bytes.len().is_multiple_of(size_of::<T>());
        let even = bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(LINE);
        if !whole || !even {
            return None;
        }
        // Empty ones may begin anywhere.
        let start = match bytes.is_empty() {
            true => NonNull::dangling(),
            false => NonNull::from(bytes).cast::<T>(),
        };
        let held = Held::Shared(Arc::clone(store));
        Some(Self { start, len: bytes.len() / size_of::<T>(), held })
    }
}

impl<T: Plain> From<Huge<T>> for Table<T> {
    fn from(own: Huge<T>) -> Self {
        let values: &[T] = &own;
        Self { start: NonNull::from(values).cast(), len: values.len(), held: Held::Own(own) }
    }
}

impl<T: Plain> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: by the invariant, whose memory `held` keeps where it is: what it points to does not move
        // when the table does. Every pattern of bits is a `T`, and nobody has it to write to.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.held {
            Held::Own(own) => own.fmt(f),
            Held::Shared(store) => {
                write!(f, "{} values of {} bytes", self.len, store.bytes().len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(store: &Arc<Store>) {
        let numbers = |from: usize, to: usize| Table::<u32>::of(store, from..to);
        let expected: Vec<u32> = (16..32).collect();
        assert_eq!(*numbers(64, 128).unwrap(), *expected);
        assert!(numbers(64, 64).unwrap().is_empty() && numbers(256, 256).unwrap().is_empty());
        assert!(numbers(64, 127).is_none(), "no whole numbers");
        assert!(numbers(32, 64).is_none(), "off a line");
        assert!(numbers(192, 260).is_none() && numbers(320, 320).is_none(), "beyond the end");
        assert_eq!(Table::<u8>::of(store, 0..3).unwrap()[..], [0, 0, 0]);
    }

    #[test]
    fn what_is_read_and_what_is_mapped_shows_the_same() {
        let bytes: Vec<u8> = (0_u32..64).flat_map(u32::to_ne_bytes).collect();
        check(&Arc::new(Store::Read(Huge::of(&bytes).unwrap())));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        check(&Arc::new(Store::map(&file).unwrap()));
    }

    #[test]
    fn a_store_lives_as_long_as_its_last_table() {
        let store = Arc::new(Store::Read(Huge::of(&[7_u8; 128]).unwrap()));
        let held = Arc::downgrade(&store);
        let tables = [0..64, 64..128].map(|range| Table::<u8>::of(&store, range).unwrap());
        drop(store);
        let [first, second] = tables;
        drop(first);
        assert!(held.upgrade().is_some() && second.iter().all(|&b| b == 7));
        drop(second);
        assert!(held.upgrade().is_none());
    }
}
