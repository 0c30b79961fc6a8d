//! A generation: rows, vectors and graph that no longer change.

use rayon::prelude::*;

use crate::codes::{FITTED, Order};
use crate::columns::Columns;
use crate::error::AnnError;
use crate::graph::Graph;
use crate::group::equal_rows;
use crate::grow;
use crate::kernel;
use crate::long;
use crate::matrix::{Matrix, Rows};
use crate::memory::Huge;
use crate::options::{Keep, Options};
use crate::order::{breadth_first, renumber};
use crate::plan::{Costs, coarse};
use crate::pool::NODES_MAX;
use crate::prune::{measured, prune};
use crate::slots::Slots;
use crate::space::{Metric, Row, Space};
use crate::spread::Spread;
use crate::vectors::Vectors;
use crate::walk::Map;

/// Fewer nodes than this are linked anew rather than by what was known of them.
const KNOWN_MIN: usize = 1024;

/// Bytes of a slot: its row, its place in the table of rows, its death.
const SLOT_BYTES: usize = 4 + 4 + 8;

/// A frozen index. A *node* is a distinct vector, a *slot* a row that has it.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) map: Map,
    pub(crate) slots: Slots,
    pub(crate) costs: Costs,
    pub(crate) spread: Spread,
    /// Codes are of no use: vectors are compared themselves.
    pub(crate) coarse: bool,
    pub(crate) vectors: Vectors,
    pub(crate) columns: Columns,
}

/// What goes into a generation: distinct rows, those of an older generation first, in its order.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) rows: Vec<Row>,
    pub(crate) vectors: Matrix,
    /// For each row of the older generation its node there.
    pub(crate) nodes: Vec<u32>,
}

/// Distinct vectors, their rows and their links.
struct Draft {
    vectors: Matrix,
    rows: Vec<Vec<Row>>,
    links: Vec<Vec<u32>>,
}

impl Frozen {
    pub(crate) fn empty(space: &Space) -> Result<Self, AnnError> {
        let vectors = Matrix::with_capacity(space.dimensions, 0);
        let draft = Draft { vectors, rows: Vec::new(), links: Vec::new() };
        Self::lay_out(space, &draft, 0, Keep::Exact)
    }

    /// Builds a generation; `older` is the one that `input.nodes` speak of.
    pub(crate) fn build(
        space: &Space,
        input: &Input,
        older: &Self,
        options: &Options,
    ) -> Result<Self, AnnError> {
        if input.rows.len() > NODES_MAX {
            return Err(AnnError::Build { why: format!("{} rows are too many", input.rows.len()) });
        }
        let mut groups = equal_rows(&input.vectors);
        let kept: Vec<u32> =
            groups.iter().map_while(|g| input.nodes.get(*g.first()? as usize)).copied().collect();
        let anew = kept.len() < KNOWN_MIN || kept.len() < groups.len() - kept.len();
        if anew {
            shuffle(&mut groups);
        }
        let vectors =
            Matrix::gather(&input.vectors, groups.iter().filter_map(|g| g.first()).copied());
        let among = || older.links_among(&kept, vectors.view(), options.links);
        let known = if anew { Vec::new() } else { grow::in_pool(options, among)? };
        let (built, order) = geometry(space.metric, vectors.view());
        let (rows, first) = (built.as_ref().unwrap_or(&vectors).view(), known.len());
        let mut links = grow::links(rows, order, known, options)?;
        if space.metric == Metric::InnerProduct {
            long::link(vectors.view(), rows, &mut links, first, options)?;
        }
        let row = |at: &u32| input.rows.get(*at as usize).copied();
        let rows = groups.iter().map(|group| group.iter().filter_map(row).collect()).collect();
        let draft = Draft { vectors, rows, links }.ordered();
        Self::lay_out(space, &draft, options.links, options.keep)
    }

    fn lay_out(space: &Space, draft: &Draft, room: usize, keep: Keep) -> Result<Self, AnnError> {
        let sizes: Vec<usize> = draft.rows.iter().map(Vec::len).collect();
        let rows: Vec<Row> = draft.rows.iter().flatten().copied().collect();
        let slots = Slots::new(&rows, &sizes)?;
        let vectors = Huge::of(draft.vectors.values())?;
        Self::of_parts(space, slots, vectors, Graph::of(&draft.links, room)?, keep)
    }

    /// A generation of parts that fit each other: as many nodes, vectors and lists of links. It has no columns.
    pub(crate) fn of_parts(
        space: &Space,
        slots: Slots,
        vectors: Huge<f32>,
        graph: Graph,
        keep: Keep,
    ) -> Result<Self, AnnError> {
        let rows = Rows::new(space.dimensions, &vectors);
        let fitted = if keep == Keep::Exact { FITTED } else { 1.0 };
        let map = Map::new(rows, search_order(space.metric), fitted, graph)?;
        let spread = Spread::measure(&map, rows);
        let costs = Costs::measure(&map, rows, &spread);
        let coarse = coarse(&map, rows);
        let vectors = match keep {
            Keep::Rounded if !coarse => Vectors::rest(&map.coder, rows)?,
            Keep::Rounded | Keep::Exact => Vectors::Exact(vectors.into()),
        };
        let columns = Columns::none(slots.len())?;
        Ok(Self { map, slots, costs, spread, coarse, vectors, columns })
    }

