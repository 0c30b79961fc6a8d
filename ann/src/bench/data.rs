//! What a measurement runs on: vectors, queries, filters, and the exact answers.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::BenchError;
use crate::bitmap::Bitmap;
use crate::matrix::Matrix;
use crate::space::{Metric, Row, Space};

/// Rows of an answer.
pub(crate) const K: usize = 10;

/// Vectors, queries and the cases they are asked in.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) space: Space,
    pub(crate) base: Matrix,
    pub(crate) queries: Matrix,
    pub(crate) cases: Vec<Case>,
}

/// One filter, and the best [`K`] rows under it for each query.
pub(crate) struct Case {
    pub(crate) filter: String,
    pub(crate) rows: Option<Bitmap>,
    /// One list for each query that is asked: the first ones of the set.
    pub(crate) truth: Vec<Vec<Row>>,
}

/// Queries asked under a filter, at most: some engines take a tenth of a second for one.
const FILTERED_QUERIES: usize = 200;

impl Set {
    fn new(
        name: String,
        metric: Metric,
        base: Matrix,
        queries: Matrix,
        filters: Vec<(String, Option<Bitmap>)>,
    ) -> Result<Self, BenchError> {
        let space = Space::new("bench", base.width(), metric)?;
        let admitted = |rows: &Matrix| -> Result<Matrix, BenchError> {
            let mut out = Matrix::with_capacity(rows.width(), rows.rows());
            rows.iter().try_for_each(|row| space.admit(row).map(|v| out.push(&v)))?;
            Ok(out)
        };
        let (base, queries) = (admitted(&base)?, admitted(&queries)?);
        let case = |(filter, rows): (String, Option<Bitmap>)| {
            let asked = if rows.is_some() { FILTERED_QUERIES } else { queries.rows() };
            let asked: Vec<&[f32]> = queries.iter().take(asked).collect();
            let truth = truth(&space, &base, &asked, rows.as_ref());
            Case { filter, rows, truth }
        };
        let cases = filters.into_iter().map(case).collect();
        Ok(Self { name, space, base, queries, cases })
    }

    /// Clustered unit vectors: topics, clusters of uneven size around them, each flat in its own way.
    pub(crate) fn synthetic(
        rows: usize,
        width: usize,
        queries: usize,
        seed: u64,
    ) -> Result<Self, BenchError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let clusters = (rows / 100).clamp(1, 2000);
        let (all, labels) = clustered(&mut rng, rows + queries, width, clusters);
        let labels = labels.get(..rows).unwrap_or_default();
        let mut filters = vec![("none".to_owned(), None)];
        for share in [0.5, 0.1, 0.01, 0.001] {
            let random: Bitmap = (0..).take(rows).filter(|_| rng.random_bool(share)).collect();
            filters.push((format!("random {share}"), Some(random)));
            let whole = whole_clusters(&mut rng, labels, clusters, share);
            filters.push((format!("clusters {share}"), Some(whole)));
        }
        let base = Matrix::from_values(width, all.view().head(rows).values().to_vec());
        let asked = Matrix::gather(&all, (0..).skip(rows).take(queries));
        Self::new(format!("synthetic {rows} x {width}"), Metric::Cosine, base, asked, filters)
    }

    /// Vectors as they are in a folder: `base.f32` and `queries.f32`, little-endian, row after row.
    pub(crate) fn raw(folder: &Path, width: usize, metric: Metric) -> Result<Self, BenchError> {
        let read = |name: &str| read_raw(&folder.join(name), width);
        let (base, queries) = (read("base.f32")?, read("queries.f32")?);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut filters = vec![("none".to_owned(), None)];
        for share in [0.5, 0.1, 0.01, 0.001] {
            let rows = (0..).take(base.rows()).filter(|_| rng.random_bool(share)).collect();
            filters.push((format!("random {share}"), Some(rows)));
        }
        Self::new(folder.display().to_string(), metric, base, queries, filters)
    }

    /// Vectors as text: `items.tsv.gz` and `queries.tsv.gz`, a name and the values on each line.
    pub(crate) fn text(folder: &Path, metric: Metric) -> Result<Self, BenchError> {
        let base = read_text(&folder.join("items.tsv.gz"))?;
        let queries = read_text(&folder.join("queries.tsv.gz"))?;
        let name =
            folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self::new(name, metric, base, queries, vec![("none".to_owned(), None)])
    }

    /// The queries of a case.
    pub(crate) fn asked(&self, case: usize) -> impl Iterator<Item = &[f32]> {
        self.queries.iter().take(self.cases.get(case).map_or(0, |case| case.truth.len()))
    }

    /// Writes what peers need.
    pub(crate) fn export(&self, folder: &Path) -> Result<(), BenchError> {
        write_raw(&folder.join("base.f32"), self.base.values())?;
        write_raw(&folder.join("queries.f32"), self.queries.values())?;
        for (at, case) in self.cases.iter().enumerate() {
            let bits = (0..).take(self.base.rows());
            let bits = bits.map(|r| u8::from(case.rows.as_ref().is_none_or(|set| set.contains(r))));
            let path = folder.join(format!("filter{at}.u8"));
            std::fs::write(&path, bits.collect::<Vec<u8>>())
                .map_err(|e| BenchError::io(&path, e))?;
        }
        Ok(())
    }
}

