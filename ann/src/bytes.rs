//! Little-endian numbers to and from a stream, hashed on the way. Reading trusts nothing.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use crate::error::AnnError;
use crate::memory::Huge;

/// Bytes of a SHA-256.
pub(crate) const HASH_BYTES: usize = 32;
/// Bytes moved at a time.
const CHUNK: usize = 1 << 16;

pub(crate) struct Sink<W> {
    out: W,
    hash: Sha256,
    written: u64,
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), written: 0 }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    pub(crate) fn u32(&mut self, value: u32) -> std::io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> std::io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) -> std::io::Result<()> {
        values.iter().try_for_each(|value| self.bytes(&value.to_le_bytes()))
    }

    /// Zeros until so many bytes are written.
    pub(crate) fn zeros_to(&mut self, offset: u64) -> std::io::Result<()> {
        let gap = usize::try_from(offset.saturating_sub(self.written)).unwrap_or_default();
        self.bytes(&vec![0; gap])
    }

    /// Ends the content with its hash. The hash, and the bytes written with it.
    pub(crate) fn seal(mut self) -> std::io::Result<([u8; HASH_BYTES], u64)> {
        let hash: [u8; HASH_BYTES] = self.hash.finalize().into();
        self.out.write_all(&hash)?;
        self.out.flush()?;
        Ok((hash, self.written + HASH_BYTES as u64))
    }
}

/// A stream of known length.
pub(crate) struct Spring<R> {
    source: R,
    hash: Sha256,
    /// Bytes still to come before the hash.
    left: u64,
}

impl<R: Read> Spring<R> {
    /// A stream of `bytes` bytes, the hash at its end among them.
    pub(crate) fn new(source: R, bytes: u64) -> Result<Self, AnnError> {
        let left =
            bytes.checked_sub(HASH_BYTES as u64).ok_or_else(|| unusable("it is too short"))?;
        Ok(Self { source, hash: Sha256::new(), left })
    }

    /// What follows is not its hash.
    pub(crate) fn part(source: R, bytes: u64) -> Self {
        Self { source, hash: Sha256::new(), left: bytes }
    }

    /// Whether nothing is still to come.
    pub(crate) fn is_dry(&self) -> bool {
        self.left == 0
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), AnnError> {
        let short = || unusable("it ends too early");
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(short)?;
        self.source.read_exact(bytes).map_err(|_| short())?;
        self.hash.update(&*bytes);
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], AnnError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, AnnError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, AnnError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn f32_array<const N: usize>(&mut self) -> Result<[f32; N], AnnError> {
        let mut values = [0.0; N];
        self.fours(&mut values, f32::from_le_bytes).map(|()| values)
    }

    /// A number of things of `bytes_each` bytes that are still to come: no more than can be.
    pub(crate) fn count(&mut self, bytes_each: usize) -> Result<usize, AnnError> {
        let count = self.u64()?;
        if count > self.left / bytes_each.max(1) as u64 {
            return Err(unusable("it counts more than it holds"));
        }
        usize::try_from(count).map_err(|_| unusable("it counts more than it holds"))
    }

    /// So many bytes, for which room is made only if they can still come.
    pub(crate) fn raw(&mut self, count: usize) -> Result<Vec<u8>, AnnError> {
        if count as u64 > self.left {
            return Err(unusable("it ends too early"));
        }
        let mut raw = vec![0; count];
        self.fill(&mut raw).map(|()| raw)
    }

    pub(crate) fn text(&mut self, bytes: usize) -> Result<String, AnnError> {
        String::from_utf8(self.raw(bytes)?).map_err(|_| unusable("a name is not text"))
    }

    fn fours<T>(&mut self, mut slots: &mut [T], value: fn([u8; 4]) -> T) -> Result<(), AnnError> {
        let mut bytes = vec![0; CHUNK.min(slots.len() * 4)];
        while !slots.is_empty() {
            let now = slots.len().min(CHUNK / 4);
            let (head, tail) = slots.split_at_mut(now);
            let part = bytes.get_mut(..now * 4).unwrap_or_default();
            self.fill(part)?;
            head.iter_mut().zip(part.as_chunks().0).for_each(|(slot, &b)| *slot = value(b));
            slots = tail;
        }
        Ok(())
    }

    /// Numbers whose count was checked by [`Spring::count`].
    pub(crate) fn u32s(&mut self, count: usize) -> Result<Huge<u32>, AnnError> {
        self.room(count)?;
        let mut values = Huge::zeros(count)?;
        self.fours(&mut values, u32::from_le_bytes).map(|()| values)
    }

    pub(crate) fn f32s(&mut self, count: usize) -> Result<Huge<f32>, AnnError> {
        self.room(count)?;
        let mut values = Huge::zeros(count)?;
        self.fours(&mut values, f32::from_le_bytes).map(|()| values)
    }

    /// Refuses to make room for more than is still to come.
    fn room(&self, count: usize) -> Result<(), AnnError> {
        if (count as u64).saturating_mul(4) > self.left {
            return Err(unusable("it counts more than it holds"));
        }
        Ok(())
    }

    /// The hash of the content, once all of it was read and it is what the stream ends with.
    pub(crate) fn check(
        mut self,
        expected: Option<&[u8; HASH_BYTES]>,
    ) -> Result<[u8; HASH_BYTES], AnnError> {
        if self.left > 0 {
            return Err(unusable("it goes on after its end"));
        }
        let mut end = [0; HASH_BYTES];
        self.source.read_exact(&mut end).map_err(|_| unusable("it ends too early"))?;
        let found: [u8; HASH_BYTES] = self.hash.finalize().into();
        differs(&found, &end, expected)?;
        Ok(found)
    }
}

/// Refuses content whose hash is not the one that it ends with, or not the expected one.
pub(crate) fn differs(
    found: &[u8; HASH_BYTES],
    end: &[u8],
    expected: Option<&[u8; HASH_BYTES]>,
) -> Result<(), AnnError> {
    let expected = expected.map_or(end, |hash| hash);
    if found != expected || found != end {
        return Err(AnnError::Hash { found: hex(found), expected: hex(expected) });
    }
    Ok(())
}

pub(crate) fn unusable(why: &str) -> AnnError {
    AnnError::File { why: why.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
