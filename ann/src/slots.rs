//! Which rows stand at which node.

use std::collections::HashMap;
use std::ops::Range;

use crate::space::Row;

const NONE: u32 = u32::MAX;

/// The rows of a generation, in node order. A *slot* is a row's position in that order.
#[derive(Debug)]
pub(crate) struct Slots {
    rows: Vec<Row>,
    /// Slots of node `n`: `first[n]..first[n + 1]`. None where each node has just one.
    first: Option<Vec<u32>>,
    of_row: OfRow,
}

/// Slot of each row.
#[derive(Debug)]
enum OfRow {
    /// By row number: rows are dense as a rule.
    Table(Vec<u32>),
    Sparse(HashMap<Row, u32>),
}

impl Slots {
    /// Rows in node order; `sizes` says how many each node has.
    pub(crate) fn new(rows: Vec<Row>, sizes: &[usize]) -> Self {
        let mut end = 0_usize;
        let ends = sizes.iter().map(|size| {
            end += size;
            u32::try_from(end).unwrap_or(NONE)
        });
        let several = sizes.iter().any(|&size| size != 1);
        let first = several.then(|| std::iter::once(0).chain(ends).collect());
        let of_row = OfRow::new(&rows);
        Self { rows, first, of_row }
    }

    /// The same slots under other rows: as many, none twice.
    pub(crate) fn renumbered(self, rows: Vec<Row>) -> Self {
        debug_assert_eq!(rows.len(), self.rows.len());
        Self { of_row: OfRow::new(&rows), rows, first: self.first }
    }

    /// Where each node's slots begin, and where the last one's end; none where each has just one.
    pub(crate) fn bounds(&self) -> Option<&[u32]> {
        self.first.as_deref()
    }

    /// Slots of each node, by such bounds; none if they are no such bounds of `slots` slots.
    pub(crate) fn sizes(bounds: &[u32], slots: usize) -> Option<Vec<usize>> {
        let ends = bounds.first() == Some(&0) && bounds.last().map(|&b| b as usize) == Some(slots);
        let sizes = bounds.windows(2).map(|w| match *w {
            [from, to] if from < to => Some((to - from) as usize),
            _ => None,
        });
        sizes.collect::<Option<Vec<usize>>>().filter(|_| ends)
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

impl OfRow {
    fn new(rows: &[Row]) -> Self {
        let length = rows.iter().max().map_or(0, |&row| row as usize + 1);
        if length > rows.len() * 4 + 4096 {
            return Self::Sparse(rows.iter().copied().zip(0..).collect());
        }
        let mut table = vec![NONE; length];
        for (&row, slot) in rows.iter().zip(0..) {
            table.get_mut(row as usize).into_iter().for_each(|entry| *entry = slot);
        }
        Self::Table(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[Row], sizes: &[usize]) {
        let slots = Slots::new(rows.to_vec(), sizes);
        let nodes =
            sizes.iter().zip(0u32..).flat_map(|(&size, node)| std::iter::repeat_n(node, size));
        for ((slot, &row), node) in (0u32..).zip(rows).zip(nodes) {
            assert_eq!((slots.row(slot), slots.slot(row)), (Some(row), Some(slot)));
            assert_eq!(slots.node(slot), node);
            assert!(slots.of_node(node).contains(&slot));
        }
        assert_eq!(slots.slot(12_345), None);
        assert_eq!(slots.single(), sizes.iter().all(|&s| s == 1));
    }

    #[test]
    fn rows_slots_and_nodes_agree() {
        check(&[4, 0, 2], &[1, 1, 1]);
        check(&[4, 0, 2, 9, 7], &[2, 1, 2]);
        check(&[4, 0, 2_000_000], &[2, 1]);
        check(&[], &[]);
    }
}
