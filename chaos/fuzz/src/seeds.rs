//! Inputs in our binary formats, made by the code that writes them: a magic number is hard to guess.

use std::fs;
use std::path::Path;

use bailiwick_ann::{Attributes, LiveIndex, Metric, Options, Space};
use bailiwick_proto::v1;
use prost::Message as _;

/// Writes the seeds of a target, if it has any, into `folder`.
pub fn write(folder: &Path, target: &str) {
    let put = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).expect("a seed");
    match target {
        "index" => index(&folder.join("index")),
        "protobuf" => put("protobuf", request().encode_to_vec()),
        "files" => put("files", [b"bailiwick decisions 1\n".as_slice(), &[0; 32]].concat()),
        "log" | "stored" | "snapshot" => {
            let snapshot = folder.join("snapshot");
            let seeds = bailiwick_node::fuzz::seeds(&snapshot).expect("seeds");
            put("log", seeds.log);
            put("state", seeds.state);
        }
        _ => {}
    }
}

fn request() -> v1::RecommendRequest {
    v1::RecommendRequest { limit: Some(5), session: vec!["a".into()], ..Default::default() }
}

fn index(path: &Path) {
    let space = Space::new("m1", 3, Metric::L2).expect("a space");
    let index = LiveIndex::new(space, Options { threads: 1, ..Options::default() });
    let index = index.expect("an index");
    let put = |row: u32| {
        let known = Attributes::new().with_keyword("colour", "red");
        let known = known.with_number("year", row.into());
        index.upsert_with(row, &[row as f32, 1.0, (row % 7) as f32], &known).expect("room");
    };
    (0..9).for_each(put);
    index.merge().expect("a generation");
    put(4);
    index.save(path, 12).expect("a file");
}