fn truth(space: &Space, base: &Matrix, queries: &[&[f32]], rows: Option<&Bitmap>) -> Vec<Vec<Row>> {
    let best = |query: &&[f32]| {
        let candidates =
            base.iter().zip(0u32..).filter(|(_, r)| rows.is_none_or(|set| set.contains(*r)));
        let mut scored: Vec<(f32, Row)> =
            candidates.map(|(v, row)| (space.score(query, v), row)).collect();
        let order = |a: &(f32, Row), b: &(f32, Row)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > K {
            scored.select_nth_unstable_by(K, order);
            scored.truncate(K);
        }
        scored.sort_unstable_by(order);
        scored.into_iter().map(|(_, row)| row).collect()
    };
    queries.par_iter().map(best).collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    // Box and Muller: one of the pair is enough here.
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

fn normals(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Matrix {
    Matrix::from_values(width, (0..rows * width).map(|_| normal(rng)).collect())
}

/// `coefficients` times the rows of `basis`.
fn combine(coefficients: &[f32], basis: &Matrix) -> Vec<f32> {
    let mut sum = vec![0.0; basis.width()];
    for (c, row) in coefficients.iter().zip(basis.iter()) {
        sum.iter_mut().zip(row).for_each(|(s, v)| *s += c * v);
    }
    sum
}

pub(super) fn clustered(
    rng: &mut ChaCha8Rng,
    count: usize,
    width: usize,
    clusters: usize,
) -> (Matrix, Vec<usize>) {
    let rank = (width / 2).max(2);
    let local = (rank / 2).max(1);
    let basis = normals(rng, rank, width);
    let spectrum: Vec<f32> = (0..rank).map(|r| 1.0 / (1.0 + r as f32 * 0.15).sqrt()).collect();
    let topics = normals(rng, 60, rank);
    let shaped = |v: &[f32]| -> Vec<f32> { v.iter().zip(&spectrum).map(|(v, s)| v * s).collect() };
    let homes: Vec<(Vec<f32>, Matrix)> = (0..clusters)
        .map(|_| {
            let topic = shaped(topics.row(rng.random_range(0..60)));
            let own = shaped(normals(rng, 1, rank).row(0));
            let centre = topic.iter().zip(&own).map(|(t, o)| t * 0.9 + o * 0.75).collect();
            let mut spread = Matrix::with_capacity(rank, local);
            let size = 0.42 * (rank as f32 / local as f32).sqrt() * rng.random_range(0.6..1.4);
            let flat = normals(rng, local, rank);
            for row in flat.iter() {
                spread.push(&shaped(row).iter().map(|v| v * size).collect::<Vec<_>>());
            }
            (centre, spread)
        })
        .collect();
    let labels = uneven(rng, count, clusters);
    let mut out = Matrix::with_capacity(width, count);
    for &label in &labels {
        let Some((centre, spread)) = homes.get(label) else { continue };
        let at = combine(normals(rng, 1, local).row(0), spread);
        let at: Vec<f32> = at.iter().zip(centre).map(|(a, c)| a + c).collect();
        let mut vector = combine(&at, &basis);
        let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        let noise = 0.12 * norm / (width as f32).sqrt();
        vector.iter_mut().for_each(|v| *v += normal(rng) * noise);
        out.push(&vector);
    }
    (out, labels)
}

/// Cluster numbers of `count` points; cluster `c` weighs `1 / (c + 1)^0.6`.
fn uneven(rng: &mut ChaCha8Rng, count: usize, clusters: usize) -> Vec<usize> {
    let mut sum = 0.0;
    let ends: Vec<f64> = (1..=clusters)
        .map(|c| {
            sum += (c as f64).powf(-0.6);
            sum
        })
        .collect();
    (0..count)
        .map(|_| rng.random::<f64>() * sum)
        .map(|x| ends.partition_point(|&e| e < x))
        .collect()
}

/// Whole clusters, in random order, until they make up `share`.
fn whole_clusters(rng: &mut ChaCha8Rng, labels: &[usize], clusters: usize, share: f64) -> Bitmap {
    let mut order: Vec<usize> = (0..clusters).collect();
    order.shuffle(rng);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of them")]
    let wanted = (labels.len() as f64 * share) as usize;
    let of = |cluster: usize| labels.iter().zip(0..).filter(move |(l, _)| **l == cluster);
    order.into_iter().flat_map(of).map(|(_, row)| row).take(wanted).collect()
}

fn read_raw(path: &Path, width: usize) -> Result<Matrix, BenchError> {
    let bytes = std::fs::read(path).map_err(|e| BenchError::io(path, e))?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let whole = values.len() / width.max(1) * width;
    Ok(Matrix::from_values(width, values.get(..whole).unwrap_or_default().to_vec()))
}

fn write_raw(path: &Path, values: &[f32]) -> Result<(), BenchError> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let write = || File::create(path)?.write_all(&bytes);
    write().map_err(|e| BenchError::io(path, e))
}

fn read_text(path: &Path) -> Result<Matrix, BenchError> {
    let source = File::open(path).map_err(|e| BenchError::io(path, e))?;
    let mut rows = Matrix::default();
    for line in BufReader::new(GzDecoder::new(source).take(1 << 32)).lines() {
        let line = line.map_err(|e| BenchError::io(path, e))?;
        let values: Result<Vec<f32>, _> = line.split('\t').skip(1).map(str::parse).collect();
        let values = values.map_err(|e| BenchError::Text {
            line: line.chars().take(60).collect(),
            why: e.to_string(),
        })?;
        if rows.width() == 0 {
            rows = Matrix::with_capacity(values.len(), 0);
        }
        if values.len() != rows.width() {
            return Err(BenchError::Text {
                line: line.chars().take(60).collect(),
                why: "another number of values".to_owned(),
            });
        }
        rows.push(&values);
    }
    Ok(rows)
}
