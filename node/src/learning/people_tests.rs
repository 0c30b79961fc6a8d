//! Who may be learned from: minors, those without consent, and the unknown leave no trace.

use std::sync::Arc;

use bailiwick_core::ids::{Jurisdiction, UnixMillis};
use bailiwick_core::learning::{Interactions, Round, Share, Training, TrainingOptions};
use bailiwick_core::pinned::Standpoint;
use bailiwick_core::policy::{
    AgeBand, Applicable, Candidate, Consent, Gpc, PackFile, PackSet, Service, Toggle, decide_under,
};

use super::*;
use crate::users::testing::{NOW, Replica, bytes_of, event, person};
use crate::users::{ConsentPatch, ConsentState, Counting, Erase, Facts, NewEvent};

const PACKS: [&str; 4] = [
    include_str!("../../../deploy/policies/EU.toml"),
    include_str!("../../../deploy/policies/EU-DE.toml"),
    include_str!("../../../deploy/policies/US.toml"),
    include_str!("../../../deploy/policies/US-CA.2026.toml"),
];

fn packs() -> PackSet {
    let read = |text: &str| Candidate::Read(Arc::new(PackFile::parse(text).unwrap()));
    PackSet::lenient(PACKS.map(read)).0
}

fn facts(age_band: AgeBand) -> Facts {
    Facts {
        home: "EU-DE".parse().unwrap(),
        location: "EU-DE".parse().unwrap(),
        service: Service::General,
        age_band,
        gpc: Gpc::Absent,
    }
}

/// Records six likes of a person, and what they chose.
fn add(replica: &mut Replica, who: &str, at: usize, facts: Option<&Facts>, chose: ConsentPatch) {
    let (reader, key) = (replica.reader(), person(who));
    let command = replica.builder.put_consent(&reader, &key, chose, NOW).unwrap();
    replica.apply(command).unwrap();
    let like =
        |n: usize| event(&format!("{who}-{n}"), &format!("i{:02}", (at * 3 + n * n) % 20), "like");
    let earlier = UnixMillis(NOW.0 - 1000);
    let likes: Vec<_> = (0..6).map(|n| NewEvent { at: earlier, ..like(n) }).collect();
    let command = replica
        .builder
        .linked_events(&reader, &key, &likes, facts, Counting::Counted, NOW)
        .unwrap();
    replica.apply(command).unwrap();
}

fn choice(consent: Consent) -> ConsentPatch {
    ConsentPatch { consent: Some(consent), ..ConsentPatch::default() }
}

/// Thirty adults who consented.
fn adults() -> Replica {
    let mut replica = Replica::new();
    for at in 0..30 {
        let who = format!("adult-{at}");
        add(&mut replica, &who, at, Some(&facts(AgeBand::Adult)), choice(Consent::Granted));
    }
    replica
}

fn read(replica: &Replica) -> Interactions {
    read_by(replica, packs(), None, None)
}

/// By these packs, where sums tell `told` of each, and some have left.
fn read_by(
    replica: &Replica,
    packs: PackSet,
    told: Option<f64>,
    leavers: Option<Leavers<'_>>,
) -> Interactions {
    let order = ItemOrder::new((0..20).map(|n| format!("i{n:02}").parse().unwrap()).collect());
    let here = Standpoint::attested("eu".parse().unwrap());
    let day = NOW.day().unwrap().checked_add(jiff::Span::new().years(2)).unwrap();
    let law = |home: &Jurisdiction| -> Applicable { packs.applicable(home, home, day) };
    let groups = [Rows { reader: replica.reader(), vault: replica.vault.clone() }];
    let permits =
        |person: &crate::users::Learnable| permitted(&law(&person.facts.home), person, &here, told);
    let people = interactions(&groups, &here, &order, 100, &permits, leavers).unwrap();
    people.unpin(&here).unwrap()
}

fn share(people: &Interactions) -> Share {
    let options = TrainingOptions { dimensions: 16, ..TrainingOptions::default() };
    let census = bailiwick_core::learning::Census { people: 30, pairs: 180 };
    let training = Training::start(options, 20, census).unwrap();
    let round: Round = training.round().unwrap();
    round.share(people, training.model(), &round.groups(people)).unwrap()
}

