//! Profile -> sources -> filters -> scorer -> slate, for one decided request.

mod content;
mod explain;
mod history;
mod pool;
mod popular;
mod sources;
mod together;

pub use explain::{Naming, explored, floors_unmet, main_parameters, shown};
pub use history::{Declared, History, Touch};
pub use pool::tune;
pub use popular::{Popularity, Released};

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::learning::{Blend, Draws};
use bailiwick_core::policy::{Decision, Ratio, Signal, SignalSet, Variant};
use bailiwick_core::ranking::{
    AgeFloor, Aims, Barred, Excluded, Expired, Exploration, Filter, Floors, Hidden, LinearScorer,
    Mix, Objectives, Ranking, Row, Rules, Shelf, Source, Wanted, Weight, rank,
};
use bailiwick_proto::validate::RecommendQuery;

use crate::catalog::ShelfView;
use crate::mutant::{Mutant, planted};
use content::Content;
use pool::Pool;
use sources::{Category, Editorial, Interests, Popular};
use together::Together;

/// The weights of the sources where nothing is known of the person. What each measures, in words, is what
/// people are told.
fn weights(Blend { pooled, lists, .. }: Blend) -> [Weight; 14] {
    let of = |source, weight, words| Weight { source, words, weight };
    let [profile, profile_new] = Pool::PROFILE;
    let [session, session_new] = Pool::SESSION;
    let [in_view, in_view_new] = Pool::IN_VIEW;
    [
        of(profile, pooled, "similarity to what you liked"),
        of(Together::NAME, lists, "what people here took along"),
        of(session, 0.6, "similarity to this session"),
        of(in_view, 0.5, "similarity to the item in view"),
        of(profile_new, 0.5 * pooled, "similarity of new items to what you liked"),
        of(session_new, 0.3, "similarity of new items to this session"),
        of(in_view_new, 0.25, "similarity of new items to the item in view"),
        of(Content::PROFILE, 0.3 * pooled, "what new items share with what you liked"),
        of(Content::SESSION, 0.2, "what new items share with this session"),
        of(Content::IN_VIEW, 0.15, "what new items share with the item in view"),
        of(Interests::NAME, 0.35, "your declared interests"),
        of(Category::NAME, 0.3, "the category in view"),
        of(Popular::NAME, 0.15, "popularity here"),
        of(Editorial::NAME, 0.02, "the editors' choice"),
    ]
}

/// The newest items that are looked through for some that may be explored.
const EXPLORED_NEWEST: usize = 2000;

/// Where the categories that are asked for have at most one item in so many, indexes are told which these are.
const LISTED_SHARE: usize = 8;

/// What stands in for knowledge of the person, and gives way to it.
const STAND_INS: [&str; 2] = [Popular::NAME, Editorial::NAME];

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
    /// What the operator asks of slates besides relevance.
    pub objectives: Objectives,
    /// The greatest share of the slate that chance may fill.
    pub exploration_share_max: Ratio,
    /// Where chance comes from.
    pub draws: Draws,
}

/// Ranks one request over the catalogue as it is now.
#[must_use]
pub fn recommend(request: &Request<'_>, shelf: &ShelfView<'_>) -> Ranking {
    // Not all that is granted: what the variant uses, so that its name tells the truth.
    let granted = request.decision.variant.needs();
    let pools = Pools::of(request, shelf);
    let taste = match request.objectives.calibrates() {
        true => pools.taste(shelf, granted),
        false => Mix::default(),
    };
    let rules = Rules {
        granted,
        limit: usize::try_from(request.query.limit).unwrap_or(usize::MAX),
        floors: floors_of(request.decision),
        aims: Aims { objectives: request.objectives, taste, now: request.now },
        exploration: exploration_of(request, shelf),
    };
    // Learned with the model, and served with it.
    let blend = shelf.model().map_or(Blend::DEFAULT, |model| model.vectors().blend());
    let scorer = scorer(blend, pools.known(rules.granted));
    let sources = sources_of(request, shelf, &pools);
    rank(&rules, &sources, &filters_of(request, shelf), &scorer, shelf)
}

/// What chance may bring: the newest of which no count is released, so that nobody's choice is behind it.
fn exploration_of(request: &Request<'_>, shelf: &ShelfView<'_>) -> Exploration {
    let share_max = request.exploration_share_max;
    if share_max == Ratio::ZERO {
        return Exploration::default();
    }
    let counted = request.popular.iter().filter_map(|(item, _)| shelf.row(item));
    let counted: BTreeSet<Row> = counted.collect();
    let newest = shelf.newest().take(EXPLORED_NEWEST);
    let mut rows: Vec<Row> = newest.filter(|row| !counted.contains(row)).collect();
    // Row numbers are a node's own: by id, whichever node is asked again draws from the same order.
    let order = |row: &Row| {
        shelf.facts(*row).map(|facts| (Reverse(facts.published.unwrap_or_default()), &facts.id))
    };
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    Exploration { share_max, rows, draws: request.draws }
}

