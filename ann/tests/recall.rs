//! The frozen search on a few thousand clustered vectors: what it finds, after a build and after
//! merges, and that a build is the same each time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bailiwick_ann::{Bitmap, Filter, Keep, LiveIndex, Metric, Options, Plan, Request, Row, Space};

const WIDTH: usize = 24;
const K: usize = 10;

/// Numbers in -1..1, always the same ones.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..WIDTH).map(|_| self.next()).collect()
    }
}

/// Vectors around a hundred centres, of uneven length; `later` lie around other centres.
fn vectors(count: usize, later: usize) -> Vec<Vec<f32>> {
    let mut noise = Noise(7);
    let centres: Vec<Vec<f32>> = (0..200).map(|_| noise.vector()).collect();
    let around = |at: usize, noise: &mut Noise| -> Vec<f32> {
        let size = 1.0 + 0.5 * noise.next();
        centres[at].iter().map(|c| (c + 0.5 * noise.next()) * size).collect()
    };
    let first = (0..count).map(|row| row * 37 % 100);
    first.chain((0..later).map(|row| 100 + row % 100)).map(|at| around(at, &mut noise)).collect()
}

fn index(metric: Metric, threads: usize) -> LiveIndex {
    let space = Space::new("m1", WIDTH, metric).unwrap();
    LiveIndex::new(space, Options { threads, ..Options::default() }).unwrap()
}

fn fill(index: &LiveIndex, vectors: &[Vec<f32>], from: usize) {
    for (row, vector) in (0..).zip(vectors).skip(from) {
        index.upsert(row, vector).unwrap();
    }
}

/// Rounded vectors take under half the memory, find nearly the same, and outlive merges and files.
#[test]
fn rounded_vectors_find_nearly_the_same() {
    let all = vectors(4500, 300);
    for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
        let exact = index(metric, 2);
        let options = Options { keep: Keep::Rounded, ..Options::default() };
        let space = Space::new("m1", WIDTH, metric).unwrap();
        let rounded = LiveIndex::new(space.clone(), options.clone()).unwrap();
        for index in [&exact, &rounded] {
            fill(index, &all[..4500], 0);
            index.merge().unwrap();
            fill(index, &all, 4500);
            index.merge().unwrap();
        }
        assert!(rounded.bytes() < exact.bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        rounded.save(&path, 0).unwrap();
        let (opened, _) = LiveIndex::open(&path, &space, options, None).unwrap();
        let queries: Vec<&[f32]> = all.iter().step_by(41).map(Vec::as_slice).collect();
        let rows = |index: &LiveIndex| -> Vec<Vec<Row>> {
            let batch = index.search_batch(&queries, K, 80, Filter::All).unwrap();
            batch.iter().map(|hits| hits.iter().map(|hit| hit.row).collect()).collect()
        };
        let wanted = rows(&exact);
        for other in [&rounded, &opened] {
            let pairs = wanted.iter().zip(rows(other));
            let same: usize =
                pairs.map(|(w, found)| found.iter().filter(|row| w.contains(row)).count()).sum();
            assert!(same * 100 >= queries.len() * K * 97, "{metric:?}: {same}");
        }
    }
}

/// Share of the exact best that a search finds which goes the given way.
fn recall(index: &LiveIndex, queries: &[Vec<f32>], filter: Filter<'_>, plan: Plan) -> f64 {
    let rows = |query: &[f32], plan| -> Vec<Row> {
        let request = Request { query, k: K, ef: 80, filter, budget: None, plan: Some(plan) };
        index.answer(&request).unwrap().hits.iter().map(|hit| hit.row).collect()
    };
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let exact = rows(query, Plan::Scan);
        wanted += exact.len();
        found += rows(query, plan).iter().filter(|row| exact.contains(row)).count();
    }
    found as f64 / wanted as f64
}

/// As above, for one call with all queries; each hit's score must be that of a search by itself.
fn recall_of_batch(index: &LiveIndex, queries: &[Vec<f32>], filter: Filter<'_>) -> f64 {
    let asked: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let (mut found, mut wanted) = (0, 0);
    for (query, hits) in asked.iter().zip(index.search_batch(&asked, K, 80, filter).unwrap()) {
        let request = Request { query, k: K, ef: 80, filter, budget: None, plan: Some(Plan::Scan) };
        let exact = index.answer(&request).unwrap().hits;
        wanted += exact.len();
        found += hits.iter().filter(|hit| exact.contains(hit)).count();
    }
    found as f64 / wanted as f64
}

