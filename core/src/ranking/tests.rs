//! What holds for every list, whatever the sources bring.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;

use super::slate::compose;
use super::*;
use crate::ids::{ItemId, UnixMillis};
use crate::policy::{Ratio, Shares, Signal, SignalSet};

mod exploration;
mod objectives;

/// A shelf of items with vectors; item `n` is `item-n`.
#[derive(Debug, Default)]
struct Few {
    items: Vec<(ItemFacts, Vec<f32>)>,
}

fn item(row: usize) -> ItemFacts {
    ItemFacts::new(ItemId::new(format!("item-{row}")).unwrap())
}

impl Few {
    fn of(vectors: impl IntoIterator<Item = Vec<f32>>) -> Self {
        let unit = |vector: Vec<f32>| {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 { vector.iter().map(|x| x / length).collect() } else { Vec::new() }
        };
        let items = vectors.into_iter().enumerate().map(|(row, v)| (item(row), unit(v)));
        Self { items: items.collect() }
    }

    fn from(mut self, origins: &[usize]) -> Self {
        for ((facts, _), origin) in self.items.iter_mut().zip(origins) {
            facts.origin = Some(ORIGINS[*origin].to_owned());
        }
        self
    }

    /// The definition: the origin's prefixes, cut at `-`.
    fn is_from(&self, row: Row, place: &str) -> bool {
        let origin = self.items[row as usize].0.origin.clone().unwrap();
        let origin: crate::ids::Jurisdiction = origin.parse().unwrap();
        origin.prefixes().any(|prefix| prefix == place)
    }

    fn plain(items: usize) -> Self {
        Self::of((0..items).map(|_| Vec::new()))
    }
}

impl Shelf for Few {
    fn facts(&self, row: Row) -> Option<&ItemFacts> {
        self.items.get(row as usize).map(|(facts, _)| facts)
    }

    fn vector(&self, row: Row) -> Option<&[f32]> {
        self.items.get(row as usize).map(|(_, v)| v.as_slice()).filter(|v| !v.is_empty())
    }
}

/// A source that brings what it was given, whether it passes or not.
struct Given {
    name: &'static str,
    needs: Vec<Signal>,
    brings: Result<Vec<(Row, f32)>, &'static str>,
    asked: Cell<u32>,
}

impl Given {
    fn new(name: &'static str, needs: &[Signal], brings: &[(Row, f32)]) -> Self {
        Self { name, needs: needs.to_vec(), brings: Ok(brings.to_vec()), asked: Cell::new(0) }
    }
}

impl Source for &Given {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> SignalSet {
        self.needs.iter().copied().collect()
    }

    fn candidates(
        &self,
        _: usize,
        _: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError> {
        self.asked.set(self.asked.get() + 1);
        let rows = self.brings.clone();
        let rows =
            rows.map_err(|why| SourceError { source_name: self.name, reason: why.to_owned() })?;
        let part = |score| Part { source: self.name, signal: None, score, from: None };
        Ok(rows.into_iter().map(|(row, score)| (row, part(score))).collect())
    }
}

/// So many rows of those that may be kept, with their scores.
type Bring = dyn Fn(usize, &dyn Fn(Row) -> bool) -> Vec<(Row, f32)>;

/// A source, named `a`, that makes what it brings and says.
struct Making<'b> {
    bring: &'b Bring,
    opinion: fn(Row) -> Option<f32>,
    reason: fn(Row) -> Option<Row>,
}

impl Making<'_> {
    fn part(score: f32) -> Part {
        Part { source: "a", signal: None, score, from: None }
    }
}

impl Source for Making<'_> {
    fn name(&self) -> &'static str {
        "a"
    }

    fn needs(&self) -> SignalSet {
        SignalSet::default()
    }

    fn candidates(
        &self,
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError> {
        let rows = (self.bring)(wanted, keep).into_iter();
        Ok(rows.map(|(row, score)| (row, Self::part(score))).collect())
    }

    fn opinion(&self, row: Row) -> Option<Part> {
        (self.opinion)(row).map(Self::part)
    }

    fn reason(&self, row: Row) -> Option<Row> {
        (self.reason)(row)
    }
}

fn rules(granted: &[Signal], limit: usize) -> Rules {
    let granted = granted.iter().copied().collect();
    let (floors, aims) = (Floors::default(), Aims::default());
    Rules { granted, limit, floors, aims, exploration: Exploration::default() }
}

