//! Files of versions that are no longer written are read, and say what they said.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use bailiwick_ann::{
    AnnError, Attributes, Filter, LiveIndex, Metric, Opened, Options, Predicate, Row, Space,
};
use sha2::{Digest, Sha256};

/// Made by the last version that wrote such files: sixty rows, of which twenty share their vectors with others;
/// row 3 removed, row 8 replaced and row 77 added since; tuned; noted the rows of its slots, a byte each.
const VERSION_3: &[u8] = include_bytes!("data/version-3");
/// The same by the last version without columns.
const VERSION_4: &[u8] = include_bytes!("data/version-4");
const HASH_BYTES: usize = 32;

fn space() -> Space {
    Space::new("m1", 3, Metric::L2).unwrap()
}

fn file(folder: &Path, content: &[u8]) -> PathBuf {
    let path = folder.join("index");
    _ = std::fs::remove_file(&path);
    std::fs::write(&path, content).unwrap();
    path
}

/// Both ways of opening read such a file.
fn opened(path: &Path) -> [Result<Opened, AnnError>; 2] {
    let options = Options { threads: 1, ..Options::default() };
    [
        LiveIndex::open_with(path, &space(), options.clone(), None),
        LiveIndex::map(path, &space(), options, None),
    ]
}

fn vector(row: Row) -> Option<[f32; 3]> {
    match row {
        3 => None,
        8 => Some([8.5, 0.0, -2.0]),
        77 => Some([5.5, 1.0, 2.0]),
        row if row < 60 => {
            let of = row % 40;
            Some([of as f32, 1.0, (of % 7) as f32])
        }
        _ => None,
    }
}

fn check(opened: Opened, note: &[u8]) {
    let Opened { index, saved, note: found } = opened;
    assert_eq!((index.len(), saved.rows, saved.stamp), (60, 60, 12));
    assert_eq!((index.pending(), found.as_slice()), (2, note));
    let expected = Options::default();
    assert_ne!(index.ef(), expected.ef, "tuned");
    assert!(
        (0..99).all(|row| index.vector(row).as_deref() == vector(row).as_ref().map(|v| &v[..]))
    );
    let query = [5.4, 1.0, 2.1];
    let score = |v: [f32; 3]| -v.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let mut all: Vec<f32> = (0..99).filter_map(vector).map(score).collect();
    all.sort_unstable_by(|a, b| b.total_cmp(a));
    let hits = index.search(&query, 20, 60, Filter::All).unwrap();
    assert!(hits.iter().zip(all).all(|(hit, score)| (hit.score - score).abs() < 1e-3));
    index.merge().unwrap();
    assert_eq!((index.len(), index.pending()), (60, 0));
}

/// The same content as of another version.
fn resealed(version: u8, mut content: Vec<u8>) -> Vec<u8> {
    content[8] = version;
    let hash = Sha256::digest(&content);
    content.extend_from_slice(&hash);
    content
}

#[test]
fn files_of_older_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let content = &VERSION_3[..VERSION_3.len() - HASH_BYTES];
    assert_eq!(resealed(3, content.to_vec()), VERSION_3);
    // The last 60 bytes of it before the `ef` are the note.
    let at = content.len() - 4 - 60;
    let note = &content[at..at + 60];
    let without = [&content[..at - 8], &content[at + 60..]].concat();
    for (version, content, note) in
        [(3, content.to_vec(), note), (2, content.to_vec(), note), (1, without, &[])]
    {
        for opened in opened(&file(folder.path(), &resealed(version, content.clone()))) {
            check(opened.unwrap(), note);
        }
    }
}

#[test]
fn a_cut_and_a_flip_are_noticed_in_them_too() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..VERSION_3.len() {
        let mut flipped = VERSION_3.to_vec();
        flipped[at] ^= 1 << (at % 8);
        for content in [&VERSION_3[..at], &flipped] {
            let path = file(folder.path(), content);
            assert!(opened(&path).iter().all(Result::is_err), "at {at}");
        }
    }
}

/// It is mapped as it lies, and takes columns like any other.
#[test]
fn a_file_without_columns_is_mapped_and_takes_some() {
    let folder = tempfile::tempdir().unwrap();
    let at = VERSION_4.len() - HASH_BYTES;
    let note = opened(&file(folder.path(), VERSION_4)).map(|opened| opened.unwrap().note);
    assert!(note.iter().all(|note| note.len() == 60));
    for opened in opened(&file(folder.path(), VERSION_4)) {
        check(opened.unwrap(), &note[0]);
    }
    for opened in opened(&file(folder.path(), VERSION_4)) {
        let index = opened.unwrap().index;
        let red = Attributes::new().with_keyword("colour", "red");
        index.upsert_with(5, &[1.0, 2.0, 3.0], &red).unwrap();
        index.merge().unwrap();
        let path = folder.path().join("newer");
        index.save(&path, 0).unwrap();
        let again = LiveIndex::map(&path, &space(), Options::default(), None).unwrap().index;
        let rows = again.matching(&Predicate::is("colour", "red")).unwrap();
        assert_eq!((again.len(), rows.iter().collect::<Vec<_>>()), (60, vec![5]));
    }
    for at in (0..at).step_by(7) {
        let mut flipped = VERSION_4.to_vec();
        flipped[at] ^= 1 << (at % 8);
        for content in [&VERSION_4[..at], &flipped] {
            let path = file(folder.path(), content);
            assert!(opened(&path).iter().all(Result::is_err), "at {at}");
        }
    }
}