#[test]
fn who_may_not_be_learned_from_leaves_no_trace() {
    let expected = share(&read(&adults()));
    assert_eq!(expected.counts().people, 30.0, "the adults are there");

    let mut replica = adults();
    let adult = facts(AgeBand::Adult);
    let off = ConsentPatch { toggle: Some(Toggle::Off), ..choice(Consent::Granted) };
    let abroad = Facts { home: "US-CA".parse().unwrap(), ..adult.clone() };
    let unknown_place = Facts { home: "XX-YY".parse().unwrap(), ..adult.clone() };
    let (teen, child) = (facts(AgeBand::SixteenSeventeen), facts(AgeBand::UpTo11));
    let unknown = facts(AgeBand::Unknown);
    let others = [
        ("teen", Some(&teen), choice(Consent::Granted)),
        ("child", Some(&child), choice(Consent::Parental)),
        ("of-unknown-age", Some(&unknown), choice(Consent::None)),
        ("never-asked", Some(&adult), choice(Consent::None)),
        ("refused", Some(&adult), choice(Consent::Refused)),
        ("withdrawn", Some(&adult), choice(Consent::Withdrawn)),
        ("switched-off", Some(&adult), off),
        ("visitor", Some(&abroad), choice(Consent::Granted)),
        ("of-no-known-place", Some(&unknown_place), choice(Consent::Granted)),
        ("of-before-facts-were-kept", None, choice(Consent::Granted)),
    ];
    for (at, (who, facts, chose)) in (50..).zip(others) {
        add(&mut replica, who, at, facts, chose);
        assert_eq!(share(&read(&replica)), expected, "{who} left a trace");
    }

    // The measure sees a trace where there is one, and that it goes with consent.
    add(&mut replica, "late", 7, Some(&adult), choice(Consent::Granted));
    assert_ne!(share(&read(&replica)), expected, "a trace is not seen");
    let (reader, late) = (replica.reader(), person("late"));
    let gone = replica.builder.put_consent(&reader, &late, choice(Consent::Withdrawn), NOW);
    replica.apply(gone.unwrap()).unwrap();
    assert_eq!(share(&read(&replica)), expected, "withdrawn, and still learned from");
}

/// Two models may not differ by the few who withdrew between them.
#[test]
fn who_leaves_is_not_the_only_one_missing() {
    let since = Some(UnixMillis(NOW.0 - 500));
    let count = |replica: &Replica, run: &[u8], since, least| {
        read_by(replica, packs(), None, Some(Leavers { since, run, least })).people()
    };
    let mut replica = adults();
    assert_eq!(count(&replica, b"run", since, 10), 30, "nobody left");
    let (reader, one) = (replica.reader(), person("adult-3"));
    let gone = replica.builder.put_consent(&reader, &one, choice(Consent::Withdrawn), NOW);
    replica.apply(gone.unwrap()).unwrap();
    assert_eq!(count(&replica, b"run", since, 10), 20, "nine others are missing too");
    assert_eq!(count(&replica, b"run", since, 1), 29, "one is enough");
    assert_eq!(count(&replica, b"run", since, 50), 0, "there are not so many");
    assert_eq!(count(&replica, b"run", None, 10), 29, "there is no model before");
    let later = Some(UnixMillis(NOW.0 + 500));
    assert_eq!(count(&replica, b"run", later, 10), 29, "they left before it was learned");
    let rows = |run: &[u8]| {
        let leavers = Some(Leavers { since, run, least: 10 });
        let people = read_by(&replica, packs(), None, leavers);
        people.tagged().map(|(tag, _)| tag).collect::<Vec<_>>()
    };
    assert_eq!(rows(b"run"), rows(b"run"), "a session that begins anew leaves out the same");
    assert_ne!(rows(b"run"), rows(b"other"), "each run leaves out others");
}

fn erase(replica: &mut Replica, who: &str, receipt: u8, learnable: bool, at: UnixMillis) {
    let wish = Erase { receipt: [receipt; 32], holder: [0; 32], learnable };
    let command = replica.builder.erase(&person(who), &wish, at).unwrap();
    replica.apply(command).unwrap();
}

/// What a domain gives of its people does not tell that somebody was there who was erased.
#[test]
fn who_is_erased_leaves_no_trace() {
    let expected = share(&read(&adults()));
    let mut replica = adults();
    let adult = facts(AgeBand::Adult);
    for (at, who) in [(7, "late"), (3, "later")] {
        add(&mut replica, who, at, Some(&adult), choice(Consent::Granted));
    }
    assert_ne!(share(&read(&replica)), expected, "a trace is not seen");
    erase(&mut replica, "late", 1, true, NOW);
    assert_ne!(share(&read(&replica)), expected, "the other one is still there");
    erase(&mut replica, "later", 2, true, NOW);
    assert_eq!(share(&read(&replica)), expected, "erased, and still learned from");
    // Who comes back is learned from by what they do from then on, and by nothing else.
    let (reader, late) = (replica.reader(), person("late"));
    let after = NOW.plus(1);
    let command = replica.builder.put_consent(&reader, &late, choice(Consent::Granted), after);
    replica.apply(command.unwrap()).unwrap();
    assert_eq!(share(&read(&replica)), expected);
}

