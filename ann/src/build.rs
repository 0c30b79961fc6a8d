//! Graph construction: the one file that names `hnsw_rs`.
//!
//! What is handed to it has been checked and holds no vector twice: it panics on values that are not
//! finite, on another length, and keeps equal vectors apart badly.

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

use crate::kernel;
use crate::matrix::Rows;
use crate::options::Options;
use crate::space::{Metric, Row};

const LAYERS: usize = 16;

struct SquaredDistance;

impl Distance<f32> for SquaredDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        kernel::squared_distance(a, b)
    }
}

/// Neighbours of every row of `rows` by squared distance, at most `options.links` each.
pub(crate) fn neighbours(rows: Rows<'_>, options: &Options) -> Vec<Vec<u32>> {
    let per_layer = (options.links / 2).clamp(4, 128);
    let hnsw = Hnsw::new(per_layer, rows.len(), LAYERS, options.ef_construction, SquaredDistance);
    // One by one: in parallel the first points of an empty graph stay without links, and the graph
    // would depend on the threads' luck. Larger graphs are grown from this one in parallel.
    rows.iter().zip(0..).for_each(|point| hnsw.insert_slice(point));
    read_out(&hnsw, rows.len())
}

/// The bottom layer's lists. Every point is in it, whatever its own level.
fn read_out(hnsw: &Hnsw<'_, f32, SquaredDistance>, rows: usize) -> Vec<Vec<u32>> {
    let mut lists = vec![Vec::new(); rows];
    let points = hnsw.get_point_indexation();
    for layer in 0..LAYERS {
        for point in points.get_layer_iterator(layer) {
            let bottom = point.get_neighborhood_id().into_iter().next().unwrap_or_default();
            if let Some(list) = lists.get_mut(point.get_origin_id()) {
                *list = bottom.iter().filter_map(|n| u32::try_from(n.d_id).ok()).collect();
            }
        }
    }
    lists
}

/// Distance of the bare library, by metric.
struct Bare {
    metric: Metric,
    /// Keeps the distance of an inner product positive, which `hnsw_rs` relies on.
    most: f32,
}

impl Distance<f32> for Bare {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine | Metric::L2 => kernel::squared_distance(a, b),
            Metric::InnerProduct => (self.most - kernel::dot(a, b)).max(0.0),
        }
    }
}

/// `hnsw_rs` alone, for comparison; its SIMD is ours.
pub(crate) struct Plain<'a>(Hnsw<'a, f32, Bare>);

impl<'a> Plain<'a> {
    pub(crate) fn build(rows: Rows<'a>, metric: Metric, ef: usize, threads: usize) -> Self {
        let most = rows.iter().map(|v| kernel::dot(v, v)).fold(1.0, f32::max);
        let hnsw = Hnsw::new(16, rows.len(), LAYERS, ef, Bare { metric, most });
        let points: Vec<(&[f32], usize)> = rows.iter().zip(0..).collect();
        let (first, rest) = points.split_at(points.len().min(256));
        first.iter().for_each(|&point| hnsw.insert_slice(point));
        let insert = || rest.par_iter().for_each(|&point| hnsw.insert_slice(point));
        match rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build() {
            Ok(pool) => pool.install(insert),
            Err(_) => rest.iter().for_each(|&point| hnsw.insert_slice(point)),
        }
        Self(hnsw)
    }

    pub(crate) fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        filter: Option<&dyn Fn(usize) -> bool>,
    ) -> Vec<Row> {
        let found = match filter {
            None => self.0.search(query, k, ef),
            Some(accepts) => {
                let accepts = |id: &usize| accepts(*id);
                self.0.search_filter(query, k, ef, Some(&accepts))
            }
        };
        found.iter().filter_map(|n| Row::try_from(n.d_id).ok()).collect()
    }
}
