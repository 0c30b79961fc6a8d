//! What a command sees and writes: the tree with this batch's own writes over it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::engine::Tree;
use super::error::StoreError;
use super::rows::{self, Row, RowRefusal};

/// The rows of one batch of commands, not yet written.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// The state as a command sees it: every row that was applied before it, in this batch or earlier.
///
/// Reading can't fail for a command. When the store fails underneath, reads answer as if there were
/// nothing and the whole batch is thrown away, so that no command is applied to half a state.
#[derive(Debug)]
pub struct View<'a> {
    tree: &'a Tree,
    changes: Changes,
    fault: OnceCell<StoreError>,
}

impl<'a> View<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self { tree, changes: Changes::new(), fault: OnceCell::new() }
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        if let Some(changed) = self.changes.get(key) {
            return changed.clone();
        }
        rows::check_key(key).ok()?;
        self.tree.get(key).unwrap_or_else(|error| self.fail(error))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`RowRefusal`], the same on every replica, when key or value are not taken; nothing changes.
    pub fn put(&mut self, key: &[u8], value: impl Into<Bytes>) -> Result<(), RowRefusal> {
        let value = value.into();
        rows::check_row(key, &value)?;
        self.changes.insert(Bytes::copy_from_slice(key), Some(value));
        Ok(())
    }

    /// Deletes `key`; a key that is not there, or could not be, is none the worse.
    pub fn delete(&mut self, key: &[u8]) {
        if rows::check_key(key).is_ok() {
            self.changes.insert(Bytes::copy_from_slice(key), None);
        }
    }

    /// The first `limit` rows whose keys begin with `prefix`, after the key `after` if one is given.
    #[must_use]
    pub fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Row> {
        let end = rows::after_prefix(prefix);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.scan((from, to), limit)
    }

    /// The first `limit` rows of a range of keys.
    #[must_use]
    pub fn scan(&self, range: KeyRange<'_>, limit: usize) -> Vec<Row> {
        let Some(range) = group_range(range) else { return Vec::new() };
        let mut merged = Merged {
            tree: self.tree.range(range).peekable(),
            changes: self.changes.range::<[u8], _>(range).peekable(),
        };
        let mut rows = Vec::new();
        while rows.len() < limit {
            match merged.next_row() {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => break,
                Err(error) => return self.fail(error),
            }
        }
        rows
    }

    fn fail<T: Default>(&self, error: StoreError) -> T {
        // Only the first failure counts; the later ones follow from it.
        let _ = self.fault.set(error);
        T::default()
    }

    /// How many rows the batch has changed so far.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// The batch, or the failure that spoilt it.
    pub(crate) fn finish(self) -> Result<Changes, StoreError> {
        match self.fault.into_inner() {
            None => Ok(self.changes),
            Some(fault) => Err(fault),
        }
    }
}

/// A range of keys.
pub type KeyRange<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// The part of a range that is a group's own; none when it is empty, which the maps below would
/// answer with a panic.
pub(crate) fn group_range<'k>((from, to): KeyRange<'k>) -> Option<KeyRange<'k>> {
    let from = match from {
        Bound::Included(key) | Bound::Excluded(key) if key < rows::FIRST_KEY => {
            Bound::Included(rows::FIRST_KEY)
        }
        Bound::Unbounded => Bound::Included(rows::FIRST_KEY),
        other => other,
    };
    let empty = match (from, to) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b))
        | (Bound::Excluded(a), Bound::Included(b)) => a >= b,
        _ => false,
    };
    (!empty).then_some((from, to))
}

/// Two ordered streams as one; the batch's own rows hide the tree's.
struct Merged<T: Iterator, C: Iterator> {
    tree: std::iter::Peekable<T>,
    changes: std::iter::Peekable<C>,
}

impl<'c, T, C> Merged<T, C>
where
    T: Iterator<Item = Result<Row, StoreError>>,
    C: Iterator<Item = (&'c Bytes, &'c Option<Bytes>)>,
{
    fn next_row(&mut self) -> Result<Option<Row>, StoreError> {
        loop {
            let Some((key, _)) = self.changes.peek() else {
                return self.tree.next().transpose();
            };
            if let Some(row) = self.tree.next_if(|row| row.as_ref().map_or(true, |r| r.key < **key))
            {
                return row.map(Some);
            }
            self.tree.next_if(|row| row.as_ref().is_ok_and(|r| r.key == **key));
            if let Some((key, Some(value))) = self.changes.next() {
                return Ok(Some(Row { key: key.clone(), value: value.clone() }));
            }
        }
    }
}
