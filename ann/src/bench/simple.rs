//! What a search would be without this crate's own: a scan of all vectors, and `hnsw_rs` as it comes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::BenchError;
use super::data::clustered;
use crate::build::Plain;
use crate::kernel;
use crate::matrix::Matrix;
use crate::space::{Metric, Row, Space};

/// Vectors in a cluster, in the mean.
const CLUSTER_ROWS: usize = 100;
/// Clusters at most.
const CLUSTERS_MAX: usize = 2000;

/// Made-up unit vectors, in clusters of uneven size, compared by cosine.
#[derive(Debug)]
pub struct Vectors {
    space: Space,
    rows: Matrix,
}

impl Vectors {
    /// As many vectors, the same ones for a seed.
    ///
    /// # Errors
    /// [`BenchError::Index`] for a number of values that no index takes.
    pub fn clustered(rows: usize, dimensions: usize, seed: u64) -> Result<Self, BenchError> {
        let space = Space::new("bench", dimensions, Metric::Cosine)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let clusters = (rows / CLUSTER_ROWS).clamp(1, CLUSTERS_MAX);
        let (made_up, _) = clustered(&mut random, rows, dimensions, clusters);
        let mut admitted = Matrix::with_capacity(dimensions, rows);
        made_up.iter().try_for_each(|row| space.admit(row).map(|row| admitted.push(&row)))?;
        Ok(Self { space, rows: admitted })
    }

    /// Where they lie.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// All of them, by row.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.rows.iter()
    }

    /// The `k` rows of greatest cosines among those that `keep` accepts, by a look at each: what needs no index.
    pub fn scan(&self, query: &[f32], k: usize, keep: &dyn Fn(Row) -> bool) -> Vec<Row> {
        let scored = self.rows.iter().zip(0..).map(|(row, at)| (kernel::dot(query, row), at));
        let mut best: Vec<(f32, Row)> = scored.filter(|(_, at)| keep(*at)).collect();
        let better = |a: &(f32, Row), b: &(f32, Row)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if best.len() > k {
            best.select_nth_unstable_by(k, better);
            best.truncate(k);
        }
        best.sort_unstable_by(better);
        best.into_iter().map(|(_, row)| row).collect()
    }

    /// Builds the graph of `hnsw_rs` over them, for long.
    #[must_use]
    pub fn graph(&self, ef_construction: usize, threads: usize) -> Graph<'_> {
        Graph(Plain::build(self.rows.view(), self.space.metric, ef_construction, threads))
    }
}

/// `hnsw_rs` as it comes.
pub struct Graph<'a>(Plain<'a>);

impl std::fmt::Debug for Graph<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Graph(hnsw_rs)")
    }
}

impl Graph<'_> {
    /// The nearest `k` that it finds among those that `keep` accepts.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Vec<Row> {
        let keep = |row: usize| Row::try_from(row).is_ok_and(keep);
        self.0.search(query, k, ef.max(k), Some(&keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_exact_and_a_graph_nearly() {
        let vectors = Vectors::clustered(600, 16, 3).unwrap();
        let query: Vec<f32> = vectors.rows().next().unwrap().to_vec();
        let odd = |row: Row| row % 2 == 1;
        assert_eq!(vectors.scan(&query, 1, &|_| true), [0]);
        let exact = vectors.scan(&query, 10, &odd);
        let found = vectors.graph(100, 1).search(&query, 10, 100, &odd);
        assert!(exact.iter().chain(&found).all(|row| odd(*row)));
        assert!(found.iter().filter(|row| exact.contains(row)).count() >= 8, "{found:?} {exact:?}");
        assert!(vectors.scan(&query, 9, &|_| false).is_empty());
    }
}