fn check(metric: Metric) {
    let all = vectors(4500, 1500);
    let index = index(metric, 2);
    fill(&index, &all[..4500], 0);
    index.merge().unwrap();
    // A part goes, a part is replaced, and rows come that lie where nothing was: twice, by merge.
    for round in 0..2_usize {
        (0..200).for_each(|row| _ = index.remove(row * 7 + round as Row));
        fill(&index, &all[..4500 + 750 * (round + 1)], 4500 + 750 * round);
        index.merge().unwrap();
    }
    let queries: Vec<Vec<f32>> = all.iter().step_by(41).cloned().collect();
    let some: Bitmap = (0..6000).filter(|row| row % 3 == 0).collect();
    let prepared = index.prepare(some.clone());
    for (filter, plan, least) in [
        (Filter::All, Plan::Through, 0.95),
        (Filter::Rows(&some), Plan::Through, 0.95),
        (Filter::Prepared(&prepared), Plan::Through, 0.95),
        (Filter::Prepared(&prepared), Plan::TwoHop, 0.90),
    ] {
        let found = recall(&index, &queries, filter, plan);
        assert!(found >= least, "{metric:?} {filter:?} {plan:?}: {found}");
    }
    for filter in [Filter::All, Filter::Rows(&some), Filter::Prepared(&prepared)] {
        let found = recall_of_batch(&index, &queries, filter);
        assert!(found >= 0.95, "{metric:?} {filter:?} at once: {found}");
    }
    if metric == Metric::InnerProduct {
        return;
    }
    let lives = |row: &Row| index.vector(*row).is_some();
    let lost = (0..6000).filter(lives).filter(|&row| {
        let query = &all[row as usize];
        let request = Request {
            query,
            k: 1,
            ef: 64,
            filter: Filter::All,
            budget: None,
            plan: Some(Plan::Through),
        };
        index.answer(&request).unwrap().hits[0].row != row
    });
    assert_eq!(lost.count(), 0, "{metric:?}: every row finds itself");
}

#[test]
fn cosine_finds_its_neighbours_after_merges() {
    check(Metric::Cosine);
}

#[test]
fn inner_product_finds_its_neighbours_after_merges() {
    check(Metric::InnerProduct);
}

#[test]
fn l2_finds_its_neighbours_after_merges() {
    check(Metric::L2);
}

#[test]
fn tuning_keeps_what_suffices_and_files_keep_it() {
    let all = vectors(4500, 0);
    let index = index(Metric::Cosine, 2);
    fill(&index, &all[..4400], 0);
    let queries: Vec<&[f32]> = all[4400..].iter().map(Vec::as_slice).collect();
    index.merge().unwrap();
    let some = index.tune(&queries, K, 0.80).unwrap().unwrap();
    let most = index.tune(&queries, K, 0.98).unwrap().unwrap();
    assert!(some.recall >= 0.80 && most.recall >= 0.98 && some.ef <= most.ef);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    index.save(&path, 0).unwrap();
    let (opened, _) = LiveIndex::open(&path, index.space(), Options::default(), None).unwrap();
    assert_eq!((index.ef(), opened.ef()), (most.ef, most.ef));
}

#[test]
fn a_build_is_the_same_on_one_thread_and_on_two() {
    let all = vectors(9500, 0);
    let folder = tempfile::tempdir().unwrap();
    let hash = |threads: usize| {
        let index = index(Metric::L2, threads);
        fill(&index, &all, 0);
        index.merge().unwrap();
        index.save(&folder.path().join(format!("{threads}")), 0).unwrap().sha256
    };
    assert_eq!(hash(1), hash(2));
}

#[test]
fn a_budget_bounds_the_work_and_is_owned_up_to() {
    let all = vectors(4500, 0);
    let index = index(Metric::Cosine, 2);
    fill(&index, &all, 0);
    index.merge().unwrap();
    let none = Bitmap::new();
    for filter in [Filter::All, Filter::Rows(&none), Filter::Where(&|row| row == 4000)] {
        let request =
            Request { query: &all[9], k: K, ef: 4000, filter, budget: Some(500), plan: None };
        let answer = index.answer(&request).unwrap();
        assert!(answer.compared <= 500 + 400, "{filter:?}: {}", answer.compared);
        assert!(answer.hits.len() == K || !answer.complete || answer.hits.is_empty());
    }
}

/// Tuning between the index's own vectors finds an `ef` that holds for other queries of the kind, and a file keeps
/// it.
#[test]
fn what_was_tuned_holds_and_travels() {
    let all = vectors(6000, 0);
    for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
        let index = index(metric, 2);
        fill(&index, &all, 0);
        index.merge().unwrap();
        let tuned = index.tune_between(30, 0.95, 5).unwrap().unwrap();
        assert!(tuned.recall >= 0.95 && tuned.ef == index.ef(), "{metric:?}: {tuned:?}");
        let queries: Vec<Vec<f32>> = all
            .iter()
            .step_by(97)
            .zip(all.iter().skip(11).step_by(89))
            .map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect())
            .collect();
        let rows = |plan: Plan| -> Vec<Vec<Row>> {
            let found = queries.iter().map(|query| {
                let (ef, filter) = (index.ef(), Filter::All);
                let request = Request { query, k: 30, ef, filter, budget: None, plan: Some(plan) };
                index.answer(&request).unwrap().hits.iter().map(|hit| hit.row).collect()
            });
            found.collect()
        };
        let (wanted, found) = (rows(Plan::Scan), rows(Plan::Through));
        let hits: usize =
            wanted.iter().zip(found).map(|(w, f)| f.iter().filter(|r| w.contains(r)).count()).sum();
        assert!(hits * 100 >= queries.len() * 30 * 90, "{metric:?}: {hits}");
        let bytes = index.to_bytes(0).unwrap();
        let other = LiveIndex::from_bytes(&bytes, index.space(), Options::default()).unwrap();
        assert_eq!(other.ef(), tuned.ef);
    }
    let empty = index(Metric::Cosine, 1);
    assert!(empty.tune_between(10, 0.9, 1).unwrap().is_none());
}