fn scorer() -> LinearScorer {
    let weight = |source, weight| Weight { source, words: "", weight };
    LinearScorer::new(vec![weight("a", 1.0), weight("b", 0.5)])
}

fn ranked(rules: &Rules, sources: &[&Given], filters: &[Box<dyn Filter>], shelf: &Few) -> Ranking {
    let sources: Vec<Box<dyn Source + '_>> =
        sources.iter().map(|s| Box::new(*s) as Box<dyn Source>).collect();
    rank(rules, &sources, filters, &scorer(), shelf)
}

fn rows(ranking: &Ranking) -> Vec<Row> {
    ranking.items.iter().map(|item| item.row).collect()
}

/// `kept` says whether the filter keeps the item that `change` made.
fn check(filter: &dyn Filter, change: impl FnOnce(&mut ItemFacts), kept: bool) {
    let mut facts = item(7);
    change(&mut facts);
    assert_eq!(filter.keep(7, &facts), kept, "{}: {facts:?}", filter.name());
}

#[test]
fn filters_drop_what_they_name() {
    check(&Hidden, |_| {}, true);
    check(&Hidden, |item| item.available = false, false);
    let expired = Expired { now: UnixMillis(100) };
    check(&expired, |_| {}, true);
    check(&expired, |item| item.expires = Some(UnixMillis(101)), true);
    check(&expired, |item| item.expires = Some(UnixMillis(100)), false);
    let age = AgeFloor { age: 13 };
    check(&age, |item| item.min_age = 13, true);
    check(&age, |item| item.min_age = 14, false);
    check(&Excluded { reason: "seen", rows: [7].into() }, |_| {}, false);
    check(&Excluded { reason: "seen", rows: [8].into() }, |_| {}, true);
}

#[test]
fn what_is_barred_in_a_place_is_barred_in_its_parts_and_not_beyond() {
    for (location, barred_in, kept) in [
        ("EU-DE", "EU-DE", false),
        ("EU-DE", "EU", false),
        ("EU-DE", "EU-FR", true),
        ("EU", "EU-DE", true),
        ("US-CA", "US", false),
    ] {
        let filter = Barred { location: location.parse().unwrap() };
        check(&filter, |item| item.barred_in = vec![barred_in.parse().unwrap()], kept);
    }
}

#[test]
fn a_wish_is_one_value_of_each_list() {
    let wish = Wanted {
        category: vec!["Drama".into(), "Comedy".into()],
        language: vec!["de".into()],
        creator: Vec::new(),
    };
    let drama = |item: &mut ItemFacts| item.category = vec!["Drama".into(), "War".into()];
    check(&wish, drama, false);
    let german = |item: &mut ItemFacts| {
        drama(item);
        item.language = Some("de".into());
    };
    check(&wish, german, true);
    check(&wish, |item| item.language = Some("de".into()), false);
    check(&Wanted::default(), |_| {}, true);
}

#[test]
fn a_source_without_its_signals_is_not_even_asked() {
    let shelf = Few::plain(3);
    let free = Given::new("a", &[], &[(0, 0.5)]);
    let behaviour = Given::new("b", &[Signal::Beh, Signal::Agg], &[(1, 1.0)]);
    let ranking = ranked(&rules(&[Signal::Beh], 10), &[&free, &behaviour], &[], &shelf);
    assert_eq!((rows(&ranking), ranking.asked), (vec![0], vec!["a"]));
    assert_eq!(behaviour.asked.get(), 0);
    let ranking =
        ranked(&rules(&[Signal::Beh, Signal::Agg], 10), &[&free, &behaviour], &[], &shelf);
    assert_eq!(rows(&ranking).len(), 2);
}

#[test]
fn a_source_that_forgets_the_filters_does_not_get_past_them() {
    let mut shelf = Few::plain(4);
    shelf.items[1].0.available = false;
    let careless = Given::new("a", &[], &[(0, 0.9), (1, 0.8), (2, 0.7), (99, 1.0)]);
    let filters: Vec<Box<dyn Filter>> =
        vec![Box::new(Hidden), Box::new(Excluded { reason: "seen", rows: [2].into() })];
    let ranking = ranked(&rules(&[], 10), &[&careless], &filters, &shelf);
    assert_eq!(rows(&ranking), [0], "hidden, seen and deleted rows are gone");
}

