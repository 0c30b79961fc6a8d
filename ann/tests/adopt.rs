//! A generation from elsewhere changes how fast an index answers, never what.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_ann::{AnnError, Filter, LiveIndex, Metric, Options, Row, Space};
use bailiwick_core::kind::Kind;
use proptest::prelude::*;

fn space(model: &str) -> Space {
    Space::new(model, 3, Metric::Cosine).unwrap()
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

fn index() -> LiveIndex {
    LiveIndex::new(space("m1"), options()).unwrap()
}

/// A vector by a number; two in a hundred are alike.
fn vector(of: u32) -> [f32; 3] {
    let angle = (of % 97) as f32;
    [angle.sin(), angle.cos(), (of % 49) as f32 * 0.1]
}

/// An item of the builder is known by its name, a number that all nodes share.
fn note(names: &BTreeMap<Row, u32>) -> impl FnOnce(&[Row]) -> Vec<u8> {
    let names = names.clone();
    move |rows| rows.iter().flat_map(|row| names[row].to_le_bytes()).collect()
}

/// Opens a file, or maps it, and says which rows of it are which here.
fn opened(path: &Path, here: &BTreeMap<u32, Row>, mapped: bool) -> (LiveIndex, Vec<Option<Row>>) {
    let open = if mapped { LiveIndex::map } else { LiveIndex::open_with };
    let file = open(path, &space("m1"), options(), None).unwrap();
    let names = file.note.as_chunks::<4>().0.iter().map(|name| u32::from_le_bytes(*name));
    let rows = names.map(|name| here.get(&name).copied()).collect();
    (file.index, rows)
}

/// The builder's file: each name with its vector, rows in the order of the names.
fn built(path: &Path, items: &BTreeMap<u32, u32>) {
    let builder = index();
    let names: BTreeMap<Row, u32> = (0..).zip(items.keys().copied()).collect();
    for (row, name) in &names {
        builder.upsert(*row, &vector(items[name])).unwrap();
    }
    builder.merge().unwrap();
    builder.tune_between(5, 0.9, 1).unwrap();
    builder.save_with(path, 3, note(&names)).unwrap();
}

/// Compares with looking at every vector.
fn answers_right(index: &LiveIndex, items: &BTreeMap<Row, u32>) {
    assert_eq!(index.len(), items.len());
    for query in 0..12 {
        let query = vector(query * 13 + 1);
        let hits = index.search(&query, items.len().max(1), 4000, Filter::All).unwrap();
        let mut rows: Vec<Row> = hits.iter().map(|hit| hit.row).collect();
        rows.sort_unstable();
        assert_eq!(rows, items.keys().copied().collect::<Vec<_>>(), "each row once");
        for hit in &hits {
            let exact = score(&query, &vector(items[&hit.row]));
            assert!((hit.score - exact).abs() < 1e-5, "{} for {exact}", hit.score);
        }
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}

fn score(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the file lacks, has too much, or has of old: the index answers as if it had built its own.
    #[test]
    fn an_adopted_generation_answers_what_the_index_holds(
        there in proptest::collection::btree_map(0_u32..400, 0_u32..1000, 100..300),
        gone in proptest::collection::btree_set(0_u32..400, 0..40),
        changed in proptest::collection::btree_map(0_u32..400, 0_u32..1000, 0..60),
        mapped in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        built(&path, &there);
        let mut items = there.clone();
        items.extend(&changed);
        items.retain(|name, _| !gone.contains(name));
        // Rows come in another order here.
        let here: BTreeMap<u32, Row> = items.keys().rev().copied().zip(0..).collect();
        let held: BTreeMap<Row, u32> = items.iter().map(|(name, of)| (here[name], *of)).collect();
        let mine = index();
        held.iter().for_each(|(row, of)| mine.upsert(*row, &vector(*of)).unwrap());
        let (file, rows) = opened(&path, &here, mapped);
        let merged = mine.adopt(file, &rows).unwrap();
        prop_assert_eq!(mine.pending(), held.len() - merged.rows);
        let equal = items.iter().filter(|(name, of)| there.get(name).is_some_and(|was| vector(*was) == vector(**of)));
        prop_assert_eq!(merged.rows, equal.count());
        answers_right(&mine, &held);
        // And it goes on as any other: written to, and merged.
        let mut held = held;
        for row in (0..40).map(|n| n * 5) {
            held.insert(row, row + 7);
            mine.upsert(row, &vector(row + 7)).unwrap();
        }
        answers_right(&mine, &held);
        mine.merge().unwrap();
        prop_assert_eq!(mine.pending(), 0);
        answers_right(&mine, &held);
    }
}

#[test]
fn what_is_written_while_a_generation_is_adopted_outlives_it() {
    const ROWS: u32 = 6000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let wide = |of: u32| vector(of).map(|v| v + (of / 97) as f32 * 1e-3);
    let (builder, mine) = (index(), index());
    let names: BTreeMap<Row, u32> = (0..ROWS).map(|row| (row, row)).collect();
    for row in 0..ROWS {
        builder.upsert(row, &wide(row)).unwrap();
        mine.upsert(row, &wide(row)).unwrap();
    }
    builder.merge().unwrap();
    builder.save_with(&path, 1, note(&names)).unwrap();
    let (file, rows) = opened(&path, &names, true);
    std::thread::scope(|scope| {
        let adopting = scope.spawn(|| mine.adopt(file, &rows).unwrap());
        for row in 0..300 {
            mine.remove(row * 3);
            mine.upsert(row * 3 + 1, &[0.0, 0.0, -1.0 - row as f32]).unwrap();
        }
        adopting.join().unwrap();
    });
    assert_eq!(mine.len(), ROWS as usize - 300);
    assert!(mine.pending() <= 300);
    let low = mine.search(&[0.0, 0.0, -1.0], 300, 600, Filter::All).unwrap();
    assert!(low.iter().all(|hit| hit.row % 3 == 1 && hit.row < 900 && hit.score > 0.999_99));
    assert!((0..300).all(|row| mine.vector(row * 3).is_none()));
}

#[test]
fn what_does_not_fit_or_brings_nothing_leaves_the_index_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let items: BTreeMap<u32, u32> = (0..50).map(|name| (name, name)).collect();
    built(&path, &items);
    let here: BTreeMap<u32, Row> = items.keys().map(|name| (*name, *name)).collect();
    let mine = index();
    items.iter().for_each(|(row, of)| mine.upsert(*row, &vector(*of)).unwrap());
    let check = |rows: &dyn Fn(Vec<Option<Row>>) -> Vec<Option<Row>>, kind: Kind| {
        let (file, known) = opened(&path, &here, false);
        assert_eq!(mine.adopt(file, &rows(known)).unwrap_err().kind(), kind);
        assert_eq!((mine.generation(), mine.pending()), (0, 50));
        answers_right(&mine, &items);
    };
    check(&|known| known[1..].to_vec(), Kind::Broken);
    check(&|known| vec![known[0]; known.len()], Kind::Broken);
    check(&|known| vec![Some(Row::MAX); known.len()], Kind::Broken);
    check(&|known| vec![None; known.len()], Kind::Stale);
    let other = LiveIndex::new(space("m2"), options()).unwrap();
    assert!(matches!(mine.adopt(other, &[]).unwrap_err(), AnnError::OtherSpace { .. }));
    let (file, known) = opened(&path, &here, false);
    let tuned = file.ef();
    assert_ne!(tuned, mine.ef());
    assert_eq!(mine.adopt(file, &known).unwrap().rows, 50);
    assert_eq!(mine.ef(), tuned, "searches go as far as the builder found out");
    assert_eq!((mine.generation(), mine.pending(), mine.backlog()), (1, 0, 0));
}
