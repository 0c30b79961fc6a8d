//! Searches under predicates over columns find what brute force finds, whatever the index went through.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick_ann::{
    AnnError, Answer, Attributes, ColumnKind, Filter, LiveIndex, Metric, Opened, Options, Plan,
    Predicate, Request, Row, Space,
};
use bailiwick_core::kind::Kind;
use proptest::prelude::*;

const ROWS: Row = 120;
const HASH_BYTES: usize = 32;

fn space() -> Space {
    Space::new("m1", 3, Metric::L2).unwrap()
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

fn empty() -> LiveIndex {
    let index = LiveIndex::new(space(), options()).unwrap();
    for (column, kind) in [
        ("colour", ColumnKind::Keywords),
        ("tag", ColumnKind::Keywords),
        ("year", ColumnKind::Numbers),
        ("price", ColumnKind::Numbers),
    ] {
        index.declare(column, kind).unwrap();
    }
    index
}

/// Few enough of them that rows share some.
fn vector(seed: u32) -> [f32; 3] {
    let of = seed % 60;
    [of as f32, 1.0, (of % 7) as f32]
}

fn score(a: [f32; 3], b: [f32; 3]) -> f32 {
    -a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
}

/// What an index should hold.
type Held = BTreeMap<Row, ([f32; 3], Attributes)>;

fn attributes() -> impl Strategy<Value = Attributes> {
    let colours = prop::collection::btree_set(0..5, 0..3);
    let tags = prop::collection::btree_set(0..40, 0..4);
    let number = prop_oneof![Just(i64::MIN + 1), Just(i64::MAX), -3_i64..4, any::<i64>()];
    let price = prop::option::of(number.prop_map(|n| n.max(i64::MIN + 1)));
    (colours, tags, prop::option::of(1990_i64..2000), price).prop_map(
        |(colours, tags, year, price)| {
            let mut all = Attributes::new();
            for colour in colours {
                all = all.with_keyword("colour", format!("c{colour}"));
            }
            for tag in tags {
                all = all.with_keyword("tag", format!("t{tag}"));
            }
            for (column, number) in [("year", year), ("price", price)] {
                all = number.into_iter().fold(all, |all, n| all.with_number(column, n));
            }
            all
        },
    )
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let year = || 1988_i64..2002;
    let leaf = prop_oneof![
        (0..6).prop_map(|n| Predicate::is("colour", format!("c{n}"))),
        (0..42).prop_map(|n| Predicate::is("tag", format!("t{n}"))),
        prop::collection::vec(0..42, 0..6)
            .prop_map(|all| Predicate::any_of("tag", all.into_iter().map(|n| format!("t{n}")))),
        year().prop_map(|n| Predicate::at_least("year", n)),
        year().prop_map(|n| Predicate::at_most("year", n)),
        (year(), year()).prop_map(|(a, b)| Predicate::between("year", a, b)),
        (any::<i64>(), any::<i64>()).prop_map(|(a, b)| Predicate::between("price", a, b)),
        (-3_i64..4).prop_map(|n| Predicate::at_least("price", n)),
        Just(Predicate::at_most("price", i64::MAX)),
        Just(Predicate::at_most("price", i64::MIN)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            some.clone().prop_map(Predicate::And),
            some.prop_map(Predicate::Or),
            inner.prop_map(|part| Predicate::Not(Box::new(part))),
        ]
    })
}

#[derive(Debug, Clone)]
enum Step {
    Upsert(Row, u32, Attributes),
    Plain(Row, u32),
    Remove(Row),
    Merge,
    Map,
    Open,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0..ROWS, any::<u32>(), attributes()).prop_map(|(r, v, a)| Step::Upsert(r, v, a)),
        4 => (0..ROWS, any::<u32>()).prop_map(|(row, v)| Step::Plain(row, v)),
        8 => (0..ROWS).prop_map(Step::Remove),
        3 => Just(Step::Merge),
        1 => Just(Step::Map),
        1 => Just(Step::Open),
    ]
}

