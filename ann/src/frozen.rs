//! A generation: rows, vectors and graph that no longer change.

use std::collections::HashMap;

use crate::build;
use crate::error::AnnError;
use crate::matrix::Matrix;
use crate::options::Options;
use crate::space::{Row, Space};

/// Nodes looked at to find where a search should start.
const SEEDS: usize = 64;
/// Of these, the best that it starts from.
const STARTS: usize = 4;

/// A frozen index. A *node* is a distinct vector, a *slot* a row that has it: equal vectors share a
/// node, since a graph of equal points can't be searched.
#[derive(Debug)]
pub(crate) struct Frozen {
    vectors: Matrix,
    links: Vec<Vec<u32>>,
    /// Slots of node `n`: `first[n]..first[n + 1]`.
    first: Vec<u32>,
    rows: Vec<Row>,
    /// Slot of each row.
    slots: HashMap<Row, u32>,
}

/// A slot and the score of its vector.
pub(crate) type Scored = (f32, u32);

impl Frozen {
    pub(crate) fn empty(space: &Space) -> Self {
        Self {
            vectors: Matrix::with_capacity(space.dimensions, 0),
            links: Vec::new(),
            first: vec![0],
            rows: Vec::new(),
            slots: HashMap::new(),
        }
    }

    /// Builds a generation of distinct rows.
    pub(crate) fn build(
        rows: &[Row],
        vectors: &Matrix,
        options: &Options,
    ) -> Result<Self, AnnError> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let bits = |at: usize| vectors.row(at).iter().map(|v| v.to_bits());
        order.sort_by(|&a, &b| bits(a).cmp(bits(b)).then(a.cmp(&b)));
        let mut groups: Vec<&[usize]> =
            order.chunk_by(|&a, &b| vectors.row(a) == vectors.row(b)).collect();
        // By arrival: inserting sorted vectors would make a worse graph.
        groups.sort_by_key(|group| group.first().copied());
        let mut distinct = Matrix::with_capacity(vectors.width(), groups.len());
        let mut frozen = Self { first: vec![0], ..Self::parts(Matrix::default(), Vec::new()) };
        for group in groups {
            distinct.push(group.first().map_or(&[], |&at| vectors.row(at)));
            frozen.rows.extend(group.iter().filter_map(|&at| rows.get(at)));
            frozen.first.push(u32::try_from(frozen.rows.len()).unwrap_or(u32::MAX));
        }
        frozen.links = build::neighbours(&distinct, options)?;
        frozen.vectors = distinct;
        frozen.slots = frozen.rows.iter().copied().zip(0..).collect();
        Ok(frozen)
    }

    fn parts(vectors: Matrix, links: Vec<Vec<u32>>) -> Self {
        Self { vectors, links, first: Vec::new(), rows: Vec::new(), slots: HashMap::new() }
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn row(&self, slot: u32) -> Option<Row> {
        self.rows.get(slot as usize).copied()
    }

    pub(crate) fn slot(&self, row: Row) -> Option<u32> {
        self.slots.get(&row).copied()
    }

    pub(crate) fn vector(&self, slot: u32) -> &[f32] {
        let node = self.first.partition_point(|&f| f <= slot).saturating_sub(1);
        self.vectors.row(node)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, Row)> + '_ {
        (0u32..).zip(self.rows.iter().copied())
    }

    fn slots_of(&self, node: u32) -> std::ops::Range<u32> {
        let bound = |at: usize| self.first.get(at).copied().unwrap_or_default();
        bound(node as usize)..bound(node as usize + 1)
    }

    /// The best `k` accepted slots, compared one by one.
    pub(crate) fn scan(
        &self,
        space: &Space,
        query: &[f32],
        k: usize,
        accepts: impl Fn(u32) -> bool,
    ) -> Vec<Scored> {
        let accepts = &accepts;
        let slots = (0u32..).zip(self.vectors.iter()).flat_map(|(node, vector)| {
            self.slots_of(node).filter(move |&slot| accepts(slot)).map(move |slot| (vector, slot))
        });
        let mut found: Vec<Scored> =
            slots.map(|(vector, slot)| (space.score(query, vector), slot)).collect();
        best(&mut found, k);
        found
    }

    /// The best `k` accepted slots among the `ef` nodes that a walk through the graph finds best.
    pub(crate) fn walk(
        &self,
        space: &Space,
        query: &[f32],
        k: usize,
        ef: usize,
        accepts: impl Fn(u32) -> bool,
    ) -> Vec<Scored> {
        let mut seen = vec![false; self.vectors.rows()];
        let mut pool: Vec<(f32, u32, bool)> = Vec::with_capacity(ef + 1);
        let mut offer = |node: u32, pool: &mut Vec<(f32, u32, bool)>| {
            if seen.get_mut(node as usize).is_none_or(|s| std::mem::replace(s, true)) {
                return;
            }
            let score = space.score(query, self.vectors.row(node as usize));
            let at = pool.partition_point(|&(s, ..)| s >= score);
            if at < ef {
                pool.truncate(ef - 1);
                pool.insert(at, (score, node, false));
            }
        };
        let step = self.vectors.rows().div_ceil(SEEDS).max(1);
        for node in (0u32..).take(self.vectors.rows()).step_by(step) {
            offer(node, &mut pool);
        }
        pool.truncate(STARTS.max(k));
        while let Some(next) = pool.iter_mut().find(|(.., done)| !done) {
            next.2 = true;
            let node = next.1 as usize;
            for &link in self.links.get(node).map(Vec::as_slice).unwrap_or_default() {
                offer(link, &mut pool);
            }
        }
        let accepts = &accepts;
        let slots = |&(score, node, _): &(f32, u32, bool)| {
            self.slots_of(node).filter(move |&slot| accepts(slot)).map(move |slot| (score, slot))
        };
        let mut found: Vec<Scored> = pool.iter().flat_map(slots).collect();
        best(&mut found, k);
        found
    }
}

/// Keeps the best `k`, best first.
fn best(found: &mut Vec<Scored>, k: usize) {
    let order = |a: &Scored, b: &Scored| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if k < found.len() {
        found.select_nth_unstable_by(k, order);
        found.truncate(k);
    }
    found.sort_unstable_by(order);
}
