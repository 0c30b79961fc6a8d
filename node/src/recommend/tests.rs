//! What is served is what an evaluation judges.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::learning::{
    Blend, Block, Draws, Interactions, ItemLists, ListOptions, Parts, PooledModel, Takers,
};
use bailiwick_core::policy::{
    AgeBand, Asking, Consent, Decision, Inputs, PackFile, PackSet, Ratio, Service, Signal, Variant,
    decide,
};
use bailiwick_core::ranking::{
    Aims, Excluded, Exploration, Filter, Floors, LinearScorer, Mix, Objectives, Part, Ranked,
    Ranking, Row, Rules, Source, rank,
};
use bailiwick_proto::v1;
use bailiwick_proto::validate::{self, RecommendQuery};

use super::content::Content;
use super::history::{History, Touch};
use super::pool::Pool;
use super::together::Together;
use super::{Naming, Pools, Request, explored, recommend, scorer, shown};
use crate::catalog::{Catalogue, ShelfView};
use crate::learning::ItemOrder;
use crate::learning::model::{ModelFile, ServedModel};

const ITEMS: u32 = 400;

fn name(item: u32) -> ItemId {
    format!("{item:04}").parse().unwrap()
}

fn item(number: u32) -> v1::Item {
    v1::Item { item: name(number).to_string(), ..v1::Item::default() }
}

/// A model of all items but the last.
fn model() -> PooledModel {
    let block = |seed| {
        let mut values = Block::seeded(ITEMS as usize, 8, seed).values().to_vec();
        let known = values.len() - 8;
        values[known..].fill(0.0);
        Block::new(ITEMS as usize, 8, values).unwrap()
    };
    let first = PooledModel::new(block(1), block(2)).unwrap();
    // A second part that tells by its length how much it says, and weights that are nobody's defaults.
    let second = PooledModel::received(block(3), block(4)).unwrap();
    first.joined(&second).unwrap().weighing(Blend { pooled: 1.0, spectral: 0.7, lists: 0.2 })
}

fn lists() -> ItemLists {
    let mut people = Interactions::new(ITEMS as usize);
    for person in 0..200_u32 {
        let taken: Vec<u32> = (0..9).map(|at| (person * 37 + at * at * 11) % (ITEMS - 1)).collect();
        people.push(&taken, 100).unwrap();
    }
    Takers::of(&people).lists(0..ITEMS as usize, &ListOptions::default()).turned()
}

fn serving() -> Catalogue {
    serving_of(item)
}

fn serving_of(item: fn(u32) -> v1::Item) -> Catalogue {
    let catalogue = Catalogue::alone(None, (0..ITEMS).map(item).collect());
    let order = ItemOrder::new((0..ITEMS).map(name).collect());
    let served = ServedModel::build(vec![1], ModelFile::new(order, model())).unwrap();
    let served = Arc::new(served);
    catalogue.serve(Some(Arc::clone(&served)));
    catalogue.serve_lists(&served, Arc::new(lists()));
    catalogue
}

fn liked(items: &[u32]) -> History {
    let touch = |&item: &u32| Touch { item: name(item), weight: 1.0, at: UnixMillis(0) };
    History { explicit: items.iter().map(touch).collect(), ..History::default() }
}

fn ranked(shelf: &ShelfView<'_>, history: &History, scorer: &LinearScorer) -> Ranking {
    let granted = [Signal::Beh, Signal::Exp].into_iter().collect();
    let rules = Rules {
        granted,
        limit: 20,
        floors: Floors::default(),
        aims: Aims::default(),
        exploration: Exploration::default(),
    };
    let pool = Pool::profile(shelf, history, UnixMillis(0));
    let mut sources: Vec<Box<dyn Source>> = vec![Box::new(Together::of(shelf, &pool))];
    sources.extend(
        pool.sources(shelf, None).into_iter().map(|near| Box::new(near) as Box<dyn Source>),
    );
    let filters: [Box<dyn Filter>; 1] =
        [Box::new(Excluded { reason: "seen", rows: history.seen(shelf) })];
    rank(&rules, &sources, &filters, scorer, shelf)
}