fn take(index: LiveIndex, held: &mut Held, step: Step, path: &Path) -> LiveIndex {
    match step {
        Step::Upsert(row, seed, attributes) => {
            index.upsert_with(row, &vector(seed), &attributes).unwrap();
            held.insert(row, (vector(seed), attributes));
        }
        Step::Plain(row, seed) => {
            index.upsert(row, &vector(seed)).unwrap();
            held.insert(row, (vector(seed), Attributes::new()));
        }
        Step::Remove(row) => assert_eq!(index.remove(row), held.remove(&row).is_some()),
        Step::Merge => _ = index.merge().unwrap(),
        Step::Map => {
            let saved = index.save(path, 0).unwrap();
            return map(path, Some(&saved.sha256)).unwrap().index;
        }
        Step::Open => {
            let bytes = index.to_bytes(0).unwrap();
            return LiveIndex::from_bytes(&bytes, &space(), options()).unwrap();
        }
    }
    index
}

fn map(path: &Path, hash: Option<&[u8; HASH_BYTES]>) -> Result<Opened, AnnError> {
    LiveIndex::map(path, &space(), options(), hash)
}

fn answer(index: &LiveIndex, query: [f32; 3], predicate: &Predicate, plan: Option<Plan>) -> Answer {
    let filter = Filter::Matching(predicate);
    let (k, ef) = (ROWS as usize, ROWS as usize);
    index.answer(&Request { query: &query, k, ef, filter, budget: None, plan }).unwrap()
}

