//! Which rows stand at which node.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::AnnError;
use crate::memory::Huge;
use crate::space::{ROW_LIMIT, Row};
use crate::table::Table;

const NONE: u32 = u32::MAX;

/// The rows of a generation, in node order. A *slot* is a row's position in that order.
#[derive(Debug)]
pub(crate) struct Slots {
    rows: Table<Row>,
    /// Slots of node `n`: `first[n]..first[n + 1]`. None where each node has just one.
    first: Option<Table<u32>>,
    of_row: OfRow,
}

/// Slot of each row.
#[derive(Debug)]
enum OfRow {
    /// By row number: rows are dense as a rule.
    Table(Table<u32>),
    Sparse(HashMap<Row, u32>),
}

impl Slots {
    /// Rows in node order; `sizes` says how many each node has.
    ///
    /// # Errors
    /// [`AnnError::Memory`] when it can't be had.
    pub(crate) fn new(rows: &[Row], sizes: &[usize]) -> Result<Self, AnnError> {
        let mut end = 0_usize;
        let ends = sizes.iter().map(|size| {
            end += size;
            u32::try_from(end).unwrap_or(NONE)
        });
        let several = sizes.iter().any(|&size| size != 1);
        let bounds: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let first = several.then(|| Huge::of(&bounds).map(Table::from)).transpose()?;
        Ok(Self { rows: Huge::of(rows)?.into(), first, of_row: OfRow::new(rows)? })
    }

    /// Slots of `nodes` nodes of tables as a file has them: the rows, [`Slots::bounds`] and [`Slots::places`],
    /// which are empty where there are none; `None` if they contradict each other.
    pub(crate) fn of_tables(
        rows: Table<Row>,
        bounds: Table<u32>,
        places: Table<u32>,
        nodes: usize,
    ) -> Option<Self> {
        let single = bounds.is_empty() && rows.len() == nodes;
        let several = || rising(&bounds, rows.len()) && bounds.len() == nodes + 1;
        let length = OfRow::length(&rows);
        let dense = OfRow::dense(length, rows.len());
        let agree = places.len() == if dense { length } else { 0 } && length <= ROW_LIMIT as usize;
        if !agree || !(single || several()) {
            return None;
        }
        let of_row = match dense {
            true => OfRow::Table(places),
            false => OfRow::sparse(&rows),
        };
        of_row.is_of(&rows).then(|| Self { first: (!single).then_some(bounds), rows, of_row })
    }

    /// The same slots under other rows: as many, none twice.
    ///
    /// # Errors
    /// [`AnnError::Memory`] when it can't be had.
    pub(crate) fn renumbered(self, rows: &[Row]) -> Result<Self, AnnError> {
        debug_assert_eq!(rows.len(), self.rows.len());
        let of_row = OfRow::new(rows)?;
        Ok(Self { of_row, rows: Huge::of(rows)?.into(), first: self.first })
    }

    /// Where each node's slots begin, and where the last one's end; none where each has just one.
    pub(crate) fn bounds(&self) -> Option<&[u32]> {
        self.first.as_deref()
    }

    /// The slot of each row up to the greatest, where rows are dense.
    pub(crate) fn places(&self) -> Option<&[u32]> {
        match &self.of_row {
            OfRow::Table(table) => Some(table),
            OfRow::Sparse(_) => None,
        }
    }

