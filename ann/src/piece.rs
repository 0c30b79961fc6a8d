//! Part of a table of bytes, which lives as long as any of its parts.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::table::Table;

/// Some bytes of a table.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    table: Arc<Table<u8>>,
    range: Range<usize>,
}

impl Piece {
    /// All of a table.
    pub(crate) fn whole(table: Table<u8>) -> Self {
        let range = 0..table.len();
        Self { table: Arc::new(table), range }
    }

    /// The first so many bytes, and the others; none if it has fewer.
    pub(crate) fn split(&self, bytes: usize) -> Option<(Self, Self)> {
        let middle = self.range.start.checked_add(bytes).filter(|&m| m <= self.range.end)?;
        let part = |range| Self { table: Arc::clone(&self.table), range };
        Some((part(self.range.start..middle), part(middle..self.range.end)))
    }
}

impl Deref for Piece {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.table.get(self.range.clone()).unwrap_or_default()
    }
}
