//! A model's file is whole or it is none.

use bailiwick_core::ids::ItemId;
use bailiwick_core::learning::{Blend, Block, PooledModel};
use bailiwick_proto::store::ModelManifest;

use super::*;
use crate::files::sha256_of;
use crate::learning::ItemOrder;

fn item(number: usize) -> ItemId {
    format!("item-{number:02}").parse().unwrap()
}

fn small(seed: u64) -> ModelFile {
    let order = ItemOrder::new((0..7).map(item).collect());
    let block = |seed| Block::seeded(7, 8, seed);
    let model = PooledModel::new(block(seed), block(seed + 1)).unwrap();
    ModelFile::new(order, model)
}

fn manifest(bytes: &[u8]) -> ModelManifest {
    ModelManifest {
        sha256: sha256_of(bytes).to_vec(),
        length: u64::try_from(bytes.len()).unwrap(),
        ..ModelManifest::default()
    }
}

#[test]
fn a_model_survives_its_file_bit_by_bit() {
    let file = small(1);
    assert_eq!(ModelFile::decode(&file.encode()).unwrap(), file);
}

/// A second part behind the first, and weights of its own.
fn in_two_parts() -> ModelFile {
    let first = small(1);
    let second = PooledModel::received(Block::seeded(7, 4, 8), Block::seeded(7, 4, 9)).unwrap();
    let blend = Blend { pooled: 1.0, spectral: 0.25, lists: 0.4 };
    let model = first.model.joined(&second).unwrap().weighing(blend);
    ModelFile { model, ..first }
}

/// Both parts and the weights are in the file, so that whatever is served, or served again, has its own.
#[test]
fn parts_and_weights_survive_the_file() {
    let file = in_two_parts();
    let read = ModelFile::decode(&file.encode()).unwrap();
    assert_eq!(read, file);
    assert_eq!((read.model.split(), read.model.dimensions()), (8, 12));
    assert!((read.model.blend().lists - 0.4).abs() < 1e-6);
}

