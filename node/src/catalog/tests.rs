//! Which generation of the index a catalogue names.

use bailiwick_proto::store::catalog_command::Change;
use bailiwick_proto::store::{
    CatalogCommand, DeleteItem, GenerationManifest, NameGeneration, SpaceRow,
};
use prost::Message as _;

use super::testing::{Replica, item};
use super::{FORMAT, may_propose};

/// What the third entry of a log may name.
fn good() -> GenerationManifest {
    GenerationManifest {
        format: FORMAT,
        sha256: vec![7; 32],
        length: 1000,
        space: Some(space("default", 2)),
        rows: 1,
        log_index: 1,
        node: "eu-west-1".into(),
    }
}

fn space(model: &str, dimensions: u32) -> SpaceRow {
    SpaceRow { format: FORMAT, model: model.into(), dimensions, metric: "cosine".into() }
}

fn name(replica: &mut Replica, generation: GenerationManifest) -> String {
    let naming = NameGeneration { generation: Some(generation) };
    replica.apply(Change::NameGeneration(naming)).refused
}

fn replica() -> Replica {
    let mut replica = Replica::new();
    replica.put([item("a", &[1.0, 0.0])]);
    replica.put([item("b", &[0.0, 1.0])]);
    replica
}

#[test]
fn only_a_well_formed_generation_of_the_catalogues_space_is_named() {
    let check = |bad: GenerationManifest, word: &str| {
        let mut replica = replica();
        let refused = name(&mut replica, bad);
        assert!(refused.contains(word), "{refused}");
        assert!(replica.catalogue.generation().is_none(), "{word}");
    };
    check(GenerationManifest { format: FORMAT + 1, ..good() }, "format");
    check(GenerationManifest { sha256: vec![7; 31], ..good() }, "sha256");
    check(GenerationManifest { length: 0, ..good() }, "length");
    check(GenerationManifest { length: u64::MAX, ..good() }, "length");
    check(GenerationManifest { rows: 0, ..good() }, "rows");
    check(GenerationManifest { node: "../etc".into(), ..good() }, "node");
    check(GenerationManifest { space: None, ..good() }, "space");
    check(GenerationManifest { space: Some(space("other", 2)), ..good() }, "other");
    check(GenerationManifest { space: Some(space("default", 3)), ..good() }, "dimensions");
    // It can't hold what is written after it.
    check(GenerationManifest { log_index: 3, ..good() }, "log_index");
    let mut empty = Replica::new();
    empty.apply(Change::DeleteItem(DeleteItem { item: "none".into() }));
    assert!(name(&mut empty, good()).contains("no vectors"));
}

#[test]
fn only_a_newer_generation_takes_the_place_of_another() {
    let mut replica = replica();
    assert_eq!(name(&mut replica, good()), "");
    let newer = GenerationManifest { sha256: vec![8; 32], log_index: 3, ..good() };
    let as_old = GenerationManifest { sha256: vec![8; 32], ..good() };
    assert!(name(&mut replica, as_old).contains("log index 1"));
    assert_eq!(*replica.catalogue.generation().unwrap(), good());
    assert_eq!(name(&mut replica, newer.clone()), "");
    assert!(name(&mut replica, good()).contains("log index 3"));
    assert_eq!(*replica.catalogue.generation().unwrap(), newer);
    // And it is known after a start, and after a snapshot.
    replica.reload();
    assert_eq!(*replica.catalogue.generation().unwrap(), newer);
}

/// A peer may have the leader put items, and not name a generation: what is in it can't be seen by its name.
#[test]
fn nobody_names_a_generation_through_another() {
    let peer = "us-east-1".parse().unwrap();
    let command = |change| CatalogCommand { format: FORMAT, at_ms: 0, change: Some(change) };
    let naming = NameGeneration { generation: Some(good()) };
    let naming = command(Change::NameGeneration(naming)).encode_to_vec();
    assert!(may_propose(&peer, &naming).is_err());
    let delete = command(Change::DeleteItem(DeleteItem { item: "a".into() })).encode_to_vec();
    assert!(may_propose(&peer, &delete).is_ok());
    // Of a field that comes twice the last one counts, here as where it is applied.
    assert!(may_propose(&peer, &[delete.clone(), naming.clone()].concat()).is_err());
    assert!(may_propose(&peer, &[naming, delete].concat()).is_err());
}
