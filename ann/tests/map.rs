//! A mapped index is the one that was saved, and lives like any other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use bailiwick_ann::{
    AnnError, Answer, Filter, Keep, LiveIndex, Metric, Opened, Options, Plan, Request, Row, Space,
};
use proptest::prelude::*;

const HASH_BYTES: usize = 32;

fn space(metric: Metric) -> Space {
    Space::new("m1", 3, metric).unwrap()
}

fn options(keep: Keep) -> Options {
    Options { threads: 1, keep, ..Options::default() }
}

fn map(path: &Path) -> Result<Opened, AnnError> {
    LiveIndex::map(path, &space(Metric::L2), options(Keep::Exact), None)
}

/// Rows of which some are alike, some dead, some fresh.
fn saved(path: &Path) -> Vec<u8> {
    let index = LiveIndex::new(space(Metric::L2), options(Keep::Exact)).unwrap();
    (0..70).for_each(|row| index.upsert(row, &vector(row)).unwrap());
    index.merge().unwrap();
    index.remove(3);
    index.upsert(77, &[5.5, 1.0, 2.0]).unwrap();
    index.save_with(path, 12, |rows| vec![7; rows.len()]).unwrap();
    std::fs::read(path).unwrap()
}

fn vector(row: Row) -> [f32; 3] {
    let of = row % 65;
    [of as f32, 1.0, (of % 7) as f32]
}

/// Every answer of an index, to the bit.
fn answers(index: &LiveIndex) -> Vec<(Row, u32)> {
    let near = |query| index.search(&vector(query), 20, 40, Filter::All).unwrap();
    (0..9).flat_map(|query| near(query * 7)).map(|hit| (hit.row, hit.score.to_bits())).collect()
}

/// Writes at one place of a file. Nobody has it mapped.
fn put(file: &mut File, at: usize, byte: u8) {
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}

#[test]
fn a_flip_of_any_byte_is_noticed_and_in_the_hash_if_one_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    let hash: [u8; HASH_BYTES] = whole[whole.len() - HASH_BYTES..].try_into().unwrap();
    let expecting = |hash: &[u8; HASH_BYTES]| {
        LiveIndex::map(&path, &space(Metric::L2), options(Keep::Exact), Some(hash))
    };
    let before = map(&path).unwrap();
    assert_eq!((before.saved.sha256, before.saved.stamp, before.saved.rows), (hash, 12, 70));
    assert_eq!(before.note, [7; 70]);
    assert!(expecting(&hash).is_ok());
    let expected = answers(&before.index);
    drop(before);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    for at in 0..whole.len() {
        put(&mut file, at, whole[at] ^ 1 << (at % 8));
        if at < whole.len() - HASH_BYTES {
            assert!(map(&path).is_err(), "flipped at {at}");
        } else {
            assert_eq!(answers(&map(&path).unwrap().index), expected);
            assert!(matches!(expecting(&hash), Err(AnnError::Hash { .. })));
        }
        put(&mut file, at, whole[at]);
    }
    assert_eq!(answers(&map(&path).unwrap().index), expected);
}

#[test]
fn a_cut_at_any_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).unwrap();
        assert!(map(&path).is_err(), "cut at {length}");
    }
}

#[test]
fn a_file_that_goes_on_after_its_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    saved(&path);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0]).unwrap();
    assert!(map(&path).is_err());
}

