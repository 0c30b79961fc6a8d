//! What people are told of a slate: items, and per item the signals that brought it.

use bailiwick_core::ranking::{Part, Ranked, Ranking, Shelf};
use bailiwick_proto::v1;

use super::sources::{Category, Editorial, InView, Interests, Pooled, Popular};
use super::together::Together;
use super::{scorer, title};

/// How much of the history an explanation may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// At home: items of the history are named.
    History,
    /// Served abroad: nothing of the history is named.
    Nothing,
}

/// The items of a slate as they are answered.
#[must_use]
pub fn shown(ranking: &Ranking, shelf: &dyn Shelf, naming: Naming) -> Vec<v1::RankedItem> {
    ranking.items.iter().filter_map(|item| show(item, shelf, naming)).collect()
}

fn show(item: &Ranked, shelf: &dyn Shelf, naming: Naming) -> Option<v1::RankedItem> {
    let facts = shelf.facts(item.row)?;
    Some(v1::RankedItem {
        item: facts.id.to_string(),
        score: f64::from(item.score),
        title: facts.title.clone(),
        why: item.why.iter().map(|(part, _)| why(part, shelf, naming)).collect(),
    })
}

fn why(part: &Part, shelf: &dyn Shelf, naming: Naming) -> v1::Why {
    let personal = matches!(part.source, Pooled::PROFILE | Pooled::PROFILE_NEW | Together::NAME);
    let from = part.from.filter(|_| !personal || naming == Naming::History);
    let name = from.map(|row| title(shelf, row));
    let text = match (part.source, name) {
        (Pooled::PROFILE | Pooled::PROFILE_NEW, Some(name)) => format!("because you liked {name}"),
        (Pooled::PROFILE | Pooled::PROFILE_NEW, None) => "because of what you liked".into(),
        (Together::NAME, Some(name)) => format!("people here took it along with {name}"),
        (Together::NAME, None) => "people here took it along with what you liked".into(),
        (Pooled::SESSION | Pooled::SESSION_NEW, Some(name)) => {
            format!("because of {name} in this session")
        }
        (Pooled::SESSION | Pooled::SESSION_NEW, None) => "because of this session".into(),
        (InView::NAME | InView::NEW, Some(name)) => format!("similar to {name}"),
        (InView::NAME | InView::NEW, None) => "similar to the item in view".into(),
        (Category::NAME, _) => "in the category in view".into(),
        (Interests::NAME, _) => "matches the interests you declared".into(),
        (Popular::NAME, _) => "popular with many people here".into(),
        (Editorial::NAME, _) => "chosen by the editors or new".into(),
        (other, _) => other.replace('_', " "),
    };
    v1::Why {
        signal: part.signal.map_or_else(|| "editorial".into(), |signal| signal.to_string()),
        text,
        from: from.and_then(|row| shelf.facts(row)).map(|facts| facts.id.to_string()),
    }
}

/// The real weights of the sources that brought what is shown, largest first.
#[must_use]
pub fn main_parameters(ranking: &Ranking) -> Vec<v1::MainParameter> {
    let parts = ranking.items.iter().flat_map(|item| &item.why);
    let used: Vec<&'static str> = parts.map(|(part, _)| part.source).collect();
    let weights = scorer().main_parameters(&used);
    weights
        .into_iter()
        .map(|w| v1::MainParameter { name: w.words.to_owned(), weight: f64::from(w.weight) })
        .collect()
}