/// The rows that an answer has, each with the score that its vector has.
fn rows(answer: &Answer, query: [f32; 3], held: &Held) -> BTreeSet<Row> {
    assert!(answer.hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let rows: BTreeSet<Row> = answer.hits.iter().map(|hit| hit.row).collect();
    assert_eq!(rows.len(), answer.hits.len());
    for hit in &answer.hits {
        assert!((hit.score - score(held[&hit.row].0, query)).abs() < 1e-3);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_found_is_what_brute_force_finds(
        steps in prop::collection::vec(step(), 1..160),
        predicates in prop::collection::vec(predicate(), 12),
        seed in any::<u32>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut index, mut held) = (empty(), Held::new());
        for (number, step) in steps.into_iter().enumerate() {
            index = take(index, &mut held, step, &folder.path().join(number.to_string()));
        }
        let query = vector(seed);
        for predicate in &predicates {
            let wanted: BTreeSet<Row> =
                held.iter().filter(|(_, (_, a))| predicate.accepts(a)).map(|(row, _)| *row).collect();
            let matching: BTreeSet<Row> = index.matching(predicate).unwrap().iter().collect();
            prop_assert_eq!(&matching, &wanted, "{:?}", predicate);
            for plan in [None, Some(Plan::Scan)] {
                let answer = answer(&index, query, predicate, plan);
                prop_assert_eq!(rows(&answer, query, &held), wanted.clone(), "{:?}", predicate);
            }
            for plan in [Plan::Through, Plan::TwoHop] {
                let answer = answer(&index, query, predicate, Some(plan));
                prop_assert!(rows(&answer, query, &held).is_subset(&wanted), "{:?}", predicate);
            }
            let filter = Filter::Matching(predicate);
            let together = index.search_batch(&[&query, &vector(seed / 2)], 200, 200, filter).unwrap();
            prop_assert_eq!(together[0].iter().map(|hit| hit.row).collect::<BTreeSet<_>>(), wanted);
        }
        for row in 0..ROWS {
            let known = index.attributes(row).unwrap();
            prop_assert_eq!(known.as_ref(), held.get(&row).map(|(_, attributes)| attributes));
        }
    }
}

/// Large enough to be walked: what is found are matches with their scores, nearly all of the best.
#[test]
fn many_matches_are_walked_to_and_few_listed() {
    const MANY: Row = 6000;
    let space = Space::new("m1", 8, Metric::Cosine).unwrap();
    let index = LiveIndex::new(space.clone(), options()).unwrap();
    let at = |row: Row| -> Vec<f32> {
        (1..9).map(|n| ((row * n + row * row % 911) as f32 * 0.37 + 0.5).sin()).collect()
    };
    let known = |row: Row| {
        let half = if row.is_multiple_of(2) { "even" } else { "odd" };
        let rare = Attributes::new().with_keyword("half", half).with_number("row", row.into());
        if row.is_multiple_of(300) { rare.with_keyword("rare", "yes") } else { rare }
    };
    (0..MANY).for_each(|row| index.upsert_with(row, &at(row), &known(row)).unwrap());
    index.merge().unwrap();
    (0..50).for_each(|row| _ = index.remove(row * 7));
    (0..50).for_each(|row| index.upsert_with(MANY + row, &at(MANY + row), &known(row)).unwrap());
    let check = |predicate: Predicate, plan: Plan| {
        let matching = index.matching(&predicate).unwrap();
        let (mut found, mut all) = (0, 0);
        for query in (0..20).map(|n| at(MANY * 2 + n)) {
            let ask = |filter| {
                let request =
                    Request { query: &query, k: 10, ef: 120, filter, budget: None, plan: None };
                index.answer(&request).unwrap()
            };
            let answer = ask(Filter::Matching(&predicate));
            assert_eq!(answer.plan, Some(plan), "{predicate:?}");
            assert!(answer.hits.iter().all(|hit| matching.contains(hit.row)));
            let scan = Some(Plan::Scan);
            let filter = Filter::Rows(&matching);
            let request =
                Request { query: &query, k: 10, ef: 120, filter, budget: None, plan: scan };
            let best = index.answer(&request).unwrap().hits;
            found += best.iter().filter(|hit| answer.hits.contains(hit)).count();
            all += best.len();
        }
        assert!(found * 100 >= all * 95, "{found} of {all} under {predicate:?}");
    };
    let number = |least, most| Predicate::between("row", least, most);
    check(Predicate::is("half", "even"), Plan::Through);
    check(number(0, 5000), Plan::Through);
    check(Predicate::And(vec![Predicate::is("half", "odd"), number(100, 5900)]), Plan::Through);
    check(Predicate::is("rare", "yes"), Plan::Scan);
    check(number(70, 130), Plan::Scan);
    check(Predicate::And(vec![Predicate::is("rare", "yes"), number(0, 3000)]), Plan::Scan);
    let none = Predicate::And(vec![Predicate::is("half", "odd"), Predicate::is("half", "even")]);
    assert!(index.search(&at(3), 10, 40, &none).unwrap().is_empty());
}

/// A vector and its attributes come together: a reader that asks for the attributes of a round finds vectors of that
/// round alone, and each row once.
#[test]
fn no_reader_sees_a_vector_with_other_attributes() {
    const MANY: Row = 200;
    let index = empty();
    let at = |row: Row, round: i64| [row as f32, round as f32, 1.0];
    let known =
        |round: i64| Attributes::new().with_number("year", round).with_keyword("tag", "all");
    let write = |round: i64| {
        (0..MANY).for_each(|row| index.upsert_with(row, &at(row, round), &known(round)).unwrap());
    };
    write(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..16 {
                write(round);
                if round % 3 == 0 {
                    index.merge().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut round = 0;
        while !done.load(Ordering::Acquire) {
            round = (round + 1) % 16;
            let query = at(7, round);
            let this = Predicate::between("year", round, round);
            for hit in index.search(&query, MANY as usize, 400, &this).unwrap() {
                assert_eq!(hit.score, score(at(hit.row, round), query));
            }
            let all = index.search(&query, 1000, 1000, &Predicate::is("tag", "all")).unwrap();
            let rows: BTreeSet<Row> = all.iter().map(|hit| hit.row).collect();
            assert_eq!((all.len(), rows.len()), (MANY as usize, MANY as usize));
        }
    });
}

/// Rows in a generation and fresh ones, both with attributes.
fn saved(path: &Path) -> Vec<u8> {
    let index = LiveIndex::new(space(), options()).unwrap();
    let known = |row: Row| {
        let colour = format!("c{}", row % 3);
        Attributes::new().with_keyword("colour", colour).with_number("year", (row % 5).into())
    };
    (0..20).for_each(|row| index.upsert_with(row, &vector(row), &known(row)).unwrap());
    index.merge().unwrap();
    index.remove(3);
    index.upsert_with(77, &[5.5, 1.0, 2.0], &known(1).with_keyword("tag", "new")).unwrap();
    index.save(path, 12).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_cut_and_a_flip_anywhere_are_noticed_with_columns_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let whole = saved(&path);
    let new = map(&path, None).unwrap().index.matching(&Predicate::is("tag", "new")).unwrap();
    assert_eq!(new.iter().collect::<Vec<_>>(), [77]);
    let refused = |content: &[u8], what: &str, hash_too: bool| {
        _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        assert!(LiveIndex::from_bytes(content, &space(), options()).is_err(), "{what}");
        assert!(!hash_too || map(&path, None).is_err(), "{what}, mapped");
    };
    for at in 0..whole.len() {
        refused(&whole[..at], &format!("cut at {at}"), true);
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("flipped at {at}"), at < whole.len() - HASH_BYTES);
    }
}

#[test]
fn what_an_index_can_not_be_asked_is_refused_and_changes_nothing() {
    let index = LiveIndex::new(space(), options()).unwrap();
    let refused = |outcome: Result<(), AnnError>, named: &str| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(named), "{error}");
    };
    let search = |predicate: Predicate| index.search(&vector(1), 5, 5, &predicate).map(drop);
    refused(search(Predicate::is("colour", "red")), "column colour: there is no such column");
    index.declare("colour", ColumnKind::Keywords).unwrap();
    search(Predicate::is("colour", "red")).unwrap();
    refused(search(Predicate::at_least("colour", 3)), "column colour: it holds keywords");
    let wrong = Attributes::new().with_number("colour", 3).with_number("year", 1);
    refused(index.upsert_with(1, &vector(1), &wrong), "column colour");
    assert!(index.is_empty() && index.pending() == 0);
    refused(search(Predicate::at_least("year", 3)), "column year: there is no such column");
    refused(index.declare("colour", ColumnKind::Numbers), "column colour");
    index.declare("colour", ColumnKind::Keywords).unwrap();
}

