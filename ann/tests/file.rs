//! An index file is taken whole or not at all, whatever its bytes are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;

use bailiwick_ann::{AnnError, Filter, LiveIndex, Metric, Options, Space};

fn space() -> Space {
    Space::new("m1", 3, Metric::L2).unwrap()
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

fn saved(path: &Path) -> Vec<u8> {
    let index = LiveIndex::new(space(), options()).unwrap();
    (0..9).for_each(|row| index.upsert(row, &[row as f32, 1.0, (row % 7) as f32]).unwrap());
    index.merge().unwrap();
    index.remove(3);
    index.upsert(77, &[5.5, 1.0, 2.0]).unwrap();
    index.save(path, 12).unwrap();
    std::fs::read(path).unwrap()
}

/// Opens this content. Always under a new name: rewriting a file makes the system sync it.
fn open(path: &Path, content: &[u8]) -> Result<LiveIndex, AnnError> {
    _ = std::fs::remove_file(path);
    std::fs::write(path, content).unwrap();
    LiveIndex::open(path, &space(), options(), None).map(|(index, _)| index)
}

#[test]
fn a_cut_at_any_byte_and_a_flip_of_any_byte_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    assert_eq!(open(&path, &whole).unwrap().len(), 9);
    for at in 0..whole.len() {
        assert!(open(&path, &whole[..at]).is_err(), "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(open(&path, &flipped).is_err(), "flipped at {at}");
    }
}

#[test]
fn only_the_expected_content_of_the_expected_space_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    saved(&path);
    let opened = |space: &Space, hash: Option<&[u8; 32]>, memory_max: u64| {
        let options = Options { memory_max, ..options() };
        LiveIndex::open(&path, space, options, hash)
            .map(|(index, saved)| (index.len(), saved.stamp))
    };
    assert_eq!(opened(&space(), None, u64::MAX).unwrap(), (9, 12));
    let refused = |outcome: Result<_, AnnError>| outcome.unwrap_err();
    let other = Space::new("m2", 3, Metric::L2).unwrap();
    assert!(matches!(refused(opened(&other, None, u64::MAX)), AnnError::OtherSpace { .. }));
    assert!(matches!(refused(opened(&space(), Some(&[0; 32]), u64::MAX)), AnnError::Hash { .. }));
    assert!(matches!(refused(opened(&space(), None, 100)), AnnError::Memory { .. }));
    let missing = LiveIndex::open(&folder.path().join("none"), &space(), options(), None);
    assert!(matches!(missing.unwrap_err(), AnnError::Io { .. }));
}

/// A file of a later version says so, rather than that it is damaged.
#[test]
fn a_file_of_another_version_is_refused_by_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut content = saved(&path);
    content[8] += 1;
    let error = open(&path, &content).unwrap_err();
    assert!(matches!(&error, AnnError::File { why } if why.contains("version")), "{error}");
}

/// Its table of links is empty while each node has room for some: that was once taken for a lie.
#[test]
fn an_empty_index_is_saved_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    LiveIndex::new(space(), options()).unwrap().save(&path, 0).unwrap();
    assert!(open(&path, &std::fs::read(&path).unwrap()).unwrap().is_empty());
}

#[test]
fn a_reopened_index_answers_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    let index = open(&path, &whole).unwrap();
    let hits = index.search(&[5.5, 1.0, 2.0], 1, 10, Filter::All).unwrap();
    assert_eq!((hits[0].row, hits[0].score), (77, 0.0));
    assert!(index.vector(3).is_none());
    assert_eq!(index.vector(4).unwrap(), [4.0, 1.0, 4.0]);
}
