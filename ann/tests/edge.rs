//! What lies at the edges: nothing to find, nothing allowed, more wanted than there is, all alike.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bailiwick_ann::{
    AnnError, Bitmap, Filter, Hit, LiveIndex, Metric, Options, Plan, Request, Row, Space,
};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::InnerProduct, Metric::L2];

fn index(dimensions: usize, metric: Metric) -> LiveIndex {
    let space = Space::new("m1", dimensions, metric).unwrap();
    LiveIndex::new(space, Options { threads: 2, ..Options::default() }).unwrap()
}

/// Points that all differ, in three dimensions.
fn point(row: Row) -> [f32; 3] {
    let angle = row as f32 * 0.37;
    [angle.cos(), angle.sin(), 1.0 + (row % 17) as f32 / 17.0]
}

fn filled(metric: Metric, rows: Row) -> LiveIndex {
    let index = index(3, metric);
    (0..rows).for_each(|row| index.upsert(row, &point(row)).unwrap());
    index.merge().unwrap();
    index
}

/// What a search finds, alone, in company, and on every way that it can be made to go: the same number.
fn count(index: &LiveIndex, k: usize, filter: Filter<'_>) -> usize {
    let query = [0.3, 0.4, 1.0];
    let hits = index.search(&query, k, 50, filter).unwrap();
    let batch = index.search_batch(&[query.as_slice(); 6], k, 50, filter).unwrap();
    assert!(batch.iter().all(|other| other.len() == hits.len()));
    for plan in [Plan::Scan, Plan::Through] {
        let request = Request { query: &query, k, ef: 50, filter, budget: None, plan: Some(plan) };
        assert!(index.answer(&request).unwrap().hits.len() <= hits.len());
    }
    hits.len()
}

#[test]
fn nothing_is_found_where_nothing_is() {
    for metric in METRICS {
        let empty = index(3, metric);
        assert_eq!(count(&empty, 5, Filter::All), 0);
        assert_eq!(empty.merge().unwrap().rows, 0);
        assert_eq!(count(&empty, 5, Filter::All), 0);
        assert_eq!(count(&empty, 5, Filter::Rows(&Bitmap::new())), 0);
        for rows in [40, 3000] {
            let gone = filled(metric, rows);
            (0..rows).for_each(|row| assert!(gone.remove(row)));
            assert_eq!(count(&gone, 5, Filter::All), 0, "{metric:?} {rows}");
            gone.merge().unwrap();
            assert_eq!(count(&gone, 5, Filter::All), 0, "{metric:?} {rows}");
        }
    }
}

#[test]
fn nothing_is_found_where_nothing_is_allowed_or_wanted() {
    for rows in [40, 3000] {
        let index = filled(Metric::L2, rows);
        let none = Bitmap::new();
        let others: Bitmap = (rows..rows + 100).collect();
        let prepared = index.prepare(none.clone());
        assert_eq!(count(&index, 0, Filter::All), 0);
        assert_eq!(count(&index, 5, Filter::Rows(&none)), 0);
        assert_eq!(count(&index, 5, Filter::Rows(&others)), 0);
        assert_eq!(count(&index, 5, Filter::Prepared(&prepared)), 0);
        assert_eq!(count(&index, 5, Filter::Where(&|_| false)), 0);
    }
}

#[test]
fn more_is_wanted_than_there_is() {
    for metric in METRICS {
        for rows in [40, 3000] {
            let index = filled(metric, rows);
            for k in [rows as usize, rows as usize + 1, usize::MAX] {
                assert_eq!(count(&index, k, Filter::All), rows as usize, "{metric:?} {k}");
            }
            let few: Bitmap = [1, 7, 12].into_iter().collect();
            assert_eq!(count(&index, 10, Filter::Rows(&few)), 3);
        }
    }
}

#[test]
fn a_query_that_cannot_be_compared_is_refused_alone_and_in_company() {
    let index = filled(Metric::Cosine, 40);
    let good = [1.0, 0.0, 0.0];
    for bad in
        [&[f32::NAN, 0.0, 0.0][..], &[f32::NEG_INFINITY, 0.0, 0.0], &[0.0; 3], &[1.0; 4], &[]]
    {
        assert!(index.search(bad, 3, 8, Filter::All).is_err(), "{bad:?}");
        let batch = index.search_batch(&[&good, bad], 3, 8, Filter::All);
        assert!(matches!(
            batch.unwrap_err(),
            AnnError::Value { .. } | AnnError::Zero | AnnError::Length { .. }
        ));
        assert!(index.upsert(99, bad).is_err() && index.len() == 40);
    }
    assert!(index.search_batch(&[], 3, 8, Filter::All).unwrap().is_empty());
}

#[test]
fn a_hundred_thousand_copies_of_one_vector_do_not_hide_the_rest() {
    let index = index(3, Metric::L2);
    (0..100_000).for_each(|row| index.upsert(row, &[1.0, 2.0, 3.0]).unwrap());
    (0..50).for_each(|row| index.upsert(200_000 + row, &point(row)).unwrap());
    index.merge().unwrap();
    let near = |query: &[f32], k| index.search(query, k, 10, Filter::All).unwrap();
    assert_eq!(near(&[1.0, 2.0, 3.0], 10).iter().filter(|hit| hit.score == 0.0).count(), 10);
    assert_eq!(
        near(&[1.0, 2.0, 3.0], 100_001).iter().filter(|hit| hit.score == 0.0).count(),
        100_000
    );
    let Hit { row, score } = near(&point(9), 1)[0];
    assert_eq!((row, score), (200_009, 0.0));
}

/// A million rows of one vector beside some that differ: every wanted number of them is found, each row once, whatever is
/// allowed; none that is gone; and what differs is found among them.
#[test]
fn a_million_equal_vectors_are_rows_like_others() {
    const EQUAL: Row = 1_000_000;
    let space = Space::new("m1", 3, Metric::Cosine).unwrap();
    let options = Options { threads: 2, pending_max: 1 << 21, ..Options::default() };
    let index = LiveIndex::new(space, options).unwrap();
    (0..EQUAL).for_each(|row| index.upsert(row, &[1.0, 0.0, 0.0]).unwrap());
    (EQUAL..EQUAL + 500).for_each(|row| index.upsert(row, &point(row)).unwrap());
    index.merge().unwrap();
    assert_eq!(index.len(), EQUAL as usize + 500);
    let found = |query: &[f32], k: usize, filter: Filter<'_>| -> Vec<Row> {
        let hits = index.search(query, k, 50, filter).unwrap();
        let mut rows: Vec<Row> = hits.iter().map(|hit| hit.row).collect();
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), hits.len(), "each row once");
        rows
    };
    let equal = [1.0, 0.0, 0.0];
    for k in [1, 10, 5000] {
        let rows = found(&equal, k, Filter::All);
        assert!(rows.len() == k && rows.iter().all(|row| *row < EQUAL));
    }
    let few: Bitmap = [7, 70_000, 999_999].into_iter().collect();
    assert_eq!(found(&equal, 10, Filter::Rows(&few)), [7, 70_000, 999_999]);
    let other = EQUAL + 123;
    assert!(found(&point(other), 3, Filter::All).contains(&other));
    (0..EQUAL).filter(|row| row % 2 == 0).for_each(|row| assert!(index.remove(row)));
    assert!(found(&equal, 1000, Filter::All).iter().all(|row| row % 2 == 1));
    index.merge().unwrap();
    let rows = found(&equal, 1000, Filter::All);
    assert!(rows.len() == 1000 && rows.iter().all(|row| row % 2 == 1));
}
