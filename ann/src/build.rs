//! Graph construction: the one file that names `hnsw_rs`.
//!
//! What is handed to it has been checked and holds no vector twice: it panics on values that are not
//! finite, on another length, and keeps equal vectors apart badly.

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

use crate::error::AnnError;
use crate::kernel;
use crate::matrix::Matrix;
use crate::options::Options;

/// Inserted one by one: a parallel insert into an empty graph leaves its first points without links.
const SERIAL_FIRST: usize = 256;
const LAYERS: usize = 16;

#[derive(Clone, Copy)]
struct SquaredDistance;

impl Distance<f32> for SquaredDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        kernel::squared_distance(a, b)
    }
}

/// Neighbours of every row of `rows` by squared distance, at most `options.links` each.
pub(crate) fn neighbours(rows: &Matrix, options: &Options) -> Result<Vec<Vec<u32>>, AnnError> {
    let per_layer = (options.links / 2).clamp(4, 128);
    let hnsw = Hnsw::new(per_layer, rows.rows(), LAYERS, options.ef_construction, SquaredDistance);
    let all: Vec<(&[f32], usize)> = rows.iter().zip(0..).collect();
    let (first, rest) = all.split_at(all.len().min(SERIAL_FIRST));
    let insert = |&point: &(&[f32], usize)| hnsw.insert_slice(point);
    first.iter().for_each(insert);
    if options.threads <= 1 {
        rest.iter().for_each(insert);
    } else {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
        let pool = pool.map_err(|e| AnnError::Build { why: e.to_string() })?;
        pool.install(|| rest.par_iter().for_each(insert));
    }
    Ok(read_out(&hnsw, rows.rows()))
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
