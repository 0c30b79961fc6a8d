//! Reading a whole tree as it was at one moment, while batches go on being applied.
//!
//! sled's iterators are not snapshots. A scan therefore goes page by page under the lock that batches
//! are written under, and batches leave in an overlay the old values of the keys that the scan has
//! not reached yet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::error::StoreError;
use super::group::{GroupInner, Writing};
use super::rows::Row;
use super::state::AppliedState;
use super::view::group_range;

/// Rows of one page. While a page is read no batch is written, so it is kept short.
const PAGE_ROWS: usize = 256;

/// Bytes of old values kept for a scan; batches wait when it lags behind so far.
const OVERLAY_BYTES_MAX: usize = 64 << 20;

/// The old values of keys that were changed since a scan began and that it has not reached.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Tells this scan from a later one.
    number: u64,
    cursor: Option<Bytes>,
    before: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

impl Overlay {
    /// Keeps what `key` held before its first change.
    pub(crate) fn remember(&mut self, key: &Bytes, old: Option<Bytes>) {
        if self.cursor.as_ref().is_some_and(|cursor| key <= cursor) || self.before.contains_key(key)
        {
            return;
        }
        self.bytes += size(key, old.as_ref());
        self.before.insert(key.clone(), old);
    }

    /// Takes the lock of a batch, once the scan's overlay has room.
    pub(crate) fn wait_for_room(group: &GroupInner) -> MutexGuard<'_, Writing> {
        let full =
            |w: &mut Writing| w.overlay.as_ref().is_some_and(|o| o.bytes > OVERLAY_BYTES_MAX);
        let waited = group.room.wait_while(group.writing(), full);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the old values up to and including `upto`, all of them if it is absent.
    fn take(&mut self, upto: Option<&Bytes>) -> BTreeMap<Bytes, Option<Bytes>> {
        let rest = match upto {
            None => BTreeMap::new(),
            Some(upto) => {
                let mut rest = self.before.split_off(upto);
                if let Some((key, old)) = rest.remove_entry(upto) {
                    self.before.insert(key, old);
                }
                rest
            }
        };
        let taken = std::mem::replace(&mut self.before, rest);
        self.bytes -= taken.iter().map(|(key, old)| size(key, old.as_ref())).sum::<usize>();
        taken
    }
}

fn size(key: &Bytes, old: Option<&Bytes>) -> usize {
    key.len() + old.map_or(0, Bytes::len)
}

/// A scan of one group's state at one moment.
pub(crate) struct Scan {
    group: Arc<GroupInner>,
    state: AppliedState,
    number: u64,
    done: bool,
}

impl Scan {
    pub(crate) fn begin(group: &Arc<GroupInner>) -> Self {
        let mut writing = group.writing();
        let state = writing.state.clone();
        writing.scans += 1;
        let number = writing.scans;
        writing.overlay = Some(Overlay { number, ..Overlay::default() });
        drop(writing);
        Self { group: group.clone(), state, number, done: false }
    }

    /// The state that is scanned.
    pub(crate) fn state(&self) -> &AppliedState {
        &self.state
    }

    /// The next rows in the order of their keys; empty at the end.
    pub(crate) fn next_page(&mut self) -> Result<Vec<Row>, StoreError> {
        while !self.done {
            let page = self.read_page()?;
            self.group.room.notify_all();
            if !page.is_empty() {
                return Ok(page);
            }
        }
        Ok(Vec::new())
    }

    fn read_page(&mut self) -> Result<Vec<Row>, StoreError> {
        let mut writing = self.group.writing();
        let overlay = writing.overlay.as_mut().filter(|o| o.number == self.number);
        let overlay = overlay.ok_or_else(cut_off)?;
        let from = overlay.cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let Some(range) = group_range((from, Bound::Unbounded)) else { return Err(cut_off()) };
        let rows: Vec<Row> =
            self.group.tree().range(range).take(PAGE_ROWS).collect::<Result<_, _>>()?;
        let upto = rows.last().filter(|_| rows.len() == PAGE_ROWS).map(|row| row.key.clone());
        self.done = upto.is_none();
        let mut page: BTreeMap<Bytes, Option<Bytes>> =
            rows.into_iter().map(|row| (row.key, Some(row.value))).collect();
        page.extend(overlay.take(upto.as_ref()));
        overlay.cursor = upto;
        let rows = page.into_iter().filter_map(|(key, value)| Some(Row { key, value: value? }));
        Ok(rows.collect())
    }
}

fn cut_off() -> StoreError {
    StoreError::Damaged {
        what: "a scan".to_owned(),
        why: "the state was replaced, or another scan began".to_owned(),
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        let mut writing = self.group.writing();
        if writing.overlay.as_ref().is_some_and(|o| o.number == self.number) {
            writing.overlay = None;
        }
        drop(writing);
        self.group.room.notify_all();
    }
}
