//! A small catalogue: six genres of ten items, and some that must not be shown to everybody.

use std::time::Duration;

use bailiwick_proto::v1;

use crate::cluster::Cluster;
use crate::wait::eventually;

/// Genres; an item's vector points mostly along its genre's axis.
pub const GENRES: [&str; 6] = ["drama", "comedy", "noir", "western", "opera", "nature"];
/// Items of a genre.
pub const ITEMS: usize = 10;
/// Components of a vector.
pub const DIMENSIONS: usize = 8;

/// Never shown in Germany.
pub const BARRED_IN_GERMANY: &str = "barred-de";
/// Never shown in the United States, so neither in California.
pub const BARRED_IN_US: &str = "barred-us";
/// Never shown below 18.
pub const FOR_ADULTS: &str = "adults";
/// Never shown.
pub const UNAVAILABLE: &str = "unavailable";
/// Never shown any more.
pub const EXPIRED: &str = "expired";

/// The id of the `at`th item of a genre.
#[must_use]
pub fn id(genre: &str, at: usize) -> String {
    format!("{genre}-{at}")
}

/// A vector along a genre's axis; two of the same genre differ a little.
#[must_use]
pub fn vector(genre: usize, at: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    vector[genre] = 1.0;
    vector[6 + at % 2] = 0.02 * f32::from(u8::try_from(at).unwrap_or(u8::MAX));
    vector
}

fn item(genre: usize, at: usize) -> v1::Item {
    v1::Item {
        item: id(GENRES[genre], at),
        title: format!("{} number {at}", GENRES[genre]),
        category: vec![GENRES[genre].to_owned()],
        language: Some(if at.is_multiple_of(2) { "en" } else { "de" }.into()),
        vector: vector(genre, at),
        // Behind those that must not be shown: these would come first if they were.
        editorial_rank: (at < 3).then(|| 100 + u32::try_from(genre * 3 + at).unwrap_or_default()),
        ..v1::Item::default()
    }
}

fn special(name: &str, rank: u32) -> v1::Item {
    v1::Item {
        item: name.to_owned(),
        title: name.to_owned(),
        category: vec![GENRES[0].to_owned()],
        vector: vector(0, 0),
        editorial_rank: Some(rank),
        ..v1::Item::default()
    }
}

/// All items.
#[must_use]
pub fn items() -> Vec<v1::Item> {
    let plain = (0..GENRES.len()).flat_map(|genre| (0..ITEMS).map(move |at| item(genre, at)));
    let mut items: Vec<v1::Item> = plain.collect();
    let barred = |place: &str| vec![place.to_owned()];
    items.push(v1::Item { barred_in: barred("EU-DE"), ..special(BARRED_IN_GERMANY, 1) });
    items.push(v1::Item { barred_in: barred("US"), ..special(BARRED_IN_US, 2) });
    items.push(v1::Item { min_age: 18, ..special(FOR_ADULTS, 3) });
    items.push(v1::Item { available: Some(false), ..special(UNAVAILABLE, 4) });
    let past = Some("2020-01-01T00:00:00Z".to_owned());
    items.push(v1::Item { expires_at: past, ..special(EXPIRED, 5) });
    items
}

/// Puts all items into the catalogue and waits until every router shows some.
///
/// # Panics
/// When an item is refused or the items do not arrive.
pub async fn load(cluster: &Cluster) {
    let answer = cluster.operator("eu").put_items(&items()).await.unwrap();
    assert_eq!(answer.errors, [], "every item of the test catalogue is well-formed");
    for domain in ["eu", "us", "in"] {
        let client = cluster.anyone(domain);
        let request = v1::RecommendRequest {
            revision: answer.revision.clone(),
            ..v1::RecommendRequest::default()
        };
        eventually("the items arrive", Duration::from_secs(60), || async {
            let answer = client.post("/v1/recommendations", &request).await;
            let answer: v1::RecommendResponse = answer.map_err(|error| error.to_string())?;
            if answer.items.is_empty() { Err("no items".into()) } else { Ok(()) }
        })
        .await;
    }
}
