//! A generation on its way from one catalogue to another whose rows have other numbers.

use std::fs;

use bailiwick_ann::Merged;
use bailiwick_proto::store::GenerationManifest;

use super::{GenerationError, file};
use crate::catalog::testing::{Replica, item};
use crate::files::{Content, Folder};

const ITEMS: u16 = 600;

fn vector(number: u16) -> [f32; 4] {
    let angle = f32::from(number) * 0.37;
    [angle.sin(), angle.cos(), f32::from(number % 29) * 0.1, f32::from(number % 7) * 0.2]
}

fn id(number: u16) -> String {
    format!("item-{number:03}")
}

fn items(numbers: impl Iterator<Item = u16>) -> Replica {
    let mut replica = Replica::new();
    // One by one: in a batch they would come in the order of their keys.
    numbers.for_each(|number| replica.put([item(&id(number), &vector(number))]));
    replica
}

fn built(replica: &Replica, folder: &Folder) -> (GenerationManifest, Merged) {
    let index = replica.catalogue.index().unwrap();
    let merged = index.merge().unwrap();
    let node = "eu-west-1".parse().unwrap();
    (file::write(&replica.catalogue, &index, &merged, folder, &node).unwrap(), merged)
}

fn take(
    replica: &Replica,
    folder: &Folder,
    named: &GenerationManifest,
) -> Result<Merged, GenerationError> {
    let index = replica.catalogue.index().unwrap();
    file::take(&replica.catalogue, &index, named, &folder.file(&named.sha256))
}

#[test]
fn what_was_built_there_is_found_here_and_what_changed_since_too() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "index").unwrap();
    let there = items(0..ITEMS);
    let (named, _) = built(&there, &folder);
    assert_eq!((named.rows, named.log_index), (u64::from(ITEMS), u64::from(ITEMS)));

    let mut here = items((0..ITEMS).rev());
    here.put([item("new", &[9.0, 0.0, 0.0, -5.0]), item(&id(5), &[-3.0, 0.0, 0.0, -9.0])]);
    here.delete(&id(6));
    let plain = |vector: &[f32]| here.near(vector, 40);
    let queries: Vec<[f32; 4]> = (0..40).map(|n| vector(n * 11)).collect();
    let before: Vec<_> = queries.iter().map(|query| plain(query)).collect();
    let merged = take(&here, &folder, &named).unwrap();
    assert_eq!(merged.rows, usize::from(ITEMS) - 2);
    assert_eq!(here.catalogue.index().unwrap().pending(), 2, "the new one and the changed one");
    for (query, before) in queries.iter().zip(before) {
        let after = plain(query);
        let scores = |found: &[(_, f32)]| found.iter().map(|(_, score)| *score).collect::<Vec<_>>();
        assert_eq!(scores(&after), scores(&before), "the same scores to the bit");
    }
    assert_eq!(plain(&[9.0, 0.0, 0.0, -5.0])[0].0.as_str(), "new");
    assert_eq!(plain(&[-3.0, 0.0, 0.0, -9.0])[0].0.as_str(), id(5));
    assert!(plain(&vector(6)).iter().all(|(item, _)| item.as_str() != id(6)));
}

#[test]
fn a_file_that_is_not_what_was_named_leaves_the_index_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), "index").unwrap();
    let (named, _) = built(&items(0..ITEMS), &folder);
    let here = items(0..ITEMS);
    let check = |named: &GenerationManifest| {
        assert!(take(&here, &folder, named).is_err());
        let index = here.catalogue.index().unwrap();
        assert_eq!((index.generation(), index.pending()), (0, usize::from(ITEMS)));
    };
    check(&GenerationManifest { log_index: named.log_index + 1, ..named.clone() });
    check(&GenerationManifest { sha256: vec![1; 32], ..named.clone() });
    let path = folder.file(&named.sha256);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 50).chain([whole.len() - 1]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, flipped).unwrap();
        // In the hash at its end nothing of the index is damaged: the name says that it is another file.
        if at < whole.len() - 32 {
            check(&named);
        }
        let content = Content::named(&named.sha256, named.length).unwrap();
        assert!(folder.whole(&content).unwrap().is_none(), "{at}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(take(&here, &folder, &named).is_ok());
    // A second time there is nothing in it.
    assert!(take(&here, &folder, &named).unwrap_err().is_idle());
}
