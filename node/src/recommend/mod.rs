//! Profile -> sources -> filters -> scorer -> slate, for one decided request.

mod explain;
mod history;
mod popular;
mod sources;
mod together;

pub use explain::{Naming, main_parameters, shown};
pub use history::{Declared, History, Touch};
pub use popular::{Popularity, Released};

use std::collections::BTreeSet;

use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::policy::{Decision, Signal, Variant};
use bailiwick_core::ranking::{
    AgeFloor, Barred, Excluded, Expired, Filter, Hidden, LinearScorer, Ranking, Row, Rules, Shelf,
    Source, Wanted, Weight, rank,
};
use bailiwick_proto::validate::RecommendQuery;

use crate::catalog::ShelfView;
use crate::mutant::{Mutant, planted};
use sources::{Category, Editorial, InView, Interests, Pooled, Popular};
use together::Together;

/// The weights of the sources. What each measures, in words, is what people are told.
const WEIGHTS: [Weight; 11] = [
    Weight { source: Pooled::PROFILE, words: "similarity to what you liked", weight: 1.0 },
    Weight { source: Together::NAME, words: "what people here took along", weight: 0.2 },
    Weight { source: Pooled::SESSION, words: "similarity to this session", weight: 0.6 },
    Weight { source: InView::NAME, words: "similarity to the item in view", weight: 0.5 },
    Weight {
        source: Pooled::PROFILE_NEW,
        words: "similarity of new items to what you liked",
        weight: 0.5,
    },
    Weight {
        source: Pooled::SESSION_NEW,
        words: "similarity of new items to this session",
        weight: 0.3,
    },
    Weight {
        source: InView::NEW,
        words: "similarity of new items to the item in view",
        weight: 0.25,
    },
    Weight { source: Interests::NAME, words: "your declared interests", weight: 0.35 },
    Weight { source: Category::NAME, words: "the category in view", weight: 0.3 },
    Weight { source: Popular::NAME, words: "popularity here", weight: 0.15 },
    Weight { source: Editorial::NAME, words: "the editors' choice", weight: 0.02 },
];

/// Everything that one ranking reads.
pub struct Request<'a> {
    /// The decision that grants the signals.
    pub decision: &'a Decision,
    /// The request, checked.
    pub query: &'a RecommendQuery,
    /// The moment, stamped once.
    pub now: UnixMillis,
    /// Where the person is.
    pub location: &'a Jurisdiction,
    /// The youngest the person can be, in years.
    pub age: u8,
    /// What is known of the person; empty where nothing may be read.
    pub history: &'a History,
    /// Released popularity of this domain, best first.
    pub popular: &'a [(ItemId, f64)],
}

/// Ranks one request over the catalogue as it is now.
#[must_use]
pub fn recommend(request: &Request<'_>, shelf: &ShelfView<'_>) -> Ranking {
    let rules = Rules {
        // Not all that is granted: what the variant uses, so that its name tells the truth.
        granted: request.decision.variant.needs(),
        limit: usize::try_from(request.query.limit).unwrap_or(usize::MAX),
        diversity_floor: request.decision.diversity_floor(),
    };
    rank(&rules, &sources_of(request, shelf), &filters_of(request, shelf), &scorer(), shelf)
}

fn scorer() -> LinearScorer {
    LinearScorer::new(WEIGHTS.to_vec())
}

fn rows_of<'a>(shelf: &ShelfView<'_>, items: impl IntoIterator<Item = &'a ItemId>) -> Vec<Row> {
    items.into_iter().filter_map(|item| shelf.row(item)).collect()
}

fn sources_of<'a>(request: &'a Request<'_>, shelf: &'a ShelfView<'a>) -> Vec<Box<dyn Source + 'a>> {
    let session = rows_of(shelf, &request.query.session);
    let interests = &request.history.interests;
    let mut sources: Vec<Box<dyn Source + 'a>> = vec![
        Box::new(Editorial { shelf }),
        Box::new(Popular { shelf, ranked: request.popular }),
        Box::new(Interests { shelf, interests, popular: request.popular }),
    ];
    // One of the two, so that an explicit choice is not counted twice.
    let profile = match request.decision.variant {
        Variant::ExplicitOnly => Pooled::explicit(shelf, request.history, request.now),
        _ => Pooled::profile(shelf, request.history, request.now),
    };
    sources.extend(profile.together().map(|lists| Box::new(lists) as Box<dyn Source + 'a>));
    for pooled in [Pooled::session(shelf, &session), profile] {
        sources.extend(pooled.of_new().map(|new| Box::new(new) as Box<dyn Source + 'a>));
        sources.push(Box::new(pooled));
    }
    if request.query.item.is_some() {
        let row = rows_of(shelf, &request.query.item).first().copied();
        let in_view = InView::new(shelf, row);
        sources.extend(in_view.of_new().map(|new| Box::new(new) as Box<dyn Source + 'a>));
        sources.push(Box::new(in_view));
    }
    if let Some(category) = &request.query.category {
        sources.push(Box::new(Category { shelf, category, popular: request.popular }));
    }
    sources
}

fn filters_of(request: &Request<'_>, shelf: &ShelfView<'_>) -> Vec<Box<dyn Filter>> {
    let query = request.query;
    let named = query.exclude.iter().chain(&query.session).chain(&query.item);
    let mut hidden: BTreeSet<Row> = rows_of(shelf, named).into_iter().collect();
    if planted(Mutant::ShowExcluded) {
        hidden.clear();
    }
    let blocked = rows_of(shelf, &request.history.blocked).into_iter().collect();
    let mut filters: Vec<Box<dyn Filter>> = vec![
        Box::new(Hidden),
        Box::new(Expired { now: request.now }),
        Box::new(Barred { location: request.location.clone() }),
        Box::new(AgeFloor { age: request.age }),
        Box::new(Excluded { reason: "excluded", rows: hidden }),
        Box::new(Excluded { reason: "blocked", rows: blocked }),
    ];
    // What was seen is behaviour: without that signal the app may send `exclude`.
    if request.decision.granted.contains(Signal::Beh) {
        filters.push(Box::new(Excluded { reason: "seen", rows: request.history.seen(shelf) }));
    }
    filters.push(Box::new(Wanted {
        category: query.filter.category.iter().cloned().collect(),
        language: query.filter.language.iter().cloned().collect(),
        creator: query.filter.creator.iter().cloned().collect(),
    }));
    filters
}

/// The title of a row, for an explanation.
fn title(shelf: &dyn Shelf, row: Row) -> &str {
    shelf.facts(row).map_or("", |facts| facts.title.as_str())
}
