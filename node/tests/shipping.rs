//! Generations of the item index over links: real nodes of three domains on a network in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod world;

use std::collections::BTreeMap;
use std::fs;

use bailiwick_core::ranking::Shelf as _;
use bailiwick_node::generations::How;
use bailiwick_proto::v1;
use world::{World, until};

/// More than the mutable segment holds before it is merged, by less than would make it due again.
const ITEMS: usize = 5000;
/// Items of one call.
const AT_ONCE: usize = 200;

type Vectors = BTreeMap<String, Vec<f32>>;

/// Numbers that no two items share all of.
fn vector(number: usize) -> Vec<f32> {
    let mixed = |at: usize| (number * (2 * at + 3) * 7919 % (1009 + at * 2)) as f32 / 500.0 - 1.0;
    (0..8).map(mixed).collect()
}

fn id(number: usize) -> String {
    format!("item-{number:05}")
}

/// Puts items, and takes note of them.
async fn put(world: &World, items: Vec<(String, Vec<f32>)>, known: &mut Vectors) {
    for some in items.chunks(AT_ONCE) {
        let item = |(id, vector): &(String, Vec<f32>)| v1::Item {
            item: id.clone(),
            title: id.clone(),
            vector: vector.clone(),
            ..v1::Item::default()
        };
        world.put_items(some.iter().map(item).collect()).await;
    }
    known.extend(items);
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The scores of the best by looking at every vector.
fn best(query: &[f32], known: &Vectors, k: usize) -> Vec<f32> {
    let mut scores: Vec<f32> = known.values().map(|vector| cosine(query, vector)).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.truncate(k);
    scores
}

/// Every item is found by its own vector, and what is found has its exact score.
fn finds_right(world: &World, node: &str, known: &Vectors) {
    let view = world.state(node).catalogue.view();
    let index = view.index().unwrap();
    assert_eq!(index.len(), known.len(), "{node}");
    let mut missed = 0;
    for (id, vector) in known.iter().step_by(37) {
        let found = index.search(vector, 10, 400, None).unwrap();
        for hit in &found {
            let item = view.facts(hit.row).unwrap().id.to_string();
            assert!((hit.score - cosine(vector, &known[&item])).abs() < 1e-5, "{node}: {item}");
        }
        let own = view.facts(found[0].row).unwrap().id.as_str() == id || found[0].score > 0.999_99;
        assert!(own, "{node}: {id} is not found by its own vector");
        let exact = best(vector, known, 10);
        missed += exact.iter().zip(&found).filter(|(e, f)| (*e - f.score).abs() > 1e-5).count();
    }
    assert!(missed * 50 < known.len() / 37 * 10, "{node}: {missed} were missed");
}

fn count(world: &World, node: &str, how: How) -> u64 {
    world.state(node).generations.counts.of(how)
}

/// What a node did with generations since it started: built, fetched, opened, failed.
fn did(world: &World, node: &str) -> [u64; 4] {
    [How::Built, How::Fetched, How::Opened, How::Failed].map(|how| count(world, node, how))
}

/// Waits until a node has all items, and most of them in a generation.
async fn until_merged(world: &World, node: &str, known: &Vectors) {
    let state = world.state(node);
    until("the index is merged", || {
        let index = state.catalogue.index();
        // It is counted a moment after it is swapped in.
        let counted = did(world, node)[..3].iter().any(|count| *count > 0);
        counted && index.is_some_and(|index| index.len() == known.len() && !index.needs_merge())
    })
    .await;
}

async fn loaded(world: &World) -> Vectors {
    let mut known = Vectors::new();
    put(world, (0..ITEMS).map(|number| (id(number), vector(number))).collect(), &mut known).await;
    for node in world.alive() {
        until_merged(world, node, &known).await;
    }
    known
}

/// A node that leads nothing of the catalogue, and its peers.
fn follower(world: &World) -> (&'static str, Vec<&'static str>) {
    let leader = world.leader("catalog-0");
    let of_us = |name: &&&str| Some(**name) != leader;
    let all: Vec<&'static str> = world.alive().collect();
    let one = *all.iter().rfind(of_us).unwrap();
    (one, all.into_iter().filter(|name| *name != one).collect())
}

fn forget(world: &World, node: &str) {
    fs::remove_dir_all(world.generations(node)).unwrap();
}

/// Other bytes come under the names of a node's files; it does not look at them again by itself. The old ones live on
/// for whoever searches them.
fn damage(world: &World, node: &str) {
    for file in fs::read_dir(world.generations(node)).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let beside = path.with_extension("other");
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, path).unwrap();
    }
}

/// The whole story of one catalogue: built once, fetched by all; then a node that lost its file, one that did
/// not, one that is lied to, and one that finds the file nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_builds_and_the_others_fetch() {
    let mut world = World::start().await;
    let mut known = loaded(&world).await;
    let mut built = 0;
    for node in world.alive() {
        let [here, fetched, opened, failed] = did(&world, node);
        assert_eq!((here + fetched, opened, failed), (1, 0, 0), "{node}");
        built += here;
        finds_right(&world, node, &known);
    }
    // More than one only if the catalogue changed its leader meanwhile.
    assert!((1..=3).contains(&built), "{built} of 4 nodes built");

    // A node that was away, and lost its file, fetches it, and has what came since.
    let (node, others) = follower(&world);
    world.kill(node).await;
    forget(&world, node);
    let fresh = (ITEMS..ITEMS + 300).map(|number| (id(number), vector(number)));
    let changed = (0..50).map(|number| (id(number * 7), vector(number + 90_000)));
    put(&world, fresh.chain(changed).collect(), &mut known).await;
    for gone in [id(3), id(ITEMS + 5)] {
        world.delete_item(&gone).await;
        known.remove(&gone);
    }
    world.revive(node).await;
    until_merged(&world, node, &known).await;
    assert_eq!(did(&world, node), [0, 1, 0, 0]);
    finds_right(&world, node, &known);

    // With its file it asks nobody.
    world.kill(node).await;
    world.revive(node).await;
    until_merged(&world, node, &known).await;
    assert_eq!(did(&world, node), [0, 0, 1, 0]);

    // One that lies is passed over; its own damaged file is noticed too.
    world.kill(node).await;
    damage(&world, node);
    damage(&world, others[0]);
    damage(&world, others[1]);
    world.revive(node).await;
    until_merged(&world, node, &known).await;
    assert_eq!(did(&world, node), [0, 1, 0, 0]);
    finds_right(&world, node, &known);

    // Where all lie, what they send is thrown away and the index is built here.
    world.kill(node).await;
    forget(&world, node);
    damage(&world, others[2]);
    world.revive(node).await;
    until_merged(&world, node, &known).await;
    assert_eq!(did(&world, node), [1, 0, 0, 1]);
    assert_eq!(fs::read_dir(world.generations(node)).unwrap().count(), 0, "nothing is kept of it");
    finds_right(&world, node, &known);

    // The same where nobody has it.
    world.kill(node).await;
    others.iter().for_each(|other| forget(&world, other));
    world.revive(node).await;
    until_merged(&world, node, &known).await;
    assert_eq!(did(&world, node), [1, 0, 0, 1]);
    finds_right(&world, node, &known);
    world.stop().await;
}