/// The best of all items by the blend, as `eval` judges them.
fn judged(taken: &[u32]) -> Vec<(u32, f32)> {
    let (model, lists) = (model(), lists());
    let parts = Parts { pooled: Some(&model), lists: Some(&lists) };
    let scores = model.blend().scores(&parts, ITEMS as usize, taken, taken);
    let mut best: Vec<(u32, f32)> = (0..).zip(scores).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(20);
    best
}

/// A slate over an index and lists has the items and the scores of a slate over everything, whoever brought an
/// item: by its parts a source counts wherever it has something to say.
#[test]
fn what_is_served_scores_what_is_judged() {
    let catalogue = serving();
    let shelf = catalogue.view();
    for taken in [vec![3], vec![5, 80, 200], (0..300).step_by(7).collect::<Vec<u32>>()] {
        let ranking = ranked(&shelf, &liked(&taken), &scorer(model().blend(), taken.len()));
        let shown =
            |item: &bailiwick_core::ranking::Ranked| (shelf.number(item.row).unwrap(), item.score);
        let shown: Vec<(u32, f32)> = ranking.items.iter().map(shown).collect();
        let expected = judged(&taken);
        assert_eq!(
            shown.iter().map(|(item, _)| item).collect::<Vec<_>>(),
            expected.iter().map(|(item, _)| item).collect::<Vec<_>>()
        );
        for ((_, shown), (_, judged)) in shown.iter().zip(&expected) {
            assert!((shown - judged).abs() < 1e-6, "{shown} {judged}");
        }
        for item in &ranking.items {
            assert!(item.why[0].0.from.is_some(), "what carried it is named: {item:?}");
        }
    }
}

/// An empty history, one of unknown items, one of an item that the model does not know.
#[test]
fn who_is_not_known_is_told_nothing_by_the_model() {
    let catalogue = serving();
    let shelf = catalogue.view();
    let stranger = Touch { item: "gone".parse().unwrap(), weight: 1.0, at: UnixMillis(0) };
    let gone = History { explicit: vec![stranger], ..History::default() };
    for history in [History::default(), gone, liked(&[ITEMS - 1])] {
        let ranking = ranked(&shelf, &history, &scorer(Blend::DEFAULT, 0));
        assert_eq!((ranking.items.len(), ranking.faults), (0, vec![]));
    }
}

/// Where few rows are in the categories that are asked for, an index goes through these: the same are found, and
/// what a filter drops is not.
#[test]
fn a_category_of_few_is_gone_through_and_the_same_are_found() {
    let of = |number: u32| v1::Item { category: vec![format!("c{}", number % 20)], ..item(number) };
    let catalogue = serving_of(of);
    let shelf = catalogue.view();
    let asked = || ["c3", "c7", "none"].into_iter();
    assert!(shelf.in_categories(asked(), 39).is_none());
    let rows = shelf.in_categories(asked(), 40).unwrap();
    assert_eq!(rows.len(), 40);
    let among: Arc<[Row]> = rows.iter().copied().collect();
    let pool = Pool::profile(&shelf, &liked(&[3, 80]), UnixMillis(0));
    let keep = |row: Row| rows.contains(&row) && !row.is_multiple_of(3);
    let found = |among| -> Vec<(Row, f32)> {
        let sources = pool.sources(&shelf, among);
        let found = sources.iter().flat_map(|source| source.candidates(100, &keep).unwrap());
        found.map(|(row, part)| (row, part.score)).collect()
    };
    let listed = found(Some(&among));
    assert!(listed.len() > 20);
    assert_eq!(listed, found(None));
}

/// 10^5 events: the newest speak, all of them stay seen, and the list is as long as ever.
#[test]
fn a_very_long_history_is_ranked_by_its_newest() {
    let catalogue = serving();
    let shelf = catalogue.view();
    let touch = |at: u32| Touch {
        item: name(if at < 99_000 { 100 + at % 100 } else { at % 50 }),
        weight: 1.0,
        at: UnixMillis(at.into()),
    };
    let history = History { behaviour: (0..100_000).map(touch).collect(), ..History::default() };
    let pool = Pool::profile(&shelf, &history, UnixMillis(100_000));
    assert_eq!(pool.rows.len(), 1000);
    assert!(pool.rows.iter().all(|(row, _)| shelf.number(*row).unwrap() < 50));
    let ranking = ranked(&shelf, &history, &scorer(model().blend(), 1000));
    assert_eq!((ranking.items.len(), ranking.faults.len()), (20, 0));
    let seen = |item: &Ranked| {
        [0..50, 100..200].iter().any(|seen| seen.contains(&shelf.number(item.row).unwrap()))
    };
    assert!(!ranking.items.iter().any(seen));
}

