//! From a small graph to a large one: new nodes look for their neighbours in what is there already.
//!
//! A first few thousand nodes are linked by `hnsw_rs`. From then on the graph is frozen, searched with
//! our own walk, pruned and linked back, in rounds that double it; a last round does all nodes again,
//! since the early ones have not met the late ones. A merge takes the last generation's graph in
//! place of the first step, and only its new nodes are linked, to each other too: they may all lie
//! where nothing was.

use std::ops::Range;

use rayon::prelude::*;

use crate::build;
use crate::codes::{Codes, Order, QueryCode};
use crate::error::AnnError;
use crate::matrix::Rows;
use crate::options::Options;
use crate::pool::Pool;
use crate::prune::{Near, measured, prune};
use crate::reach;
use crate::sift::{Sifted, sift};
use crate::walk::{Map, Scratch, Stride, Walk};

/// Nodes that `hnsw_rs` links.
const FIRST: usize = 8192;
/// New nodes of a merge's round; they are all compared with each other.
const ROUND: usize = 8192;
/// The nearest of its own round that a new node considers.
const MATES: usize = 24;
/// Links into a node that are considered, at most: hubs collect thousands.
const INCOMING_MAX: usize = 400;

/// Links of every row of `rows`. `known` are those of the first rows, if there are any yet.
pub(crate) fn links(
    rows: Rows<'_>,
    order: Order,
    known: Vec<Vec<u32>>,
    options: &Options,
) -> Result<Vec<Vec<u32>>, AnnError> {
    let mut site = Site { rows, order, options, lists: known };
    in_pool(options, || site.build())??;
    Ok(site.lists)
}

/// Does the work on as many threads as the options say.
pub(crate) fn in_pool<T: Send>(
    options: &Options,
    work: impl FnOnce() -> T + Send,
) -> Result<T, AnnError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build();
    Ok(pool.map_err(|e| AnnError::Build { why: e.to_string() })?.install(work))
}

struct Site<'a> {
    rows: Rows<'a>,
    order: Order,
    options: &'a Options,
    lists: Vec<Vec<u32>>,
}

impl Site<'_> {
    fn build(&mut self) -> Result<(), AnnError> {
        let (known, all) = (self.lists.len(), self.rows.len());
        if known == 0 {
            self.lists = build::neighbours(self.rows.head(all.min(FIRST)), self.options);
        }
        while self.lists.len() < all {
            let from = self.lists.len();
            let most = if known == 0 { from } else { from.min(ROUND) };
            let to = all.min(from + most);
            let map = self.map(from)?;
            self.lists.resize(to, Vec::new());
            if known > 0 {
                self.introduce(&map, from..to)?;
            }
            self.link(&map, from..to);
        }
        if known == 0 {
            let map = self.map(all)?;
            self.link(&map, 0..all);
        }
        reach::repair(self.rows, self.order, &mut self.lists, self.options.links)
    }

    fn map(&self, nodes: usize) -> Result<Map, AnnError> {
        let lists = self.lists.get(..nodes).unwrap_or(&self.lists);
        Map::of(self.rows.head(nodes), self.order, lists, self.options.links)
    }

    /// Links `nodes` to the nearest of each other, for a start.
    fn introduce(&mut self, map: &Map, nodes: Range<usize>) -> Result<(), AnnError> {
        let round = nodes.clone().map(|node| self.rows.row(node));
        let codes = Codes::of(&map.coder, nodes.len(), round)?;
        let ids: Vec<u32> = (0u32..).take(nodes.len()).collect();
        let offset = u32::try_from(nodes.start).unwrap_or(u32::MAX);
        let nearest = |(sifted, pool): &mut (Sifted, Pool), node: usize| {
            let query = map.coder.query(self.rows.row(node));
            pool.reset(MATES);
            for some in ids.chunks(256) {
                sift(&codes, &query, some, pool.threshold(), sifted, &[]);
                sifted.iter().for_each(|(score, id)| _ = pool.offer(score, id, true));
            }
            pool.passing().map(|(_, id)| id + offset).filter(|&id| id as usize != node).collect()
        };
        let found: Vec<Vec<u32>> =
            nodes.clone().into_par_iter().map_init(Default::default, nearest).collect();
        for (list, found) in self.lists.iter_mut().skip(nodes.start).zip(found) {
            *list = found;
        }
        Ok(())
    }

    /// Links `nodes` to what they find on `map` and to what they were linked to, both ways.
    fn link(&mut self, map: &Map, nodes: Range<usize>) {
        let this = &*self;
        let found: Vec<Vec<u32>> = nodes
            .clone()
            .into_par_iter()
            .map_init(Scratch::default, |scratch, node| this.choose(map, node, scratch))
            .collect();
        for (list, found) in self.lists.iter_mut().skip(nodes.start).zip(found) {
            *list = found;
        }
        self.link_back(nodes);
    }

    fn choose(&self, map: &Map, node: usize, scratch: &mut Scratch) -> Vec<u32> {
        let own = self.rows.row(node);
        let query = map.coder.query(own);
        let id = u32::try_from(node).unwrap_or(u32::MAX);
        let mut near = nearby(map, &query, self.options.ef_refine, scratch);
        near.extend(self.lists.get(node).into_iter().flatten());
        let near: Vec<Near> = measured(self.rows, id, &near).collect();
        prune(self.rows, id, near, self.options.links)
    }

    /// Gives the targets of `nodes`' links the chance to link back.
    fn link_back(&mut self, nodes: Range<usize>) {
        let mut incoming: Vec<Vec<u32>> = vec![Vec::new(); self.lists.len()];
        for (list, node) in self.lists.iter().zip(0u32..).skip(nodes.start).take(nodes.len()) {
            for &link in list {
                let into = incoming.get_mut(link as usize).filter(|i| i.len() < INCOMING_MAX);
                into.into_iter().for_each(|into| into.push(node));
            }
        }
        let (rows, room) = (self.rows, self.options.links);
        let lists = self.lists.par_iter_mut().zip(incoming).enumerate();
        lists.filter(|(_, (_, into))| !into.is_empty()).for_each(|(node, (list, into))| {
            list.extend(into);
            list.sort_unstable();
            list.dedup();
            if list.len() > room {
                let id = u32::try_from(node).unwrap_or(u32::MAX);
                *list = prune(rows, id, measured(rows, id, list).collect(), room);
            }
        });
    }
}

/// The nodes that a walk of `map` finds near the query, best first.
pub(crate) fn nearby(map: &Map, query: &QueryCode, ef: usize, scratch: &mut Scratch) -> Vec<u32> {
    let how = Walk { ef, budget: usize::MAX, stride: Stride::Through, stop: None, starts: &[] };
    map.walk(query, how, &|_| true, scratch);
    scratch.pool.passing().map(|(_, node)| node).collect()
}
