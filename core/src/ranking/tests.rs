//! What holds for every list, whatever the sources bring.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;

use super::slate::compose;
use super::*;
use crate::ids::{ItemId, UnixMillis};
use crate::policy::{Signal, SignalSet};

/// A shelf of items with vectors; item `n` is `item-n`.
#[derive(Debug, Default)]
struct Few {
    items: Vec<(ItemFacts, Vec<f32>)>,
}

fn item(row: usize) -> ItemFacts {
    ItemFacts {
        id: ItemId::new(format!("item-{row}")).unwrap(),
        title: String::new(),
        category: Vec::new(),
        language: None,
        creator: None,
        origin: None,
        published: None,
        expires: None,
        min_age: 0,
        barred_in: Vec::new(),
        available: true,
        editorial_rank: None,
    }
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

fn rules(granted: &[Signal], limit: usize) -> Rules {
    Rules { granted: granted.iter().copied().collect(), limit, diversity_floor: 0.0 }
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
    fn a_slate_keeps_its_floor_or_says_that_it_does_not(
        vectors in vectors(),
        limit in 0_usize..25,
        floor in 0.0_f32..0.9,
    ) {
        let shelf = Few::of(vectors);
        let falling: Vec<(Row, f32)> =
            (0..).take(shelf.items.len()).map(|row: Row| (row, 1.0 / (row + 1) as f32)).collect();
        let slate = compose(&shelf, &falling, limit, floor);
        let rows: Vec<Row> = slate.items.iter().map(|(row, _)| *row).collect();
        prop_assert_eq!(rows.len(), limit.min(falling.len()));
        prop_assert!(slate.items.iter().all(|item| falling.contains(item)));
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        prop_assert_eq!(distinct.len(), rows.len());
        let reached = diversity(&shelf, &rows);
        prop_assert_eq!(slate.unmet.is_empty(), reached >= floor);
        if let Some(Floor::Diversity { wanted, reached: told }) = slate.unmet.first() {
            prop_assert_eq!((*wanted, *told), (floor, reached));
        }
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