    /// The same generation, its slots under other rows: as many, none twice.
    ///
    /// # Errors
    /// [`AnnError::Memory`] when it can't be had.
    pub(crate) fn with_rows(self, rows: &[Row]) -> Result<Self, AnnError> {
        Ok(Self { slots: self.slots.renumbered(rows)?, ..self })
    }

    pub(crate) fn nodes(&self) -> usize {
        self.map.graph.nodes()
    }

    /// The node's vector; `room` is where it is put together if it must be.
    #[inline]
    pub(crate) fn node_vector<'a>(&'a self, node: u32, room: &'a mut Vec<f32>) -> &'a [f32] {
        self.vectors.get(node, (&self.map.coder, &self.map.codes), room)
    }

    /// Bytes of the tables: codes, links, vectors, columns, rows both ways, deaths.
    pub(crate) fn bytes(&self) -> usize {
        let Map { codes, graph, .. } = &self.map;
        let columns = self.columns.bytes().len() + self.slots.len() * SLOT_BYTES;
        codes.bytes().len() + graph.bytes() + self.vectors.bytes() + columns
    }

    /// Asks for a node's vector.
    #[inline]
    pub(crate) fn prefetch_vector(&self, node: u32) {
        self.vectors.prefetch(node, self.map.coder.width());
    }

    pub(crate) fn vector(&self, slot: u32) -> Vec<f32> {
        self.node_vector(self.slots.node(slot), &mut Vec::new()).to_vec()
    }

    /// The links among the kept nodes, numbered by their place in `kept`. In place of a link to a
    /// node that is gone come those that it had.
    fn links_among(&self, kept: &[u32], vectors: Rows<'_>, room: usize) -> Vec<Vec<u32>> {
        let mut number = vec![None; self.nodes()];
        for (&old, new) in kept.iter().zip(0u32..) {
            number.get_mut(old as usize).into_iter().for_each(|n| *n = Some(new));
        }
        let new = |old: &u32| number.get(*old as usize).copied().flatten();
        let own = |&(old, node): &(u32, u32)| {
            let links = self.map.graph.links(old).to_vec();
            let gone = links.iter().filter(|l| new(l).is_none());
            let beyond = gone.flat_map(|&l| self.map.graph.links(l).to_vec());
            let beyond = beyond.filter_map(|link| new(&link));
            let mut list: Vec<u32> = links.iter().filter_map(new).chain(beyond).collect();
            list.retain(|&l| l != node);
            if links.iter().all(|l| new(l).is_some()) {
                return list;
            }
            prune(vectors, node, measured(vectors, node, &list).collect(), room)
        };
        let pairs: Vec<(u32, u32)> = kept.iter().copied().zip(0u32..).collect();
        pairs.par_iter().map(own).collect()
    }
}

impl Draft {
    /// Numbered anew, so that neighbours lie together.
    fn ordered(self) -> Self {
        let order = breadth_first(&self.links);
        let rows = order.iter().filter_map(|&n| self.rows.get(n as usize)).cloned().collect();
        Self {
            vectors: Matrix::gather(&self.vectors, order.iter().copied()),
            rows,
            links: renumber(&self.links, &order),
        }
    }
}

/// How codes of a search are compared.
pub(crate) fn search_order(metric: Metric) -> Order {
    match metric {
        Metric::Cosine | Metric::InnerProduct => Order::Product,
        Metric::L2 => Order::Distance,
    }
}

/// The vectors between which the graph is built, if they are others, and how their codes compare.
///
/// For inner product these are the directions alone: the walk itself prefers the long ones, and [`long`]
/// adds links to them. Measured on real item vectors of uneven length, already the directions reach a recall
/// of 0.9 in a third of the time that the usual lift to a sphere takes (Bachrach et al., RecSys 2014), where
/// long vectors, which are near everything, hide the others from each other.
fn geometry(metric: Metric, vectors: Rows<'_>) -> (Option<Matrix>, Order) {
    match metric {
        Metric::Cosine => (None, Order::Product),
        Metric::L2 => (None, Order::Distance),
        Metric::InnerProduct => {
            let mut directions = Matrix::with_capacity(vectors.width(), vectors.len());
            for vector in vectors.iter() {
                let length = kernel::dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
                let direction: Vec<f32> = vector.iter().map(|v| v / length).collect();
                directions.push(&direction);
            }
            (Some(directions), Order::Product)
        }
    }
}

/// Mixes the order, always alike: what arrives together must not be linked only together.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for end in (2..=items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from(state % end as u64).unwrap_or_default();
        items.swap(at, end - 1);
    }
}
