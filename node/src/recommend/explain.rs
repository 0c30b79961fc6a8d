//! What people are told of a slate: items, and per item the signals that brought it.

use bailiwick_core::ranking::{Exploration, Explored, Floor, Part, Ranked, Ranking, Shelf, Weight};
use bailiwick_proto::store::ExploredItem;
use bailiwick_proto::v1;

use super::content::Content;
use super::pool::Pool;
use super::sources::{Category, Editorial, Interests, Popular};
use super::title;
use super::together::Together;

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
    let of = |names: [&str; 2]| names.contains(&part.source);
    let personal = of(Pool::PROFILE) || [Together::NAME, Content::PROFILE].contains(&part.source);
    let from = part.from.filter(|_| !personal || naming == Naming::History);
    let name = from.map(|row| title(shelf, row));
    let text = match (part.source, name) {
        (_, Some(name)) if of(Pool::PROFILE) => format!("because you liked {name}"),
        (_, None) if of(Pool::PROFILE) => "because of what you liked".into(),
        (Together::NAME, Some(name)) => format!("people here took it along with {name}"),
        (Together::NAME, None) => "people here took it along with what you liked".into(),
        (_, Some(name)) if of(Pool::SESSION) => format!("because of {name} in this session"),
        (_, None) if of(Pool::SESSION) => "because of this session".into(),
        (_, Some(name)) if of(Pool::IN_VIEW) => format!("similar to {name}"),
        (_, None) if of(Pool::IN_VIEW) => "similar to the item in view".into(),
        (Content::PROFILE | Content::SESSION | Content::IN_VIEW, Some(name)) => {
            format!("new, and has something in common with {name}")
        }
        (Content::PROFILE, None) => "new, and has something in common with what you liked".into(),
        (Content::SESSION, None) => "new, and has something in common with this session".into(),
        (Content::IN_VIEW, None) => "new, and has something in common with the item in view".into(),
        (Category::NAME, _) => "in the category in view".into(),
        (Interests::NAME, _) => "matches the interests you declared".into(),
        (Popular::NAME, _) => "popular with many people here".into(),
        (Exploration::NAME, _) => "new, shown to find out whom it suits".into(),
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
    let weights = ranking.parameters.iter();
    let told = |w: &Weight| v1::MainParameter { name: w.words.into(), weight: w.weight.into() };
    weights.map(told).collect()
}

/// The floors that a slate could not keep, as they are told.
#[must_use]
pub fn floors_unmet(ranking: &Ranking) -> Vec<v1::FloorUnmet> {
    let told = |floor: String, wanted: f32, reached: f32| v1::FloorUnmet {
        floor,
        wanted: wanted.into(),
        reached: reached.into(),
    };
    let unmet = ranking.unmet.iter().map(|floor| match floor {
        Floor::Diversity { wanted, reached } => told("diversity".into(), *wanted, *reached),
        Floor::Local { place, wanted, reached } => {
            told(format!("local_share {place}"), *wanted, *reached)
        }
    });
    unmet.collect()
}

/// What chance brought, as it is logged at home; it is not told in an answer.
#[must_use]
pub fn explored(ranking: &Ranking, shelf: &dyn Shelf) -> Vec<ExploredItem> {
    let logged = |known: &Explored| {
        Some(ExploredItem {
            item: shelf.facts(known.row)?.id.to_string(),
            place: u32::try_from(known.place).ok()?,
            propensity: known.propensity,
        })
    };
    ranking.explored.iter().filter_map(logged).collect()
}