/// Nor do two models: who was erased between them is missing with others, as who withdrew is.
#[test]
fn who_is_erased_is_not_the_only_one_missing() {
    let since = Some(UnixMillis(NOW.0 - 500));
    let count = |replica: &Replica, since, least| {
        read_by(replica, packs(), None, Some(Leavers { since, run: b"run", least })).people()
    };
    let mut replica = adults();
    erase(&mut replica, "nobody", 1, false, NOW);
    assert_eq!(count(&replica, since, 10), 30, "who took nothing was in no model");
    erase(&mut replica, "adult-3", 2, true, NOW);
    assert_eq!(count(&replica, since, 10), 20, "nine others are missing too");
    assert_eq!(count(&replica, since, 1), 29, "one is enough");
    assert_eq!(count(&replica, None, 10), 29, "there is no model before");
    assert_eq!(count(&replica, Some(NOW), 10), 29, "it was before the model was learned");
    // With one who withdrew they are two together.
    let (reader, one) = (replica.reader(), person("adult-4"));
    let gone = replica.builder.put_consent(&reader, &one, choice(Consent::Withdrawn), NOW);
    replica.apply(gone.unwrap()).unwrap();
    assert_eq!(count(&replica, since, 10), 20, "eight others are missing too");
    // Who withdrew before they were erased may have been in the model: others must be missing, but they fill up no
    // number, since it is not known.
    let mut replica = adults();
    erase(&mut replica, "adult-5", 3, false, NOW);
    assert_eq!(count(&replica, since, 10), 19, "ten others are missing too");
}

/// Where a pack bounds what sums may tell of a person, they are in none that tell more.
#[test]
fn a_pack_bounds_what_sums_tell() {
    let bounded = PACKS[0].replace("[ranking]", "[ranking]\ndp_epsilon_max = 4.0");
    assert_ne!(bounded, PACKS[0], "the pack has a table for it");
    let read_packs = || {
        let texts = [&bounded, PACKS[1], PACKS[2], PACKS[3]];
        let read = |text: &str| Candidate::Read(Arc::new(PackFile::parse(text).unwrap()));
        PackSet::lenient(texts.map(read)).0
    };
    let replica = adults();
    let people = |told| read_by(&replica, read_packs(), told, None).people();
    assert_eq!([people(Some(3.9)), people(Some(4.1)), people(None)], [30, 0, 0]);
}

/// A counter has no noise, so that it tells more of a person than any bound lets it.
#[test]
fn a_pack_bounds_what_popularity_tells() {
    let bounded = PACKS[0].replace("[ranking]", "[ranking]\ndp_epsilon_max = 4.0");
    let counting = |text: &str| {
        let texts = [text, PACKS[1], PACKS[2], PACKS[3]];
        let read = |text: &str| Candidate::Read(Arc::new(PackFile::parse(text).unwrap()));
        let (packs, _) = PackSet::lenient(texts.map(read));
        let home = "EU-DE".parse().unwrap();
        let law = packs.applicable(&home, &home, NOW.day().unwrap());
        let asking = facts(AgeBand::Adult).asking(&ConsentState::default());
        Counting::of(&decide_under(&law, &asking))
    };
    assert_eq!(counting(PACKS[0]), Counting::Counted);
    assert_eq!(counting(&bounded), Counting::Uncounted);
}

/// What is disliked was not taken, and the newest items of a person count.
#[test]
fn a_person_counts_with_what_they_liked_and_within_bounds() {
    let mut replica = Replica::new();
    let adult = facts(AgeBand::Adult);
    add(&mut replica, "anna", 0, Some(&adult), choice(Consent::Granted));
    let dislike = [event("d", "i04", "dislike"), event("v", "i09", "view")];
    replica.record("anna", &dislike);
    let people = read(&replica);
    assert_eq!(people.rows().collect::<Vec<_>>(), [&[0, 1, 5, 9, 16]]);
}

/// The facts are as sealed as all that is a person's.
#[test]
fn facts_are_kept_sealed_and_once() {
    let mut replica = Replica::new();
    let adult = facts(AgeBand::Adult);
    add(&mut replica, "anna", 0, Some(&adult), choice(Consent::Granted));
    let rows = replica.rows();
    assert!(rows.iter().all(|row| !row.value.windows(5).any(|part| part == b"EU-DE")));
    let (reader, anna) = (replica.reader(), person("anna"));
    let again = [event("again", "i01", "like")];
    let command =
        replica.builder.linked_events(&reader, &anna, &again, Some(&adult), Counting::Counted, NOW);
    let bytes = bytes_of(command.unwrap());
    assert!(!bytes.windows(5).any(|part| part == b"EU-DE"));
    replica.apply_raw(&bytes);
    let found = crate::users::read::facts(&replica.reader(), &replica.vault, &anna).unwrap();
    let here = Standpoint::attested("eu".parse().unwrap());
    assert_eq!(found.unwrap().unpin(&here).unwrap(), adult);
}
