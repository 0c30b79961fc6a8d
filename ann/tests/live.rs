//! Writers, readers and merges at once; and what a caller can get wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick_ann::{AnnError, Bitmap, Filter, LiveIndex, Metric, Options, Row, Space};
use bailiwick_core::kind::Kind;

fn index(dimensions: usize, metric: Metric) -> LiveIndex {
    let space = Space::new("m1", dimensions, metric).unwrap();
    LiveIndex::new(space, Options { threads: 1, ..Options::default() }).unwrap()
}

/// A point on the unit circle, its angle rising with the row.
fn at(row: Row, of: Row) -> [f32; 2] {
    let angle = row as f32 / of as f32 * 3.0;
    [angle.cos(), angle.sin()]
}

#[test]
fn a_reader_never_sees_a_gap_or_a_double_while_rows_are_replaced_and_merged() {
    const ROWS: Row = 300;
    let index = index(2, Metric::Cosine);
    (0..ROWS).for_each(|row| index.upsert(row, &at(row, ROWS)).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..12 {
                // The same vectors again: every reader must find each row exactly once all the time.
                (0..ROWS).for_each(|row| index.upsert(row, &at(row, ROWS)).unwrap());
                if round % 3 == 1 {
                    index.merge().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let hits = index.search(&at(7, ROWS), ROWS as usize, 1000, Filter::All).unwrap();
            let mut rows: Vec<Row> = hits.iter().map(|hit| hit.row).collect();
            assert_eq!(rows.first(), Some(&7));
            rows.sort_unstable();
            assert_eq!(rows, (0..ROWS).collect::<Vec<_>>());
            assert_eq!(index.len(), ROWS as usize);
        }
    });
}

#[test]
fn what_is_written_during_a_merge_outlives_it() {
    const ROWS: Row = 3000;
    let index = index(2, Metric::L2);
    (0..ROWS).for_each(|row| index.upsert(row, &at(row, ROWS)).unwrap());
    std::thread::scope(|scope| {
        let merge = scope.spawn(|| index.merge().unwrap());
        for row in 0..200 {
            index.remove(row * 3);
            index.upsert(row * 3 + 1, &[9.0, row as f32]).unwrap();
        }
        merge.join().unwrap();
    });
    index.merge().unwrap();
    assert_eq!(index.len(), ROWS as usize - 200);
    for row in 0..200 {
        assert!(index.vector(row * 3).is_none());
        let hits = index.search(&[9.0, row as f32], 1, 32, Filter::All).unwrap();
        assert_eq!((hits[0].row, hits[0].score), (row * 3 + 1, 0.0));
    }
}

#[test]
fn an_upsert_is_found_by_the_next_search_and_a_removed_row_by_none() {
    let index = index(3, Metric::InnerProduct);
    index.upsert(5, &[0.0, 0.0, 2.0]).unwrap();
    assert_eq!(index.search(&[0.0, 0.0, 1.0], 3, 8, Filter::All).unwrap()[0].score, 2.0);
    index.upsert(5, &[0.0, 0.0, 3.0]).unwrap();
    let hits = index.search(&[0.0, 0.0, 1.0], 3, 8, Filter::All).unwrap();
    assert_eq!((hits.len(), hits[0].score), (1, 3.0));
    assert!(index.remove(5) && !index.remove(5) && index.is_empty());
    assert!(index.search(&[0.0, 0.0, 1.0], 3, 8, Filter::All).unwrap().is_empty());
    assert_eq!(index.merge().unwrap().rows, 0);
    assert!(index.search(&[0.0, 0.0, 1.0], 3, 8, Filter::All).unwrap().is_empty());
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let index = index(2, Metric::Cosine);
    let check = |outcome: Result<(), AnnError>, kind: Kind| {
        assert_eq!(outcome.unwrap_err().kind(), kind);
        assert!(index.is_empty() && index.pending() == 0);
    };
    check(index.upsert(0, &[1.0]), Kind::Invalid);
    check(index.upsert(0, &[0.0, 0.0]), Kind::Invalid);
    check(index.upsert(0, &[f32::NAN, 1.0]), Kind::Invalid);
    check(index.upsert(Row::MAX, &[1.0, 1.0]), Kind::Invalid);
    check(index.search(&[f32::INFINITY, 1.0], 5, 5, Filter::All).map(drop), Kind::Invalid);
    check(index.search(&[1.0; 3], 5, 5, Filter::All).map(drop), Kind::Invalid);
    assert!(index.search(&[1.0, 1.0], 5, 5, Filter::All).unwrap().is_empty());
}

#[test]
fn a_full_segment_refuses_until_it_is_merged() {
    let space = Space::new("m1", 2, Metric::L2).unwrap();
    let index =
        LiveIndex::new(space, Options { pending_max: 3, merge_at: 2, ..Options::default() });
    let index = index.unwrap();
    (0..3).for_each(|row| index.upsert(row, &[1.0, row as f32]).unwrap());
    assert_eq!(index.upsert(3, &[1.0, 3.0]).unwrap_err().kind(), Kind::Overloaded);
    assert!(index.needs_merge());
    index.merge().unwrap();
    assert!(!index.needs_merge());
    index.upsert(3, &[1.0, 3.0]).unwrap();
    assert_eq!(index.search(&[0.0, 0.0], 9, 0, Filter::All).unwrap().len(), 4);
}

#[test]
fn many_copies_of_one_vector_are_all_found() {
    let index = index(4, Metric::Cosine);
    (0..3000).for_each(|row| index.upsert(row, &[1.0, 2.0, 3.0, 4.0]).unwrap());
    index.upsert(3000, &[1.0, 0.0, 0.0, 0.0]).unwrap();
    index.merge().unwrap();
    let hits = index.search(&[1.0, 2.0, 3.0, 4.0], 3000, 10, Filter::All).unwrap();
    assert_eq!(hits.len(), 3000);
    assert!(hits.iter().all(|hit| hit.row < 3000));
    let rare: Bitmap = [2999, 3000].into_iter().collect();
    let hits = index.search(&[1.0, 2.0, 3.0, 4.0], 10, 10, &rare).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [2999, 3000]);
}