#[test]
fn a_source_that_fails_is_told_and_the_others_answer() {
    let shelf = Few::plain(2);
    let broken = Given { brings: Err("no index"), ..Given::new("a", &[], &[]) };
    let whole = Given::new("b", &[], &[(1, 1.0)]);
    let ranking = ranked(&rules(&[], 10), &[&broken, &whole], &[], &shelf);
    assert_eq!(rows(&ranking), [1]);
    assert_eq!(ranking.faults.len(), 1);
    assert_eq!(ranking.faults[0].to_string(), "source a failed: no index");
}

#[test]
fn an_explanation_adds_up_to_the_score() {
    let shelf = Few::plain(3);
    let one = Given::new("a", &[], &[(0, 0.25), (1, 0.5)]);
    let other = Given::new("b", &[], &[(0, 1.0), (2, 0.5)]);
    let unknown = Given::new("c", &[], &[(2, 1.0)]);
    let ranking = ranked(&rules(&[], 10), &[&one, &other, &unknown], &[], &shelf);
    let scores: Vec<(Row, f32)> = ranking.items.iter().map(|i| (i.row, i.score)).collect();
    assert_eq!(scores, [(0, 0.75), (1, 0.5), (2, 0.25)]);
    for item in &ranking.items {
        assert_eq!(item.why.iter().map(|(_, share)| share).sum::<f32>(), item.score);
        assert!(item.why.is_sorted_by(|a, b| a.1 >= b.1), "largest first: {item:?}");
    }
}

