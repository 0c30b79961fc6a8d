//! Which rows a search may return.

use std::sync::{Arc, Weak};

use crate::attributes::Attributes;
use crate::bitmap::{Bitmap, ones};
use crate::find::Matches;
use crate::live::Generation;
use crate::predicate::Predicate;
use crate::select;
use crate::space::Row;

/// Of this many nodes at most one must match for a list of the matching ones to be kept: skipping the
/// others' bits then takes longer than reading it.
const LISTED_SHARE: usize = 32;

/// Which rows a search may return.
#[derive(Clone, Copy)]
pub enum Filter<'a> {
    /// Every live row.
    All,
    /// The rows of a set.
    Rows(&'a Bitmap),
    /// The rows of a set that was prepared by [`crate::LiveIndex::prepare`]: quicker than the set.
    Prepared(&'a Prepared),
    /// The rows that a predicate accepts. It is called for rows that the search meets, in any order,
    /// as often as the budget allows; it must not call back into a search that waits for it.
    Where(&'a (dyn Fn(Row) -> bool + 'a)),
    /// The rows of whose columns a predicate holds. Keywords are looked up as sets, numbers where many match are
    /// asked row by row.
    Matching(&'a Predicate),
}

impl Filter<'_> {
    #[inline]
    pub(crate) fn accepts(&self, row: Row, attributes: Option<&Attributes>) -> bool {
        match self {
            Self::All => true,
            Self::Rows(set) => set.contains(row),
            Self::Prepared(prepared) => prepared.rows.contains(row),
            Self::Where(accepts) => accepts(row),
            Self::Matching(predicate) => select::accepts(predicate, attributes),
        }
    }
}

/// A set of rows, and where they are in one generation. It stays right after a merge, only slower:
/// prepare it anew then.
#[derive(Debug, Clone)]
pub struct Prepared {
    rows: Bitmap,
    nodes: Vec<u64>,
    /// The same one after the other, if they are few.
    list: Option<Vec<u32>>,
    count: usize,
    generation: Weak<Generation>,
}

impl Prepared {
    pub(crate) fn new(rows: Bitmap, generation: &Arc<Generation>) -> Self {
        let slots = &generation.frozen.slots;
        let mut nodes = vec![0_u64; generation.frozen.nodes().div_ceil(64)];
        for slot in rows.iter().filter_map(|row| slots.slot(row)) {
            let node = slots.node(slot);
            nodes.get_mut((node >> 6) as usize).into_iter().for_each(|w| *w |= 1 << (node & 63));
        }
        let count = nodes.iter().map(|w| w.count_ones() as usize).sum();
        let few = count * LISTED_SHARE <= generation.frozen.nodes();
        let list = few.then(|| ones(&nodes).collect());
        Self { rows, nodes, list, count, generation: Arc::downgrade(generation) }
    }

    /// The set.
    #[must_use]
    pub fn rows(&self) -> &Bitmap {
        &self.rows
    }

    /// The matching nodes of `generation`, as bits and to be gone through, if prepared for that one.
    pub(crate) fn nodes(&self, generation: &Arc<Generation>) -> Option<(&[u64], Matches<'_>)> {
        let same = std::ptr::eq(self.generation.as_ptr(), Arc::as_ptr(generation));
        let matches = match &self.list {
            Some(list) => Matches::Listed(list),
            None => Matches::Nodes(&self.nodes, self.count),
        };
        same.then_some((self.nodes.as_slice(), matches))
    }
}

impl<'a> From<&'a Prepared> for Filter<'a> {
    fn from(prepared: &'a Prepared) -> Self {
        Self::Prepared(prepared)
    }
}

impl<'a> From<&'a Predicate> for Filter<'a> {
    fn from(predicate: &'a Predicate) -> Self {
        Self::Matching(predicate)
    }
}

impl<'a> From<&'a Bitmap> for Filter<'a> {
    fn from(set: &'a Bitmap) -> Self {
        Self::Rows(set)
    }
}

impl<'a> From<Option<&'a Bitmap>> for Filter<'a> {
    fn from(set: Option<&'a Bitmap>) -> Self {
        set.map_or(Self::All, Self::Rows)
    }
}

impl std::fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Rows(set) => write!(f, "Rows({} rows)", set.len()),
            Self::Prepared(prepared) => write!(f, "Prepared({} nodes)", prepared.count),
            Self::Where(_) => f.write_str("Where(..)"),
            Self::Matching(predicate) => write!(f, "Matching({predicate:?})"),
        }
    }
}