#[test]
fn what_is_not_wanted_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    let refused = |path: &Path, space: &Space, memory_max: u64| {
        let options = Options { memory_max, ..options(Keep::Exact) };
        LiveIndex::map(path, space, options, None).unwrap_err()
    };
    let other = Space::new("m2", 3, Metric::L2).unwrap();
    assert!(matches!(refused(&path, &other, u64::MAX), AnnError::OtherSpace { .. }));
    let other = space(Metric::Cosine);
    assert!(matches!(refused(&path, &other, u64::MAX), AnnError::OtherSpace { .. }));
    let none = folder.path().join("none");
    assert!(matches!(refused(&none, &other, u64::MAX), AnnError::Io { .. }));
    let mut later = whole.clone();
    later[8] += 1;
    std::fs::write(&none, later).unwrap();
    let error = refused(&none, &space(Metric::L2), u64::MAX);
    assert!(matches!(&error, AnnError::File { why } if why.contains("version")), "{error}");
    // What it takes of its own is little; the file need not fit.
    assert!(matches!(refused(&path, &space(Metric::L2), 70 * 5), AnnError::Memory { .. }));
    let options = Options { memory_max: 1000, ..options(Keep::Exact) };
    assert!(whole.len() > 4000);
    assert!(LiveIndex::open(&path, &space(Metric::L2), options.clone(), None).is_err());
    assert_eq!(LiveIndex::map(&path, &space(Metric::L2), options, None).unwrap().index.len(), 70);
}

#[test]
fn an_empty_index_is_mapped_and_filled() {
    for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
        for keep in [Keep::Exact, Keep::Rounded] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("index");
            LiveIndex::new(space(metric), options(keep)).unwrap().save(&path, 0).unwrap();
            let index = LiveIndex::map(&path, &space(metric), options(keep), None).unwrap().index;
            assert!(index.is_empty());
            assert!(index.search(&[1.0, 2.0, 3.0], 5, 10, Filter::All).unwrap().is_empty());
            index.upsert(4, &[1.0, 2.0, 3.0]).unwrap();
            index.merge().unwrap();
            assert_eq!(index.search(&[1.0, 2.0, 3.0], 5, 10, Filter::All).unwrap()[0].row, 4);
        }
    }
}

/// Rows and the bits of their scores, vectors compared, nodes expanded.
type Answered = (Vec<(Row, u32)>, usize, usize);

/// What each kind of search finds, and what work it is.
fn all_answers(index: &LiveIndex, queries: &[Vec<f32>]) -> Vec<Answered> {
    let sparse = (0..4000).step_by(9).collect();
    let some = [Filter::All, Filter::Where(&|row| row % 3 == 0), Filter::Rows(&sparse)];
    let plans = [None, Some(Plan::Scan), Some(Plan::Through), Some(Plan::TwoHop)];
    let mut all = Vec::new();
    for query in queries {
        for (filter, plan) in some.iter().flat_map(|f| plans.iter().map(move |p| (*f, *p))) {
            let request = Request { query, k: 10, ef: 30, filter, budget: None, plan };
            let Answer { hits, compared, expanded, .. } = index.answer(&request).unwrap();
            let hits = hits.iter().map(|hit| (hit.row, hit.score.to_bits())).collect();
            all.push((hits, compared, expanded));
        }
    }
    all
}