/// Changes a file's bytes, and makes its checksum hold again.
fn resealed(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Magic number, version, items and dimensions come before split and weights.
const SPLIT_AT: usize = 20;

#[test]
fn a_model_of_an_older_build_is_served_by_the_defaults() {
    let bytes = resealed(small(1).encode(), |bytes| {
        bytes.drain(SPLIT_AT..SPLIT_AT + 16);
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    });
    let read = ModelFile::decode(&bytes).unwrap();
    assert_eq!(read, small(1));
    assert_eq!(read.model.blend(), Blend::DEFAULT);
}

#[test]
fn a_model_of_a_newer_build_and_one_of_no_weights_are_refused() {
    let newer = resealed(small(1).encode(), |bytes| bytes[8] = 9);
    assert!(matches!(ModelFile::decode(&newer), Err(ModelFileError::Newer { found: 9 })));
    for weight in [f32::NAN, -1.0, 1e9] {
        let odd = resealed(small(1).encode(), |bytes| {
            bytes[SPLIT_AT + 8..SPLIT_AT + 12].copy_from_slice(&weight.to_le_bytes());
        });
        assert!(matches!(ModelFile::decode(&odd), Err(ModelFileError::Torn(_))), "{weight}");
    }
    let wide = resealed(small(1).encode(), |bytes| bytes[SPLIT_AT] = 9);
    assert!(ModelFile::decode(&wide).is_err(), "a first part of more values than there are");
}

/// With two parts the greatest inner product is found, of whichever length the second is.
#[test]
fn the_index_of_two_parts_finds_inner_products() {
    let file = in_two_parts().indexed().unwrap();
    assert!(super::index::read(&file.index, &file.model).is_some());
    assert!(super::index::read(&file.index, &small(1).model).is_none(), "of other dimensions");
    let served = ServedModel::build(vec![1], file.clone()).unwrap();
    let query = Block::seeded(1, 12, 77).values().to_vec();
    let score = |number: u32| {
        let row = file.model.targets().row(number as usize).unwrap();
        row.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>()
    };
    let best = (0..7).max_by(|a, b| score(*a).total_cmp(&score(*b)));
    let hits = served.index().search(&query, 1, 16, bailiwick_ann::Filter::All).unwrap();
    assert_eq!(hits.first().map(|hit| hit.row), best);
}

#[test]
fn a_file_cut_or_flipped_anywhere_is_refused() {
    let bytes = small(1).encode();
    for at in 0..bytes.len() {
        assert!(ModelFile::decode(&bytes[..at]).is_err(), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        assert!(ModelFile::decode(&flipped).is_err(), "flipped at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(ModelFile::decode(&longer).is_err());
}

/// A node dies while the file is written, or its disk decays: the file is removed, to be fetched again.
#[test]
fn a_torn_file_is_removed_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = small(1).encode();
    let (models, named) = (Models::open(dir.path()).unwrap(), manifest(&bytes));
    for at in 0..bytes.len() {
        std::fs::write(models.folder().file(&named.sha256), &bytes[..at]).unwrap();
        assert_eq!(models.read(&named).unwrap(), None, "cut at {at}");
        assert!(!models.folder().file(&named.sha256).exists());
    }
    // Whole, but another model than the one that is named.
    let other = small(5).encode();
    assert!(models.put(&named.sha256, &other).is_err());
    std::fs::write(models.folder().file(&named.sha256), &other).unwrap();
    assert_eq!(models.read(&named).unwrap(), None);

    models.put(&named.sha256, &bytes).unwrap();
    assert_eq!(models.read(&named).unwrap(), Some(small(1)));
    models.keep([&named]).unwrap();
    assert!(models.folder().file(&named.sha256).exists());
    models.keep([]).unwrap();
    assert!(!models.folder().file(&named.sha256).exists());
}

#[test]
fn the_model_before_is_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let models = Models::open(dir.path()).unwrap();
    let served = |seed| {
        let file = small(seed);
        let hash = sha256_of(&file.encode()).to_vec();
        std::sync::Arc::new(ServedModel::build(hash, file).unwrap())
    };
    let (first, second) = (served(1), served(3));
    assert_eq!(models.serving(), None);
    models.serve(Some(first.clone()));
    models.serve(Some(second.clone()));
    assert_eq!(models.serving().as_deref(), Some(second.sha256()));
    assert!(models.before(second.sha256()).is_none());
    assert!(models.before(first.sha256()).is_some());
}

/// The index comes with the model, and is looked at before it is believed: another model's is built anew.
#[test]
fn an_index_that_is_not_the_model_s_is_not_believed() {
    let indexed = small(1).indexed().unwrap();
    assert!(!indexed.index.is_empty());
    let read = ModelFile::decode(&indexed.encode()).unwrap();
    assert_eq!(read, indexed);
    let own = super::index::read(&indexed.index, &indexed.model).expect("its own");
    assert_eq!(own.len(), 7);
    let other = small(5);
    assert!(super::index::read(&indexed.index, &other.model).is_none());
    for cut in [0, 1, indexed.index.len() / 2, indexed.index.len() - 1] {
        assert!(super::index::read(&indexed.index[..cut], &indexed.model).is_none(), "{cut}");
    }
    let strange = ModelFile { index: indexed.index, ..other.clone() };
    let served = ServedModel::build(vec![1], strange).unwrap();
    let direction = other.model.targets().row(3).unwrap();
    let hits = served.index().search(direction, 1, 16, bailiwick_ann::Filter::All).unwrap();
    assert_eq!(hits.first().map(|hit| hit.row), Some(3));
}

/// What is nearest to an item's direction in the index is the item itself.
#[test]
fn the_index_finds_directions_by_number() {
    let served = ServedModel::build(vec![1], small(1)).unwrap();
    for number in 0..7 {
        let direction = served.vectors().targets().row(number as usize).unwrap().to_vec();
        let hits = served.index().search(&direction, 1, 16, bailiwick_ann::Filter::All).unwrap();
        assert_eq!(hits.first().map(|hit| hit.row), Some(number));
        assert_eq!(served.number(&item(number as usize)), Some(number));
    }
    assert_eq!(served.number(&"unknown".parse().unwrap()), None);
}

/// Nodes of one process hold a model once, and nobody holds it when they no longer do.
#[test]
fn nodes_of_a_process_share_a_model() {
    let shared = |held_by_another: bool| {
        let taken = super::shared::shared(&[77], |held| {
            assert_eq!(held.is_some(), held_by_another);
            let built = || ServedModel::build(vec![77], small(1)).unwrap();
            Ok::<_, ()>(Some(held.unwrap_or_else(|| std::sync::Arc::new(built()))))
        });
        taken.unwrap().unwrap()
    };
    let (first, second) = (shared(false), shared(true));
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    let gone = std::sync::Arc::downgrade(&first);
    drop((first, second));
    assert!(gone.upgrade().is_none());
    drop(shared(false));
}
