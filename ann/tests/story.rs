//! Stories of random writes, merges and reopenings, each search held against brute force.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bailiwick_ann::{Bitmap, Filter, Hit, LiveIndex, Metric, Options, Row, Space};
use proptest::prelude::*;

const DIMENSIONS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Upsert(Row, Vec<f32>),
    Remove(Row),
    Search(Vec<f32>, usize),
    SearchAmong(Vec<f32>, usize, Vec<Row>),
    Merge,
    Reopen,
}

/// Few distinct values, so that equal vectors and ties come up.
fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-3i8..=3, DIMENSIONS).prop_filter_map("zero", |v| {
        v.iter().any(|&x| x != 0).then(|| v.into_iter().map(f32::from).collect())
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u32..90, vector()).prop_map(|(row, v)| Step::Upsert(row, v)),
        2 => (0u32..90).prop_map(Step::Remove),
        3 => (vector(), 0usize..20).prop_map(|(q, k)| Step::Search(q, k)),
        2 => (vector(), 1usize..20, prop::collection::vec(0u32..100, 0..40))
            .prop_map(|(q, k, rows)| Step::SearchAmong(q, k, rows)),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

struct Story {
    index: LiveIndex,
    truth: BTreeMap<Row, Vec<f32>>,
    file: tempfile::TempDir,
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f(f64::from(x), f64::from(y))).sum()
    };
    let dot = sum(&|x, y| x * y);
    let norms = sum(&|x, _| x * x).sqrt() * sum(&|_, y| y * y).sqrt();
    match metric {
        Metric::Cosine => dot / norms,
        Metric::InnerProduct => dot,
        Metric::L2 => -sum(&|x, y| (x - y) * (x - y)),
    }
}

impl Story {
    fn new(metric: Metric) -> Self {
        let space = Space::new("m1", DIMENSIONS, metric).unwrap();
        let index = LiveIndex::new(space, options()).unwrap();
        Self { index, truth: BTreeMap::new(), file: tempfile::tempdir().unwrap() }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Upsert(row, v) => {
                self.index.upsert(row, &v).unwrap();
                self.truth.insert(row, v);
            }
            Step::Remove(row) => {
                assert_eq!(self.index.remove(row), self.truth.remove(&row).is_some());
            }
            Step::Search(q, k) => {
                let hits = self.index.search(&q, k, 200, Filter::All).unwrap();
                self.check(&q, k, &hits, |_| true);
            }
            Step::SearchAmong(q, k, rows) => {
                let set: Bitmap = rows.iter().copied().collect();
                let hits = self.index.search(&q, k, 200, &set).unwrap();
                self.check(&q, k, &hits, |r| set.contains(r));
                let among = |row: Row| set.contains(row);
                assert_eq!(self.index.search(&q, k, 200, Filter::Where(&among)).unwrap(), hits);
            }
            Step::Merge => {
                let merged = self.index.merge().unwrap();
                assert_eq!((merged.rows, self.index.pending()), (self.truth.len(), 0));
            }
            Step::Reopen => self.reopen(),
        }
        assert_eq!(self.index.len(), self.truth.len());
    }

    fn reopen(&mut self) {
        let path = self.file.path().join("index");
        let saved = self.index.save(&path, 7).unwrap();
        let space = self.index.space().clone();
        let (index, found) =
            LiveIndex::open(&path, &space, options(), Some(&saved.sha256)).unwrap();
        assert_eq!((saved, found.stamp), (found, 7));
        self.index = index;
    }

    /// With `ef` beyond the number of rows the answer must be the exact one: the scores of the best
    /// `k`, each row's own, none twice.
    fn check(&self, q: &[f32], k: usize, hits: &[Hit], accepts: impl Fn(Row) -> bool) {
        let metric = self.index.space().metric;
        let of = |row: &Row| score(metric, q, &self.truth[row]);
        let mut wanted: Vec<f64> = self.truth.keys().filter(|r| accepts(**r)).map(of).collect();
        wanted.sort_by(|a, b| b.total_cmp(a));
        wanted.truncate(k);
        assert_eq!(hits.len(), wanted.len(), "{hits:?}");
        for (hit, wanted) in hits.iter().zip(wanted) {
            assert!(accepts(hit.row) && self.truth.contains_key(&hit.row));
            assert!((f64::from(hit.score) - of(&hit.row)).abs() < 1e-4, "{hit:?}");
            assert!((f64::from(hit.score) - wanted).abs() < 1e-4, "{hit:?} for {wanted}");
        }
        let mut rows: Vec<Row> = hits.iter().map(|h| h.row).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), hits.len(), "a row twice");
    }
}

fn check(metric: Metric, steps: Vec<Step>) {
    let mut story = Story::new(metric);
    steps.into_iter().for_each(|step| story.play(step));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn cosine_keeps_to_brute_force(steps in prop::collection::vec(step(), 1..250)) {
        check(Metric::Cosine, steps);
    }

    #[test]
    fn inner_product_keeps_to_brute_force(steps in prop::collection::vec(step(), 1..250)) {
        check(Metric::InnerProduct, steps);
    }

    #[test]
    fn l2_keeps_to_brute_force(steps in prop::collection::vec(step(), 1..250)) {
        check(Metric::L2, steps);
    }
}