fn contents(index: &LiveIndex) -> Vec<Option<Vec<f32>>> {
    (0..4000).map(|row| index.vector(row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Saved, read and mapped it is the same index, to the last bit; and so it is once more when the mapped one
    /// is saved, written to, and merged.
    #[test]
    fn mapped_read_and_saved_answer_alike_to_the_bit(
        values in prop::collection::vec(-1.0f32..1.0, 8 * 1500),
        metric in prop_oneof![Just(Metric::Cosine), Just(Metric::InnerProduct), Just(Metric::L2)],
        rounded in any::<bool>(),
        spaced in 1_u32..3,
        alike in any::<bool>(),
        removed in prop::collection::vec(0_u32..1500, 0..60),
        fresh in prop::collection::btree_set(0_u32..4000, 0..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let space = Space::new("m1", 8, metric).unwrap();
        let keep = if rounded { Keep::Rounded } else { Keep::Exact };
        let vectors: Vec<&[f32]> = values.chunks_exact(8).collect();
        let index = LiveIndex::new(space.clone(), options(keep)).unwrap();
        for (row, at) in (0_u32..).zip(0..vectors.len()) {
            let at = if alike { at / 5 * 5 + at % 5 % 4 } else { at };
            index.upsert(row * spaced, vectors[at]).unwrap();
        }
        index.merge().unwrap();
        index.tune_between(10, 0.9, 1).unwrap();
        removed.iter().for_each(|row| _ = index.remove(row * spaced));
        let write = |index: &LiveIndex, by: usize| {
            for (row, at) in fresh.iter().zip(by..) {
                index.upsert(*row, vectors[at]).unwrap();
            }
        };
        write(&index, 0);
        let saved = index.save(&path, 5).unwrap();
        let queries: Vec<Vec<f32>> = (0..5).map(|at| values[at * 11 + 3..][..8].to_vec()).collect();
        let alike = |other: &LiveIndex| {
            assert_eq!(all_answers(other, &queries), all_answers(&index, &queries));
            assert_eq!(contents(other), contents(&index));
            assert_eq!((other.len(), other.pending(), other.ef()), (index.len(), index.pending(), index.ef()));
        };
        let (read, was) = LiveIndex::open(&path, &space, options(keep), Some(&saved.sha256)).unwrap();
        let mapped = LiveIndex::map(&path, &space, options(keep), Some(&saved.sha256)).unwrap();
        prop_assert_eq!((was, mapped.saved), (saved, saved));
        let mapped = mapped.index;
        alike(&read);
        alike(&mapped);
        let again = folder.path().join("again");
        prop_assert_eq!(mapped.save(&again, 5).unwrap(), saved);
        prop_assert_eq!(read.to_bytes(5).unwrap(), std::fs::read(&again).unwrap());
        for other in [&index, &read, &mapped] {
            write(other, 700);
            removed.iter().for_each(|row| _ = other.remove(row * spaced + 1));
        }
        alike(&read);
        alike(&mapped);
        std::fs::remove_file(&path).unwrap();
        for other in [&index, &read, &mapped] {
            other.merge().unwrap();
        }
        alike(&read);
        alike(&mapped);
    }
}

/// A file says how its vectors are kept: opened elsewhere they are kept as is wished there, mapped as they are.
#[test]
fn vectors_kept_in_one_way_are_opened_in_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<[f32; 3]> = (0..2000)
        .map(|n| [n as f32, (n * n % 89) as f32, (n % 13) as f32].map(|v| v.sin()))
        .collect();
    let file = |keep: Keep| {
        let index = LiveIndex::new(space(Metric::L2), options(keep)).unwrap();
        (0..).zip(&rows).for_each(|(row, vector)| index.upsert(row, vector).unwrap());
        index.merge().unwrap();
        let path = folder.path().join(format!("{keep:?}"));
        index.save(&path, 0).unwrap();
        (path, index.bytes())
    };
    let [(exact, large), (rounded, small)] = [Keep::Exact, Keep::Rounded].map(file);
    assert!(small < large);
    let opened = |path: &Path, keep: Keep| {
        let index = LiveIndex::open(path, &space(Metric::L2), options(keep), None).unwrap().0;
        for (row, vector) in (0..).zip(&rows) {
            let found = index.vector(row).unwrap();
            assert!(found.iter().zip(vector).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        index.bytes()
    };
    assert_eq!((opened(&exact, Keep::Exact), opened(&exact, Keep::Rounded)), (large, small));
    assert_eq!((opened(&rounded, Keep::Exact), opened(&rounded, Keep::Rounded)), (large, small));
    let mapped = |keep: Keep| {
        LiveIndex::map(&rounded, &space(Metric::L2), options(keep), None).unwrap().index
    };
    assert_eq!((mapped(Keep::Exact).bytes(), mapped(Keep::Rounded).bytes()), (small, small));
    let index = mapped(Keep::Exact);
    index.merge().unwrap();
    assert!(index.bytes() > small);
}
