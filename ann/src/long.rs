//! Links to long vectors, for inner product.
//!
//! A graph of directions leads to what points the same way; the greatest inner product may be that of a long
//! vector which points a little elsewhere. So each node also links to the nodes of the greatest inner products
//! with itself, as in a graph by inner product (Morozov and Babenko, NeurIPS 2018; with both kinds of links: Liu
//! et al., AAAI 2020). On real item vectors this finds as much with a third of the candidates.

use rayon::prelude::*;

use crate::codes::Order;
use crate::error::AnnError;
use crate::grow::{in_pool, nearby};
use crate::kernel::{dot, squared_distance};
use crate::matrix::Rows;
use crate::options::Options;
use crate::reach;
use crate::walk::{Map, Scratch};

/// Candidates that links are chosen from.
const CANDIDATES: usize = 100;

/// Adds links to the lists of all nodes from `first` on. They take the place of the farthest directions where there is
/// no room.
pub(crate) fn link(
    vectors: Rows<'_>,
    directions: Rows<'_>,
    lists: &mut [Vec<u32>],
    first: usize,
    options: &Options,
) -> Result<(), AnnError> {
    let map = Map::of(vectors, Order::Product, lists, options.links)?;
    let most = options.links / 2;
    in_pool(options, || {
        let open = lists.par_iter_mut().enumerate().skip(first);
        open.for_each_init(Scratch::default, |scratch, (node, list)| {
            let query = map.coder.query(vectors.row(node));
            let near = nearby(&map, &query, CANDIDATES, scratch);
            let mut long = choose(vectors, directions, node, &near, most);
            long.retain(|link| !list.contains(link));
            list.truncate(options.links.saturating_sub(long.len()));
            list.append(&mut long);
        });
    })?;
    reach::repair(directions, Order::Product, lists, options.links)
}

/// Of `near`, at most `most`, the greatest inner products first: each has a greater one with the node, or points more
/// the way of the node, than any taken before.
fn choose(
    vectors: Rows<'_>,
    directions: Rows<'_>,
    node: usize,
    near: &[u32],
    most: usize,
) -> Vec<u32> {
    let (own, way) = (vectors.row(node), directions.row(node));
    let others = near.iter().copied().filter(|&other| other as usize != node);
    let mut ranked: Vec<(f32, u32)> =
        others.map(|other| (dot(own, vectors.row(other as usize)), other)).collect();
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<u32> = Vec::with_capacity(most);
    for (product, other) in ranked {
        if chosen.len() == most {
            break;
        }
        let (vector, its_way) = (vectors.row(other as usize), directions.row(other as usize));
        let apart = squared_distance(its_way, way);
        let stands_out = chosen.iter().all(|&c| dot(vector, vectors.row(c as usize)) < product)
            || chosen
                .iter()
                .all(|&c| squared_distance(its_way, directions.row(c as usize)) > apart);
        if stands_out {
            chosen.push(other);
        }
    }
    chosen
}