/// Tastes are read from the pools that the variant uses, and from nothing else; dislikes are no taste.
#[test]
fn a_taste_is_read_where_the_history_may_be() {
    let of =
        |number: u32, category: &str| v1::Item { category: vec![category.into()], ..item(number) };
    let catalogue = Catalogue::alone(None, vec![of(1, "Art"), of(2, "Bach"), of(3, "Chess")]);
    let shelf = catalogue.view();
    let mut history = liked(&[1, 2]);
    history.explicit[1].weight = -1.0;
    let pools = Pools {
        profile: Pool::profile(&shelf, &history, UnixMillis(0)),
        session: Pool::session(&[shelf.row(&name(3)).unwrap()]),
        in_view: Pool::in_view(None),
    };
    let taste = |signals: &[Signal]| pools.taste(&shelf, signals.iter().copied().collect());
    let only = |number| Mix::of(&shelf, [(shelf.row(&name(number)).unwrap(), 1.0)]);
    assert_eq!(taste(&[Signal::Beh, Signal::Ses]), only(1));
    assert_eq!(taste(&[Signal::Ses]), only(3));
    assert_eq!(taste(&[Signal::Agg, Signal::Ctx]), Mix::default());
}

/// Popularity weighs as before where nobody is known, and gives way to what is known.
#[test]
fn what_stands_in_gives_way_to_what_is_known() {
    let share = |known: usize| {
        let told = |source, score| bailiwick_core::ranking::Part {
            source,
            signal: None,
            score,
            from: None,
        };
        let scorer = scorer(Blend::DEFAULT, known);
        use bailiwick_core::ranking::Scorer as _;
        (scorer.share(&told("popular", 1.0)), scorer.share(&told(Pool::PROFILE[0], 1.0)))
    };
    assert_eq!(share(0), (0.15, 1.0));
    assert_eq!(share(2), (0.05, 1.0));
    assert!(share(1000).0 < 0.001);
}

/// What was pushed out of the profile is not shown again.
#[test]
fn what_was_seen_long_ago_stays_seen() {
    let catalogue = serving();
    let shelf = catalogue.view();
    let first = judged(&[3])[0].0;
    let history = History { older: vec![name(first)], ..liked(&[3]) };
    let seen: Row = shelf.row(&name(first)).unwrap();
    let ranking = ranked(&shelf, &history, &scorer(Blend::DEFAULT, 1));
    assert!(ranking.items.iter().all(|item| item.row != seen));
}

/// A decision under the default packs of the United States.
fn decided(asking: Asking) -> Decision {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policies");
    let text = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.unwrap().path()).unwrap()
    };
    let files = std::fs::read_dir(dir).unwrap().map(|entry| PackFile::parse(&text(entry)).unwrap());
    let packs = PackSet::compile(files).unwrap();
    let (home, location) = ("US".parse().unwrap(), "US".parse().unwrap());
    decide(&packs, &Inputs { on: "2026-11-01".parse().unwrap(), home, location, asking })
}

fn agreeing() -> Asking {
    Asking {
        age_band: AgeBand::Adult,
        consent: Consent::Granted,
        ..Asking::anonymous(Service::General)
    }
}

fn request<'a>(
    decision: &'a Decision,
    query: &'a RecommendQuery,
    location: &'a Jurisdiction,
    history: &'a History,
    popular: &'a [(ItemId, f64)],
    seed: u64,
) -> Request<'a> {
    Request {
        decision,
        query,
        now: UnixMillis(1000),
        location,
        age: 16,
        history,
        popular,
        objectives: Objectives::default(),
        exploration_share_max: Ratio::new(0.3).unwrap(),
        draws: Draws::new(seed),
    }
}