/// A generation from elsewhere brings its graph alone: attributes stay what they are here.
#[test]
fn attributes_are_ones_own_after_a_generation_was_adopted() {
    let fill = |by: Row, colour: fn(Row) -> String| {
        let index = empty();
        for row in 0..2000 {
            let known = Attributes::new()
                .with_keyword("colour", colour(row))
                .with_number("year", row.into());
            index.upsert_with(row + by, &[row as f32, (row % 13) as f32, 1.0], &known).unwrap();
        }
        index
    };
    let there = fill(0, |row| format!("c{}", row % 2));
    there.merge().unwrap();
    let here = fill(5, |row| format!("c{}", row % 3));
    here.upsert_with(5, &[0.5; 3], &Attributes::new().with_keyword("colour", "c9")).unwrap();
    here.remove(6);
    let asked = [
        Predicate::is("colour", "c0"),
        Predicate::is("colour", "c9"),
        Predicate::between("year", 100, 200),
        Predicate::Not(Box::new(Predicate::at_least("year", 0))),
    ];
    let matching = || asked.iter().map(|p| here.matching(p).unwrap()).collect::<Vec<_>>();
    let before = matching();
    let mut note = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    there
        .save_with(&path, 0, |rows| {
            note = rows.iter().map(|row| Some(row + 5)).collect();
            Vec::new()
        })
        .unwrap();
    let opened = map(&path, None).unwrap();
    here.adopt(opened.index, &note).unwrap();
    assert!(here.pending() < 10);
    assert_eq!(matching(), before);
}
