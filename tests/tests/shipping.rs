//! A generation of the item index through the very binary: nine nodes, of which one builds.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bailiwick_proto::v1;
use bailiwick_tests::cluster::{Cluster, Mode, Numbers};
use bailiwick_tests::wait::eventually;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick-under-test");
/// For what is only waited for.
const LONG: Duration = Duration::from_secs(180);
/// Two of a pair lie nearer to each other than to all others. More than are merged at a time, by less than
/// would be merged again.
const PAIRS: usize = 2300;
/// Items of one request.
const AT_ONCE: usize = 500;

fn id(number: usize) -> String {
    format!("item-{number:05}")
}

/// The vector of an item: that of its pair, a little aside for the second of it.
fn vector(number: usize) -> Vec<f32> {
    let pair = number / 2;
    let mixed = |at: usize| (pair * (2 * at + 3) * 7919 % (1009 + at * 2)) as f32 / 500.0 - 1.0;
    let mut vector: Vec<f32> = (0..8).map(mixed).collect();
    vector[0] += (number % 2) as f32 * 1e-3;
    vector
}

fn item(number: usize) -> v1::Item {
    v1::Item {
        item: id(number),
        title: id(number),
        vector: vector(number),
        category: vec![format!("category-{}", number % 7)],
        ..v1::Item::default()
    }
}

async fn put(cluster: &Cluster, numbers: impl Iterator<Item = usize>) -> Option<String> {
    let items: Vec<v1::Item> = numbers.map(item).collect();
    let mut revision = None;
    for some in items.chunks(AT_ONCE) {
        let answer = cluster.operator("eu").put_items(some).await.unwrap();
        assert_eq!(answer.errors, []);
        revision = answer.revision;
    }
    revision
}

async fn numbers(cluster: &Cluster, node: &str) -> Result<Numbers, String> {
    cluster.numbers(node).await.ok_or_else(|| format!("{node} does not answer"))
}

/// How often a node built a generation, and how often it fetched one.
async fn did(cluster: &Cluster, node: &str) -> Result<(u64, u64), String> {
    let numbers = numbers(cluster, node).await?;
    let of = |how: &str| numbers.of("index_generations_total", "how", how).unwrap_or_default();
    match (of("built"), of("fetched")) {
        (0, 0) => Err(format!("{node} has no generation yet")),
        found => Ok(found),
    }
}

/// Whoever looks at one of a pair is shown the other first.
async fn shows_pairs(
    cluster: &Cluster,
    revision: Option<&String>,
    pairs: impl Iterator<Item = usize>,
) {
    for pair in pairs {
        for domain in ["eu", "us", "in"] {
            let context = v1::RequestContext { item: Some(id(pair * 2)), ..Default::default() };
            let request = v1::RecommendRequest {
                limit: Some(1),
                context: Some(context),
                revision: revision.cloned(),
                ..v1::RecommendRequest::default()
            };
            let answer = cluster.anyone(domain).post("/v1/recommendations", &request).await;
            let answer: v1::RecommendResponse = answer.unwrap();
            assert_eq!(answer.items[0].item, id(pair * 2 + 1), "in {domain}");
        }
    }
}

#[tokio::test]
async fn eight_of_nine_nodes_fetch_what_one_has_built() {
    let cluster = Cluster::start(BINARY, Mode::Together);
    put(&cluster, 0..PAIRS * 2).await;
    let nodes = cluster.nodes();
    assert_eq!(nodes.len(), 9);
    let (mut built, mut fetched) = (0, 0);
    for node in &nodes {
        let (did, _) = eventually("a generation", LONG, || did(&cluster, node)).await;
        assert_eq!(did.0 + did.1, 1, "{node} needs one");
        (built, fetched) = (built + did.0, fetched + did.1);
    }
    println!("{built} of {} nodes built, {fetched} fetched", nodes.len());
    // A second one builds only if the catalogue changed its leader meanwhile.
    assert!(built <= 2, "{built} of {} nodes built", nodes.len());
    shows_pairs(&cluster, None, (0..PAIRS).step_by(97)).await;
    // What comes later is found beside it.
    let revision = put(&cluster, PAIRS * 2..PAIRS * 2 + 40).await;
    shows_pairs(&cluster, revision.as_ref(), (PAIRS..PAIRS + 20).step_by(5)).await;
}