    /// Slots of each node, by such bounds; none if they are no such bounds of `slots` slots.
    pub(crate) fn sizes(bounds: &[u32], slots: usize) -> Option<Vec<usize>> {
        let size = |w: &[u32]| match *w {
            [from, to] => to.abs_diff(from) as usize,
            _ => 0,
        };
        rising(bounds, slots).then(|| bounds.windows(2).map(size).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    #[inline]
    pub(crate) fn row(&self, slot: u32) -> Option<Row> {
        self.rows.get(slot as usize).copied()
    }

    #[inline]
    pub(crate) fn slot(&self, row: Row) -> Option<u32> {
        match &self.of_row {
            OfRow::Table(table) => table.get(row as usize).copied().filter(|&slot| slot != NONE),
            OfRow::Sparse(map) => map.get(&row).copied(),
        }
    }

    /// Whether each node has just one row, so that its slot has its number.
    #[inline]
    pub(crate) fn single(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn of_node(&self, node: u32) -> Range<u32> {
        let Some(first) = &self.first else { return node..node + 1 };
        let bound = |at: usize| first.get(at).copied().unwrap_or_default();
        bound(node as usize)..bound(node as usize + 1)
    }

    #[inline]
    pub(crate) fn node(&self, slot: u32) -> u32 {
        let Some(first) = &self.first else { return slot };
        let after = first.partition_point(|&f| f <= slot);
        u32::try_from(after.saturating_sub(1)).unwrap_or(NONE)
    }
}

/// Whether these are bounds of `slots` slots: from 0 to all of them, each beyond the one before.
fn rising(bounds: &[u32], slots: usize) -> bool {
    let ends = bounds.first() == Some(&0) && bounds.last().map(|&b| b as usize) == Some(slots);
    ends && bounds.windows(2).all(|w| matches!(w, [from, to] if from < to))
}

impl OfRow {
    fn new(rows: &[Row]) -> Result<Self, AnnError> {
        let length = Self::length(rows);
        if !Self::dense(length, rows.len()) {
            return Ok(Self::sparse(rows));
        }
        let mut table = Huge::zeros(length)?;
        table.fill(NONE);
        for (&row, slot) in rows.iter().zip(0..) {
            table.get_mut(row as usize).into_iter().for_each(|entry| *entry = slot);
        }
        Ok(Self::Table(table.into()))
    }

    fn sparse(rows: &[Row]) -> Self {
        Self::Sparse(rows.iter().copied().zip(0..).collect())
    }

    /// Entries of a table of them.
    fn length(rows: &[Row]) -> usize {
        rows.iter().max().map_or(0, |&row| row as usize + 1)
    }

    /// Whether a table of that length is worth its memory.
    fn dense(length: usize, rows: usize) -> bool {
        length <= rows * 4 + 4096
    }

    /// Whether it has these rows, none twice, and no others.
    fn is_of(&self, rows: &[Row]) -> bool {
        match self {
            Self::Table(table) => {
                let place = |row: Row| table.get(row as usize).copied();
                rows.iter().zip(0..).all(|(&row, slot)| place(row) == Some(slot))
                    && table.iter().filter(|&&slot| slot != NONE).count() == rows.len()
            }
            Self::Sparse(map) => map.len() == rows.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[Row], sizes: &[usize]) {
        let slots = Slots::new(rows, sizes).unwrap();
        let nodes =
            sizes.iter().zip(0u32..).flat_map(|(&size, node)| std::iter::repeat_n(node, size));
        for ((slot, &row), node) in (0u32..).zip(rows).zip(nodes) {
            assert_eq!((slots.row(slot), slots.slot(row)), (Some(row), Some(slot)));
            assert_eq!(slots.node(slot), node);
            assert!(slots.of_node(node).contains(&slot));
        }
        assert_eq!(slots.slot(12_345), None);
        assert_eq!(slots.single(), sizes.iter().all(|&s| s == 1));
        let again = stored(
            rows,
            slots.bounds().unwrap_or_default(),
            slots.places().unwrap_or_default(),
            sizes.len(),
        );
        assert_eq!(again.unwrap().places(), slots.places());
    }

    fn stored(rows: &[Row], bounds: &[u32], places: &[u32], nodes: usize) -> Option<Slots> {
        let table = |values: &[u32]| Table::from(Huge::of(values).unwrap());
        Slots::of_tables(table(rows), table(bounds), table(places), nodes)
    }

    #[test]
    fn tables_that_contradict_each_other_are_refused() {
        assert!(stored(&[1, 0], &[], &[1, 0], 2).is_some());
        assert!(stored(&[1, 0], &[0, 2], &[1, 0], 1).is_some());
        assert!(stored(&[1, 0], &[], &[1, 0], 1).is_none(), "other nodes");
        assert!(stored(&[1, 0], &[0, 1], &[1, 0], 1).is_none(), "bounds of less");
        assert!(stored(&[1, 0], &[0, 0, 2], &[1, 0], 2).is_none(), "a node without a row");
        assert!(stored(&[1, 0], &[0, 2, 2], &[1, 0], 2).is_none(), "a node without a row");
        assert!(stored(&[1, 0], &[], &[0, 1], 2).is_none(), "rows elsewhere");
        assert!(stored(&[1, 1], &[], &[NONE, 1], 2).is_none(), "a row twice");
        assert!(stored(&[2, 0], &[], &[1, 0, 0], 2).is_none(), "a row that is none");
        assert!(stored(&[1, 0], &[], &[], 2).is_none(), "no places");
        assert!(stored(&[0, 2_000_000], &[], &[], 2).is_some());
        assert!(stored(&[2_000_000, 2_000_000], &[], &[], 2).is_none(), "a row twice");
        assert!(stored(&[0, ROW_LIMIT], &[], &[], 2).is_none(), "a row too large");
    }

    #[test]
    fn rows_slots_and_nodes_agree() {
        check(&[4, 0, 2], &[1, 1, 1]);
        check(&[4, 0, 2, 9, 7], &[2, 1, 2]);
        check(&[4, 0, 2_000_000], &[2, 1]);
        check(&[], &[]);
    }
}