/// Chance passes no filter, shows nothing of which a count is released, and keeps to its share.
#[test]
fn what_chance_brings_passes_every_filter() {
    let new = |number: u32| v1::Item {
        published_at: Some("1970-01-01T00:00:00.9Z".into()),
        ..item(number)
    };
    let odd = [
        v1::Item { available: Some(false), ..new(30) },
        v1::Item { expires_at: Some("1970-01-01T00:00:01Z".into()), ..new(31) },
        v1::Item { barred_in: vec!["US".into()], ..new(32) },
        v1::Item { min_age: 17, ..new(33) },
    ];
    let others = (0..30).map(item).chain((34..44).map(new));
    let catalogue = Catalogue::alone(None, others.chain(odd).collect());
    let shelf = catalogue.view();
    let popular: Vec<(ItemId, f64)> = (0..30).chain([34]).map(|n| (name(n), 10.0)).collect();
    let history = History { blocked: vec![name(35)], ..liked(&[36]) };
    let exclude = vec![name(37).to_string()];
    let asked = v1::RecommendRequest { limit: Some(10), exclude, ..Default::default() };
    let query = validate::recommend(asked).unwrap();
    let location = "US".parse().unwrap();
    let decision = decided(agreeing());
    let mut brought = BTreeSet::new();
    for seed in 0..200 {
        let request = request(&decision, &query, &location, &history, &popular, seed);
        let ranking = recommend(&request, &shelf);
        assert_eq!((ranking.items.len(), ranking.explored.len()), (10, 3));
        let logged = explored(&ranking, &shelf);
        let shown = shown(&ranking, &shelf, Naming::History);
        for known in &logged {
            assert_eq!(shown[known.place as usize - 1].item, known.item);
            brought.insert(known.item.clone());
        }
    }
    let expected: BTreeSet<String> = (38..44).map(|n| name(n).to_string()).collect();
    assert_eq!(brought, expected);
}

/// An item that is unknown to the model and has no vector is found by its creator, where the history may be read.
#[test]
fn a_new_item_by_a_creator_one_liked_is_found() {
    let by =
        |number: u32, creator: &str| v1::Item { creator: Some(creator.into()), ..item(number) };
    let others = (0..ITEMS).filter(|number| *number != 3).map(item);
    let new = [by(ITEMS, "Ann"), by(ITEMS + 1, "Ben")];
    let catalogue = Catalogue::alone(None, others.chain([by(3, "Ann")]).chain(new).collect());
    let order = ItemOrder::new((0..ITEMS).map(name).collect());
    let served = ServedModel::build(vec![1], ModelFile::new(order, model())).unwrap();
    catalogue.serve(Some(Arc::new(served)));
    let shelf = catalogue.view();
    let (history, location) = (liked(&[3]), "US".parse().unwrap());
    let asked = v1::RecommendRequest { limit: Some(1000), ..Default::default() };
    let query = validate::recommend(asked).unwrap();
    let said = |asking: Asking, history: &History| {
        let decision = decided(asking);
        let request = Request {
            exploration_share_max: Ratio::ZERO,
            ..request(&decision, &query, &location, history, &[], 0)
        };
        let ranking = recommend(&request, &shelf);
        let of = |(part, _): &(Part, f32)| part.source == Content::PROFILE;
        let brought = ranking.items.iter().filter(|item| item.why.iter().any(of));
        let from = |ranked: &Ranked| ranked.why.iter().find(|why| of(why)).unwrap().0.from;
        let brought = brought.map(|ranked| {
            assert_eq!(ranked.why.iter().map(|(_, share)| share).sum::<f32>(), ranked.score);
            (ranked.row, from(ranked))
        });
        (decision.variant, brought.collect::<Vec<_>>())
    };
    let row = |number| shelf.row(&name(number)).unwrap();
    let found = vec![(row(ITEMS), Some(row(3)))];
    assert_eq!(said(agreeing(), &history), (Variant::ProfileStd, found));
    assert_eq!(said(agreeing(), &History::default()), (Variant::ProfileStd, vec![]));
    let mut disliked = history.clone();
    disliked.explicit[0].weight = -1.0;
    assert_eq!(said(agreeing(), &disliked), (Variant::ProfileStd, vec![]));
    // The same history under a decision that grants nothing of it: a child's, without a parent's consent.
    let child = Asking { age_band: AgeBand::UpTo11, ..Asking::anonymous(Service::General) };
    assert_eq!(said(child, &history), (Variant::Contextual, vec![]));
}
