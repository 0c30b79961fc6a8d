//! A file is what its name says, or it is none.

use std::fs;
use std::path::Path;

use super::*;

const BYTES: &[u8] = b"some bytes that came from a peer, in two parts";

fn content(bytes: &[u8]) -> Content {
    Content { sha256: sha256_of(bytes), length: u64::try_from(bytes.len()).unwrap() }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Writes what a peer sends for what was asked; whether it was taken.
fn arrives(folder: &Folder, asked: Content, parts: &[&[u8]]) -> bool {
    let mut arrival = folder.begin(asked).unwrap();
    parts.iter().all(|part| arrival.write(part).is_ok()) && arrival.finish().is_ok()
}

#[test]
fn only_what_was_named_is_taken_and_of_all_else_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "model").unwrap();
    let asked = content(BYTES);
    for at in 0..BYTES.len() {
        let mut flipped = BYTES.to_vec();
        flipped[at] ^= 4;
        assert!(!arrives(&folder, asked, &[&flipped]), "flipped at {at}");
        assert!(!arrives(&folder, asked, &[&BYTES[..at]]), "cut at {at}");
    }
    assert!(!arrives(&folder, asked, &[BYTES, b"more"]));
    drop(folder.begin(asked).unwrap());
    assert_eq!(names(dir.path()), Vec::<String>::new());
    assert!(arrives(&folder, asked, &[&BYTES[..9], &BYTES[9..]]));
    assert_eq!(fs::read(folder.whole(&asked).unwrap().unwrap()).unwrap(), BYTES);
}

/// Two that fetch one file at a time do not write into each other's.
#[test]
fn one_file_may_arrive_twice_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "model").unwrap();
    let asked = content(BYTES);
    let (mut one, mut other) = (folder.begin(asked).unwrap(), folder.begin(asked).unwrap());
    one.write(BYTES).unwrap();
    other.write(&BYTES[..9]).unwrap();
    one.finish().unwrap();
    drop(other);
    assert!(folder.whole(&asked).unwrap().is_some());
}

#[test]
fn a_file_that_decays_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "model").unwrap();
    let asked = content(BYTES);
    assert_eq!(folder.whole(&asked).unwrap(), None);
    fs::write(folder.file(&asked.sha256), b"something else").unwrap();
    assert_eq!(folder.whole(&asked).unwrap(), None);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn what_is_not_named_and_what_never_arrived_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "model").unwrap();
    for bytes in [b"a", b"b"] {
        let part = folder.part();
        fs::write(&part, bytes).unwrap();
        assert_eq!(folder.adopt(&part).unwrap(), content(bytes));
    }
    fs::write(dir.path().join("7.part"), b"torn").unwrap();
    let named = content(b"b");
    Folder::open(dir.path(), "model").unwrap().keep([named.sha256.as_slice()]).unwrap();
    assert!(folder.whole(&named).unwrap().is_some());
    assert_eq!(names(dir.path()).len(), 1);
    folder.keep([]).unwrap();
    assert_eq!(names(dir.path()).len(), 0);
}
