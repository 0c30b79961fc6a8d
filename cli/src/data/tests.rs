//! What loading promises, on the shipped demo, on the real sets where they stand, and on bad input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::learning::{Options, learn};

use super::*;

fn directory(test: &str) -> Option<PathBuf> {
    shared_data(env!("CARGO_MANIFEST_DIR"), test)
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (scratch, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn events(bytes: &[u8]) -> Result<Dataset, DataError> {
    let (_scratch, path) = file("events", bytes);
    load(&Choice::Events(path), None)
}

#[test]
fn the_demo_needs_no_path() {
    let demo = load(&Choice::MovieLens, None).unwrap();
    assert_eq!((demo.items.len(), demo.people.len(), demo.events.len()), (9742, 610, 100_836));
    let shawshank = demo.items.iter().find(|item| item.item == "318").unwrap();
    assert_eq!(shawshank.title, "The Shawshank Redemption");
    assert_eq!(shawshank.category, ["Crime", "Drama"]);
    assert_eq!(shawshank.published_at.as_deref(), Some("1994-01-01T00:00:00Z"));
    assert_eq!(shawshank.editorial_rank, Some(1));
    let ids: BTreeSet<&str> = demo.events.iter().map(|(_, event)| event.id.as_str()).collect();
    assert_eq!(ids.len(), demo.events.len(), "an id twice");
    let (_, first) = &demo.events[0];
    assert_eq!(
        (first.id.as_str(), first.kind.as_str(), first.value),
        ("ml-1-1", "rate", Some(4.0))
    );
    assert_eq!(first.at.as_deref(), Some("2000-07-30T18:45:03Z"));
}

#[test]
fn the_editorial_list_is_complete_and_names_films_that_exist() {
    let demo = load(&Choice::MovieLens, None).unwrap();
    let ranks: BTreeSet<u32> = demo.items.iter().filter_map(|item| item.editorial_rank).collect();
    assert_eq!(ranks, (1..=60).collect());
}

#[test]
fn the_demo_has_somebody_in_every_situation() {
    let demo = load(&Choice::MovieLens, None).unwrap();
    let mut homes: BTreeMap<&str, usize> = BTreeMap::new();
    for person in &demo.people {
        *homes.entry(person.home.as_str()).or_default() += 1;
        assert_eq!(person.made_up.len(), 4);
    }
    let expected = ["EU-DE", "EU-FR", "EU-NL", "IN", "US-CA", "US-CO", "US-NY", "US-VA"];
    assert_eq!(homes.keys().copied().collect::<Vec<_>>(), expected);
    assert!(homes.values().all(|&count| count >= 15), "{homes:?}");
    let count = |of: &dyn Fn(&DemoPerson) -> bool| demo.people.iter().filter(|p| of(p)).count();
    assert!(count(&|p| p.age_band != AgeBand::Adult) > 60);
    assert!(count(&|p| p.consent == Consent::Granted) > 300);
    assert!(count(&|p| p.consent == Consent::Refused) > 30);
    assert!(count(&|p| p.consent == Consent::Parental) > 5);
    assert!(count(&|p| p.consent == Consent::Parental && p.age_band == AgeBand::Adult) == 0);
    assert!(count(&|p| p.toggle == Toggle::Off) > 20);
    let examples: Vec<_> = demo.people.iter().filter_map(|p| p.example.as_deref()).collect();
    assert!(examples.contains(&"a German who refused"), "{examples:?}");
}

/// A cluster keeps events for months; MovieLens ends in 2018.
#[test]
fn old_events_are_moved_to_today_with_their_gaps() {
    let mut set =
        events(b"user,item,time\nu1,a,1000000000\nu1,b,1000000060\nu2,a,500\nu3,a,\n").unwrap();
    let today: jiff::Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    set.move_to(UnixMillis(today.as_millisecond()));
    let at: Vec<_> = set.events.iter().map(|(_, event)| event.at.as_deref()).collect();
    let newest = Some("2026-11-22T10:00:00Z");
    assert_eq!(at, [Some("2026-11-22T09:59:00Z"), newest, newest, None]);
    assert!(set.made_up.iter().any(|said| said.contains("days of the events")));
}

/// The demo as a whole: its vectors are learned at start-up, so they must come fast and be of use.
#[test]
fn the_demo_learns_vectors_by_domain() {
    let mut demo = load(&Choice::MovieLens, None).unwrap();
    let domain = |person: &DemoPerson| match person.home.as_str() {
        home if home.starts_with("EU") => Some(0),
        home if home.starts_with("US") => Some(1),
        _ => None,
    };
    let parts = demo.interactions(2, 1000, domain);
    let people: usize = parts.iter().map(|part| part.people()).sum();
    assert!((450..560).contains(&people), "{people} people");
    let options = Options { rounds: 2, ..Options::default() };
    demo.set_vectors(&learn(&parts, options, |_, _| ()).unwrap());
    let with = demo.items.iter().filter(|item| item.vector.len() == 64).count();
    let without = demo.items.iter().filter(|item| item.vector.is_empty()).count();
    assert_eq!(with + without, demo.items.len());
    assert!(with > 5000, "{with} vectors");
}

#[test]
fn book_crossing_has_real_homes_and_minors() {
    let Some(data) = directory("book_crossing_has_real_homes_and_minors") else { return };
    let books = load(&Choice::BookCrossing, Some(&data.join("bookcrossing"))).unwrap();
    assert_eq!((books.items.len(), books.events.len()), (119_601, 496_450));
    assert_eq!(books.people.len(), 59_666);
    let count = |home: &str| books.people.iter().filter(|p| p.home.as_str() == home).count();
    assert_eq!(count("EU-DE"), 2809);
    assert_eq!(count("UK"), 2492);
    assert_eq!(
        count("US"),
        39_642 - books.people.iter().filter(|p| p.home.as_str().starts_with("US-")).count()
    );
    assert!(count("US-CA") > 3000 && count("CA-QC") > 50);
    let minors = books.people.iter().filter(|p| p.age_band < AgeBand::Adult).count();
    assert!(minors > 500, "{minors} minors");
    let rates = books.events.iter().filter(|(_, event)| event.kind == "rate").count();
    assert_eq!(rates, 277_929);
    assert!(books.events.iter().all(|(_, e)| e.value.is_none_or(|v| (0.5..=5.0).contains(&v))));
    assert_eq!(books.people[0].made_up, [Fact::Consent, Fact::Toggle]);
    let examples = books.people.iter().filter(|p| p.example.is_some()).count();
    assert!(examples >= 5, "{examples} situations are shown");
}

#[test]
fn the_demo_is_the_public_data_set() {
    let Some(data) = directory("the_demo_is_the_public_data_set") else { return };
    let shipped = load(&Choice::MovieLens, None).unwrap();
    let public = load(&Choice::MovieLens, Some(&data.join("ml-latest-small"))).unwrap();
    assert_eq!(shipped.items, public.items);
    assert_eq!(shipped.events, public.events);
}

/// The figures of BASELINES.md, for the vectors that the cluster serves.
#[test]
fn vectors_recommend_about_as_well_as_untrained_models_can() {
    let Some(data) = directory("vectors_recommend_about_as_well_as_untrained_models_can") else {
        return;
    };
    for (set, recall, ndcg) in
        [("ml-latest-small/split", 0.23, 0.30), ("lastfm-2k/split", 0.27, 0.26)]
    {
        let split = Split::read(&data.join(set)).unwrap().dealt(3);
        let parts = split.interactions(Options::default().person_items_max).unwrap();
        let vectors = learn(&parts, Options::default(), |_, _| ()).unwrap();
        let figures = evaluate(&split, &vectors, 1);
        assert!(figures.recall > recall && figures.ndcg > ndcg, "{set}: {figures:?}");
    }
}

#[test]
#[ignore = "prints the figures of all splits, a minute in release: run by name"]
fn figures_of_all_splits() {
    let Some(data) = directory("figures_of_all_splits") else { return };
    for set in ["ml-latest-small/split", "lastfm-2k/split", "bookcrossing/split", "amazon-cds-m1"] {
        let split = Split::read(&data.join(set)).unwrap().dealt(3);
        let parts = split.interactions(Options::default().person_items_max).unwrap();
        for rounds in [4, 8, 12, 20] {
            let options = Options { rounds, ..Options::default() };
            let start = std::time::Instant::now();
            let vectors = learn(&parts, options, |_, _| ()).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let Figures { recall, ndcg, people } = evaluate(&split, &vectors, 1);
            println!(
                "{set} rounds {rounds}: {recall:.4} {ndcg:.4} ({people} people), {seconds:.2} s"
            );
        }
    }
}

#[test]
fn events_are_read_in_every_form() {
    let table = b"user\titem\tvalue\ttime\nu1\ta\t4.5\t1000000000\nu2\ta\t\t\n".to_vec();
    let commas = b"\xef\xbb\xbfitem,user,value,time\r\na,u1,4.5,2001-09-09T01:46:40Z\r\na,u2,,\r\n";
    let json = br#"{"user": "u1", "item": "a", "value": 4.5, "time": 1000000000}

{"user": "u2", "item": "a"}"#;
    let expected = events(&table).unwrap();
    assert_eq!(expected.people.len(), 2);
    assert_eq!(expected.items[0].editorial_rank, Some(1));
    let (_, rated) = &expected.events[0];
    assert_eq!((rated.kind.as_str(), rated.value), ("rate", Some(4.5)));
    assert_eq!(rated.at.as_deref(), Some("2001-09-09T01:46:40Z"));
    assert_eq!(expected.events[1].1.kind, "view");
    for other in [&commas[..], &json[..], &gzip(&table)] {
        let other = events(other).unwrap();
        assert_eq!(other.items, expected.items);
        let kinds = |set: &Dataset| -> Vec<_> {
            set.events.iter().map(|(p, e)| (*p, e.kind.clone(), e.value, e.at.clone())).collect()
        };
        assert_eq!(kinds(&other), kinds(&expected));
    }
}

/// Every complaint names the line and what to do.
#[test]
fn bad_files_are_told_where_and_how_to_mend() {
    let long = [b"{\"user\": \"", &vec![b'u'; 100_000][..]].concat();
    let cases: [(&[u8], &str); 13] = [
        (b"", "no column `user`"),
        (b"user\titem\n", "no rows"),
        (b"user\tthing\nu\ti\n", "line 1: no column `item` (found: user, thing)"),
        (b"user\titem\nu\n", "line 2: CSV error"),
        (b"user\titem\tvalue\nu\ti\t1\nu\ti\tgood\n", "line 3: value is `good`; write a number"),
        (b"user\titem\tvalue\nu\ti\tNaN\n", "line 2: value is `NaN`; write a finite"),
        (b"user\titem\ttime\nu\ti\tyesterday\n", "line 2: time is `yesterday`; write RFC 3339"),
        (b"user\titem\nu\t\n", "line 2: item is ``; item id is empty"),
        (b"user,item\n,i\n", "line 2: user is ``; sub is empty"),
        (b"user\titem\n\xff\ti\n", "convert the file to UTF-8"),
        (
            b"{\"user\": \"u\", \"item\": 3}\n{\"user\": 1, \"thing\": 2}\n",
            "line 2: unknown field `thing`",
        ),
        (&long, "line 1: longer than 64 KiB"),
        (&[0x1f, 0x8b, 1, 2, 3], "damaged"),
    ];
    for (bytes, expected) in cases {
        let error = events(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(error.contains("events"), "{error:?} does not name the file");
    }
    let absent = load(&Choice::Events("/nowhere/at/all".into()), None).unwrap_err();
    assert!(absent.to_string().starts_with("/nowhere/at/all can't be opened"), "{absent}");
}

#[test]
fn a_rating_out_of_range_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(
        scratch.path().join("movies.tsv.gz"),
        "movieId\ttitle\tgenres\n1\tA (1990)\tDrama\n",
    )
    .unwrap();
    let ratings = "userId\tmovieId\trating\ttimestamp\n1\t1\t55\t0\n";
    std::fs::write(scratch.path().join("ratings.tsv.gz"), ratings).unwrap();
    let error = load(&Choice::MovieLens, Some(scratch.path())).unwrap_err().to_string();
    assert!(error.contains("line 2: rating is `55`; write a number from 0.5 to 5"), "{error}");
}

#[test]
fn a_choice_is_one_of_three() {
    assert_eq!("movielens".parse::<Choice>().unwrap(), Choice::MovieLens);
    assert_eq!("events:a.csv".parse::<Choice>().unwrap(), Choice::Events("a.csv".into()));
    for bad in ["", "netflix", "events:", "events"] {
        assert!(bad.parse::<Choice>().is_err(), "{bad}");
    }
    assert!(load(&Choice::BookCrossing, None).unwrap_err().to_string().contains("--path"));
}
