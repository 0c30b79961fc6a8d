//! Little-endian numbers in and out of bytes. Reading trusts nothing.

use crate::error::AnnError;
use crate::store::file;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32s(&mut self, values: &[u32]) {
        self.out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) {
        self.out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], AnnError> {
        let (head, rest) =
            self.rest.split_at_checked(bytes).ok_or_else(|| file("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AnnError> {
        self.take(N)?.try_into().map_err(|_| file("it ends too early"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, AnnError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, AnnError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things of at least `bytes_each` bytes that are still to come: no more than can be.
    pub(crate) fn count(&mut self, bytes_each: usize) -> Result<usize, AnnError> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        if count > self.rest.len() / bytes_each.max(1) {
            return Err(file("it counts more than it holds"));
        }
        Ok(count)
    }

    pub(crate) fn u32s(&mut self, count: usize) -> Result<Vec<u32>, AnnError> {
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect())
    }

    pub(crate) fn f32s(&mut self, count: usize) -> Result<Vec<f32>, AnnError> {
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    pub(crate) fn end(&self) -> Result<(), AnnError> {
        if self.rest.is_empty() { Ok(()) } else { Err(file("it goes on after its end")) }
    }
}