fn floors_of(decision: &Decision) -> Floors {
    if planted(Mutant::ForgetFloors) {
        return Floors::default();
    }
    Floors { diversity: decision.diversity_floor(), local: decision.local_share().clone() }
}

/// Weighs the sources where `known` items tell of the person. What everybody likes counts as much as one item
/// would: the more items there are, the less it is asked.
fn scorer(blend: Blend, known: usize) -> LinearScorer {
    let known = u16::try_from(known).unwrap_or(u16::MAX);
    let of = |weight: Weight| match STAND_INS.contains(&weight.source) {
        true => Weight { weight: weight.weight / (1.0 + f32::from(known)), ..weight },
        false => weight,
    };
    LinearScorer::new(weights(blend).map(of).to_vec())
}

fn rows_of<'a>(shelf: &ShelfView<'_>, items: impl IntoIterator<Item = &'a ItemId>) -> Vec<Row> {
    items.into_iter().filter_map(|item| shelf.row(item)).collect()
}

/// The items that speak for others, as far as the variant lets them.
struct Pools {
    profile: Pool,
    session: Pool,
    in_view: Pool,
}

impl Pools {
    fn of(request: &Request<'_>, shelf: &ShelfView<'_>) -> Self {
        // One of the two, so that an explicit choice is not counted twice.
        let profile = match request.decision.variant {
            Variant::ExplicitOnly => Pool::explicit(shelf, request.history, request.now),
            _ => Pool::profile(shelf, request.history, request.now),
        };
        let in_view = rows_of(shelf, &request.query.item).first().copied();
        let session = Pool::session(&rows_of(shelf, &request.query.session));
        Self { profile, session, in_view: Pool::in_view(in_view) }
    }

    /// How many items tell of the person, if `granted` lets them speak. A session's few are not counted, so that
    /// what everybody likes goes on to help there: with them, MovieLens' sessions fell from .1577 of NDCG@20 to .1343.
    fn known(&self, granted: SignalSet) -> usize {
        match granted.contains(self.profile.signal) {
            true => self.profile.rows.len(),
            false => 0,
        }
    }

    /// The mix of categories of what the person took, or of this session where nothing else may speak.
    fn taste(&self, shelf: &ShelfView<'_>, granted: SignalSet) -> Mix {
        let speaking = [&self.profile, &self.session].into_iter();
        let speaking = speaking.filter(|pool| granted.contains(pool.signal));
        let mut mixes = speaking.map(|pool| Mix::of(shelf, pool.rows.iter().copied()));
        mixes.find(|mix| !mix.is_empty()).unwrap_or_default()
    }
}

fn sources_of<'a>(
    request: &'a Request<'_>,
    shelf: &'a ShelfView<'a>,
    pools: &Pools,
) -> Vec<Box<dyn Source + 'a>> {
    let interests = &request.history.interests;
    let among = among(request, shelf);
    let mut sources: Vec<Box<dyn Source + 'a>> = vec![
        Box::new(Editorial { shelf }),
        Box::new(Popular { shelf, ranked: request.popular }),
        Box::new(Interests { shelf, interests, popular: request.popular }),
        Box::new(Together::of(shelf, &pools.profile)),
    ];
    for pool in [&pools.profile, &pools.session, &pools.in_view] {
        let near = pool.sources(shelf, among.as_ref()).into_iter();
        sources.extend(near.map(|near| Box::new(near) as Box<dyn Source + 'a>));
    }
    for (name, pool) in [
        (Content::PROFILE, &pools.profile),
        (Content::SESSION, &pools.session),
        (Content::IN_VIEW, &pools.in_view),
    ] {
        sources.push(Box::new(Content::of(name, shelf, pool)));
    }
    if let Some(category) = &request.query.category {
        sources.push(Box::new(Category { shelf, category, popular: request.popular }));
    }
    sources
}

/// The rows of the categories that are asked for, where they are few: only these can pass the filters.
fn among(request: &Request<'_>, shelf: &ShelfView<'_>) -> Option<Arc<[Row]>> {
    let categories = &request.query.filter.category;
    let rows = || {
        let names = categories.iter().map(String::as_str);
        shelf.in_categories(names, shelf.len() / LISTED_SHARE)
    };
    let rows = (!categories.is_empty()).then(rows).flatten();
    rows.map(|rows| rows.into_iter().collect())
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

#[cfg(test)]
mod tests;