/// What a source says of another's candidates counts, and what explains it is looked for when it is shown.
#[test]
fn a_score_does_not_depend_on_who_brought_the_row() {
    let shelf = Few::plain(3);
    let opinion = |row| (row == 1).then_some(0.9);
    let one = Making { bring: &|_, _| vec![(0, 1.0)], opinion, reason: |row| Some(row + 10) };
    let other = Given::new("b", &[], &[(0, 0.5), (1, 1.0), (2, 1.0)]);
    let sources: [Box<dyn Source + '_>; 2] = [Box::new(one), Box::new(&other)];
    let ranking = rank(&rules(&[], 10), &sources, &[], &scorer(), &shelf);
    let scores: Vec<(Row, f32)> = ranking.items.iter().map(|i| (i.row, i.score)).collect();
    assert_eq!(scores, [(1, 1.4), (0, 1.25), (2, 0.5)]);
    let by: Vec<Option<Row>> =
        ranking.items.iter().map(|item| item.why.first().unwrap().0.from).collect();
    assert_eq!(by, [Some(11), Some(10), None]);
    let told: Vec<&str> = ranking.parameters.iter().map(|w| w.source).collect();
    assert_eq!(told, ["a", "b"]);
}

/// A local item that is too poor to be a candidate is looked for when the floor wants it.
#[test]
fn what_a_floor_wants_is_looked_for_beyond_the_candidates() {
    let mut shelf = Few::plain(300);
    shelf.items[290].0.origin = Some("EU-PT".into());
    let bring = |wanted: usize, keep: &dyn Fn(Row) -> bool| {
        let rows = (0..300).filter(|row| keep(*row)).take(wanted);
        rows.map(|row| (row, 1.0 / (row + 1) as f32)).collect::<Vec<(Row, f32)>>()
    };
    let falling = Making { bring: &bring, opinion: |_| None, reason: |_| None };
    let local = Shares([(Box::from("EU"), Ratio::new(0.2).unwrap())].into());
    let rules = Rules { floors: Floors { diversity: 0.0, local }, ..rules(&[], 5) };
    let sources: [Box<dyn Source + '_>; 1] = [Box::new(falling)];
    let ranking = rank(&rules, &sources, &[], &scorer(), &shelf);
    assert_eq!((rows(&ranking), ranking.unmet), (vec![0, 1, 2, 3, 290], Vec::new()));
    let rules = Rules { limit: 6, ..rules };
    let ranking = rank(&rules, &sources, &[], &scorer(), &shelf);
    let short = Floor::Local { place: "EU".into(), wanted: 0.2, reached: 1.0 / 6.0 };
    assert_eq!(ranking.unmet, [short], "two of six are wanted and one is there");
}

#[test]
fn the_main_parameters_are_the_weights_of_what_was_used() {
    let told = scorer().main_parameters(&["b", "a"]);
    let told: Vec<(&str, f32)> = told.iter().map(|w| (w.source, w.weight)).collect();
    assert_eq!(told, [("a", 2.0 / 3.0), ("b", 1.0 / 3.0)]);
    assert_eq!(scorer().main_parameters(&["b"])[0].weight, 1.0);
    assert!(scorer().main_parameters(&[]).is_empty());
}

/// The definition, pair by pair.
fn by_pairs(shelf: &Few, rows: &[Row]) -> f64 {
    let cosine = |a: Row, b: Row| match (shelf.vector(a), shelf.vector(b)) {
        (Some(a), Some(b)) => a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>(),
        _ => 0.0,
    };
    let mut pairs = Vec::new();
    for (at, &a) in rows.iter().enumerate() {
        pairs.extend(rows.iter().skip(at + 1).map(|&b| (1.0 - cosine(a, b)) / 2.0));
    }
    if pairs.is_empty() { 1.0 } else { pairs.iter().sum::<f64>() / pairs.len() as f64 }
}

const ORIGINS: [&str; 4] = ["EU-FR", "EU-DE", "EUX", "US"];

/// Shares of places that lie in each other and beside each other, together at most 1.
fn shares() -> impl Strategy<Value = Shares> {
    let places = [("EU", 0.5), ("EU-FR", 0.5), ("US", 0.4), ("EU-XX", 0.1)];
    let share = |(place, most): (&'static str, f64)| {
        (any::<bool>(), 0.0..most).prop_map(move |(there, share)| {
            there.then(|| (Box::from(place), Ratio::new(share).unwrap()))
        })
    };
    places.map(share).prop_map(|found| Shares(found.into_iter().flatten().collect()))
}

fn vectors() -> impl Strategy<Value = Vec<Vec<f32>>> {
    vec(prop_oneof![4 => vec(-1.0_f32..1.0, 4), 1 => Just(Vec::new())], 1..40)
}

proptest! {
    #[test]
    fn diversity_is_the_mean_over_pairs(vectors in vectors()) {
        let shelf = Few::of(vectors);
        let rows: Vec<Row> = (0..).take(shelf.items.len()).collect();
        prop_assert!((f64::from(diversity(&shelf, &rows)) - by_pairs(&shelf, &rows)).abs() < 1e-4);
    }

    #[test]
    fn a_slate_keeps_its_floors_or_says_that_it_does_not(
        vectors in vectors(),
        origins in vec(0_usize..ORIGINS.len(), 40),
        shares in shares(),
        limit in 0_usize..25,
        floor in 0.0_f32..0.9,
    ) {
        let shelf = Few::of(vectors).from(&origins);
        let falling: Vec<(Row, f32)> =
            (0..).take(shelf.items.len()).map(|row: Row| (row, 1.0 / (row + 1) as f32)).collect();
        let floors = Floors { diversity: floor, local: shares };
        let slate = compose(&shelf, &falling, limit, &floors, &Aims::default());
        let rows: Vec<Row> = slate.items.iter().map(|(row, _)| *row).collect();
        prop_assert_eq!(rows.len(), limit.min(falling.len()));
        prop_assert!(slate.items.iter().all(|item| falling.contains(item)));
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        prop_assert_eq!(distinct.len(), rows.len());
        let mut short = Vec::new();
        let reached = diversity(&shelf, &rows);
        if reached < floor {
            short.push(Floor::Diversity { wanted: floor, reached });
        }
        let wanted: usize = floors.local.0.values().map(|share| share.of(rows.len())).sum();
        for (place, share) in &floors.local.0 {
            let local = rows.iter().filter(|row| shelf.is_from(**row, place)).count();
            let there = falling.iter().filter(|(row, _)| shelf.is_from(*row, place)).count();
            let part = local as f32 / rows.len().max(1) as f32;
            if local < share.of(rows.len()) {
                let all = local == there || wanted > rows.len();
                prop_assert!(all, "{local} of {there} from {place} are shown");
                let wanted = share.get();
                short.push(Floor::Local { place: place.clone(), wanted, reached: part });
            }
        }
        prop_assert_eq!(slate.unmet, short);
    }

    #[test]
    fn without_a_floor_the_best_come_first(scores in vec(0.0_f32..1.0, 1..60), limit in 1_usize..30) {
        let shelf = Few::plain(scores.len());
        let brought: Vec<(Row, f32)> = (0..).zip(scores.iter().copied()).collect();
        let source = Given::new("a", &[], &brought);
        let ranking = ranked(&rules(&[], limit), &[&source], &[], &shelf);
        prop_assert!(ranking.items.is_sorted_by(|a, b| a.score >= b.score));
        let mut best = scores;
        best.sort_by(|a, b| b.total_cmp(a));
        let shown: Vec<f32> = ranking.items.iter().map(|item| item.score).collect();
        prop_assert_eq!(shown, best[..limit.min(best.len())].to_vec());
    }
}
