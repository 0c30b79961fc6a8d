//! Large tables on 2 MiB pages: a random read then costs one cache miss, not a page walk besides.
#![allow(
    unsafe_code,
    reason = "the global allocator's API; nothing safe gives aligned, advised memory"
)]

use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::error::AnnError;

/// Bytes of a huge page; also the least table that is worth one.
const PAGE: usize = 2 << 20;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Numbers for which every pattern of bits, zero too, is a value.
pub(crate) trait Plain: Copy + Send + Sync + 'static + sealed::Sealed {
    /// What a fresh table is filled with.
    const ZERO: Self;
}

mod sealed {
    pub(crate) trait Sealed {}
}

macro_rules! plain {
    ($($number:ty: $zero:expr),*) => {$(
        impl sealed::Sealed for $number {}
        impl Plain for $number {
            const ZERO: Self = $zero;
        }
    )*};
}
plain!(u8: 0, u32: 0, f32: 0.0);

/// A table of fixed length that begins on a cache line, and on a huge page if it fills one.
pub(crate) struct Huge<T: Plain> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: a table owns its memory alone and hands it out by the usual borrowing rules.
unsafe impl<T: Plain> Send for Huge<T> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Plain> Sync for Huge<T> {}

impl<T: Plain> Huge<T> {
    /// A table of `len` zeros.
    ///
    /// # Errors
    /// [`AnnError::Memory`] when it can't be had.
    pub(crate) fn zeros(len: usize) -> Result<Self, AnnError> {
        let layout = layout::<T>(len).ok_or(no_memory::<T>(len))?;
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        // SAFETY: the layout has a size, since `len` and the size of `T` are not zero.
        let bytes = unsafe { alloc(layout) };
        let start = NonNull::new(bytes.cast::<T>()).ok_or(no_memory::<T>(len))?;
        if layout.align() == PAGE {
            advise(bytes, layout.size());
        }
        for at in 0..len {
            // SAFETY: `at` is within the block, which nobody else has yet. Written only after the
            // advice, so that the first touch maps huge pages.
            unsafe { start.add(at).write(T::ZERO) };
        }
        Ok(Self { start, len })
    }

    /// A table of these values.
    ///
    /// # Errors
    /// [`AnnError::Memory`] when it can't be had.
    pub(crate) fn of(values: &[T]) -> Result<Self, AnnError> {
        let mut table = Self::zeros(values.len())?;
        table.copy_from_slice(values);
        Ok(table)
    }
}

impl<T: Plain> Deref for Huge<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` holds `len` initialised values for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for Huge<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Plain> Drop for Huge<T> {
    fn drop(&mut self) {
        if let Some(layout) = layout::<T>(self.len).filter(|_| self.len > 0) {
            // SAFETY: allocated in `zeros` with this very layout, and not used after.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

impl<T: Plain> std::fmt::Debug for Huge<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Huge({} values)", self.len)
    }
}

fn layout<T>(len: usize) -> Option<Layout> {
    let bytes = len.checked_mul(size_of::<T>())?;
    let align = if bytes >= PAGE { PAGE } else { LINE };
    Layout::from_size_align(bytes.checked_next_multiple_of(align)?, align).ok()
}

fn no_memory<T>(len: usize) -> AnnError {
    AnnError::Memory { needed: (len as u64).saturating_mul(size_of::<T>() as u64), allowed: 0 }
}

/// Asks for huge pages. Only advice: a refusal costs speed, nothing else.
#[cfg(target_os = "linux")]
fn advise(start: *mut u8, bytes: usize) {
    // SAFETY: the range is a block that was just allocated, aligned to its pages.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_every_size_are_aligned_zeroed_and_kept() {
        for len in [0, 1, 15, 16, 17, 1000, PAGE / 4, PAGE / 4 + 3] {
            let mut table = Huge::<u32>::zeros(len).unwrap();
            assert!(table.iter().all(|&v| v == 0));
            table.iter_mut().zip(0..).for_each(|(slot, v)| *slot = v);
            assert!(table.iter().copied().eq(0..u32::try_from(len).unwrap()));
            let aligned = if len * 4 >= PAGE { PAGE } else { LINE };
            assert!(len == 0 || table.as_ptr().addr().is_multiple_of(aligned));
            assert_eq!(&*Huge::of(&table).unwrap(), &*table);
        }
        assert!(Huge::<f32>::zeros(usize::MAX / 2).is_err());
    }
}
