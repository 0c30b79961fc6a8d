//! Stories of erasure: what goes, what is as if it had never been, and what does not come back.

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::policy::Consent;
use bailiwick_proto::store::users_command::Change;
use bailiwick_proto::store::{TombstoneRow, UsersCommand, UsersRefusal};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::schema::RowKind;
use super::testing::{NOW, Replica, bytes_of, event, person};
use super::*;
use crate::raft::machine::Row;

const DAY: i64 = 86_400_000;

fn wish(receipt: u8) -> Erase {
    Erase { receipt: [receipt; 32], holder: [9; 32], learnable: true }
}

/// A wish of p0 to be erased, as of `now`.
fn erasing(replica: &Replica, receipt: u8, now: impl Into<When>) -> Bytes {
    bytes_of(replica.builder.erase(&person("p0"), &wish(receipt), now).unwrap())
}

fn apply(replica: &mut Replica, command: &[u8]) -> Result<Applied, Refused> {
    Applied::decode(&replica.apply_raw(command))
}

fn likes(replica: &Replica, who: &str, events: &[NewEvent], when: impl Into<When>) -> Bytes {
    let reader = replica.reader();
    let builder = &replica.builder;
    let who = person(who);
    bytes_of(builder.linked_events(&reader, &who, events, None, Counting::Counted, when).unwrap())
}

fn of_kind(replica: &Replica, kind: RowKind) -> Vec<Row> {
    let rows = replica.rows();
    rows.into_iter().filter(|row| RowKind::of(&row.key) == Some(kind)).collect()
}

/// Rows but for those that an erasure leaves, and the mark of a day that was opened.
fn but_for_traces(replica: &Replica) -> Vec<Row> {
    let left = [RowKind::Tombstone, RowKind::Erasure, RowKind::Salt];
    let rows = replica.rows().into_iter();
    rows.filter(|row| RowKind::of(&row.key).is_some_and(|kind| !left.contains(&kind))).collect()
}

/// Everything that can be of a person.
fn a_whole_life(replica: &mut Replica, who: &str) {
    let reader = replica.reader();
    let key = person(who);
    let granted = ConsentPatch { consent: Some(Consent::Granted), ..ConsentPatch::default() };
    let facts = Facts {
        home: "EU-DE".parse().unwrap(),
        location: "EU-DE".parse().unwrap(),
        service: bailiwick_core::policy::Service::General,
        age_band: bailiwick_core::policy::AgeBand::Adult,
        gpc: bailiwick_core::policy::Gpc::Absent,
    };
    let events = [event("1", "318", "like"), event("2", "13", "block"), event("3", "296", "view")];
    let interests = Interests { categories: vec!["Drama".into()], ..Interests::default() };
    let builder = &replica.builder;
    let commands = [
        builder.put_consent(&reader, &key, granted, NOW),
        builder.put_interests(&reader, &key, &interests, NOW),
        builder.linked_events(&reader, &key, &events, Some(&facts), Counting::Counted, NOW),
        builder.note_slice(&reader, &key, &"us".parse().unwrap(), NOW),
    ];
    let commands: Vec<Bytes> = commands.into_iter().map(|c| bytes_of(c.unwrap())).collect();
    for command in commands {
        apply(replica, &command).unwrap();
    }
}

#[test]
fn every_row_of_a_person_goes() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let alice = person("p0");
    let of_alice = |replica: &Replica| -> Vec<RowKind> {
        let rows = replica.rows();
        let theirs = rows.iter().filter(|row| row.key.windows(32).any(|w| w == alice.as_bytes()));
        theirs.filter_map(|row| RowKind::of(&row.key)).collect()
    };
    let before = of_alice(&replica);
    for kind in RowKind::ALL.into_iter().filter(|kind| kind.goes_with_its_person()) {
        assert!(before.contains(&kind), "{kind:?} is not tried");
    }
    let command = erasing(&replica, 1, NOW.plus(5));
    apply(&mut replica, &command).unwrap();
    assert_eq!(of_alice(&replica), [RowKind::Tombstone]);
    assert_eq!(replica.person("p0"), None);
    assert!(replica.popularity.popular(1, 9).is_empty());
    let kept = read::events(&replica.reader(), &replica.vault, &alice).unwrap();
    let home = bailiwick_core::pinned::Standpoint::attested(replica.vault.home().clone());
    assert_eq!(kept.open(&home).unwrap().len(), 0);
    let receipt = read::erasure(&replica.reader(), &[1; 32]).unwrap().unwrap();
    assert_eq!((receipt.asked, receipt.erased), (NOW.plus(5), NOW.plus(5)));
    assert_eq!((receipt.epoch, receipt.slices), (1, vec![("us".parse().unwrap(), None)]));
}

#[test]
fn the_same_wish_again_changes_nothing() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let command = erasing(&replica, 1, NOW.plus(5));
    apply(&mut replica, &command).unwrap();
    let back = event("9", "318", "like");
    let command_back = likes(&replica, "p0", &[NewEvent { at: NOW.plus(9), ..back }], NOW.plus(9));
    apply(&mut replica, &command_back).unwrap();
    let rows = replica.rows();
    apply(&mut replica, &command).unwrap();
    assert_eq!(replica.rows(), rows, "a wish that comes twice is one");
    let other = erasing(&replica, 2, NOW.plus(12));
    apply(&mut replica, &other).unwrap();
    assert_eq!(replica.person("p0"), None, "another wish is another one");
    assert_eq!(of_kind(&replica, RowKind::Erasure).len(), 2);
    assert_eq!(of_kind(&replica, RowKind::Tombstone).len(), 1);
}

#[test]
fn what_was_made_for_a_life_that_is_over_does_not_bring_its_key_back() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let key_row = of_kind(&replica, RowKind::Key).remove(0);
    // Made by a proposer who knew the old key, and under way while the person is erased.
    let under_way = likes(&replica, "p0", &[event("9", "318", "like")], NOW.plus(9));
    let command = erasing(&replica, 1, NOW.plus(5));
    apply(&mut replica, &command).unwrap();
    let refused = apply(&mut replica, &under_way).unwrap_err();
    assert_eq!(refused.code, UsersRefusal::Erased);
    assert!(of_kind(&replica, RowKind::Key).is_empty());
    // Made anew it counts, since it happened after: a new person, with a new key.
    let after = NewEvent { at: NOW.plus(9), ..event("9", "318", "like") };
    let anew = likes(&replica, "p0", &[after], NOW.plus(9));
    assert_eq!(apply(&mut replica, &anew).unwrap().accepted, 1);
    assert_ne!(of_kind(&replica, RowKind::Key), [key_row]);
    let found = replica.person("p0").unwrap();
    assert_eq!((found.consent.consent, found.profile.explicit.len()), (Consent::None, 1));
    assert!(found.blocked.is_empty() && found.slices.is_empty());
}

#[test]
fn what_is_of_before_comes_too_late() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let erase = erasing(&replica, 1, When { asked: NOW.plus(50), now: NOW.plus(60) });
    apply(&mut replica, &erase).unwrap();
    let at = |id: &str, ms: i64| NewEvent { at: NOW.plus(ms), ..event(id, "318", "like") };
    let past = |replica: &mut Replica, events: &[NewEvent], asked_ms: i64| {
        let when = When { asked: NOW.plus(asked_ms), now: NOW.plus(100) };
        let command = likes(replica, "p0", events, when);
        let applied = apply(replica, &command).unwrap();
        (applied.accepted, applied.past)
    };
    assert_eq!(past(&mut replica, &[at("new", 60)], 70), (0, 1), "it happened before");
    assert_eq!(past(&mut replica, &[at("1", 80)], 80), (0, 1), "its id was erased");
    assert_eq!(past(&mut replica, &[at("new", 80)], 49), (0, 1), "it was sent before");
    assert!(of_kind(&replica, RowKind::Key).is_empty(), "nobody began anew by any of it");
    assert_eq!(past(&mut replica, &[at("new", 80)], 80), (0, 1), "it was refused, and is known");
    assert_eq!(past(&mut replica, &[at("1", 80), at("newer", 80), at("old", 59)], 80), (1, 2));

    let (reader, key) = (replica.reader(), person("p0"));
    let granted = ConsentPatch { consent: Some(Consent::Granted), ..ConsentPatch::default() };
    let late = ConsentPatch { asked: NOW.plus(49), ..granted };
    let timely = ConsentPatch { asked: NOW.plus(51), ..granted };
    let when = |asked| When { asked: NOW.plus(asked), now: NOW.plus(100) };
    let builder = &replica.builder;
    let interests = Interests { categories: vec!["Drama".into()], ..Interests::default() };
    let commands = [
        builder.put_consent(&reader, &key, late, NOW.plus(100)),
        builder.put_interests(&reader, &key, &interests, when(49)),
        builder.put_consent(&reader, &key, timely, NOW.plus(100)),
        builder.put_interests(&reader, &key, &interests, when(51)),
    ];
    let commands: Vec<Bytes> = commands.into_iter().map(|c| bytes_of(c.unwrap())).collect();
    let outcomes: Vec<_> =
        commands.iter().map(|c| apply(&mut replica, c).map_err(|e| e.code)).collect();
    let late = Some(UsersRefusal::Late);
    assert_eq!(
        outcomes.iter().map(|o| o.clone().err()).collect::<Vec<_>>(),
        [late, late, None, None]
    );
}

#[test]
fn a_wish_that_was_held_up_does_not_undo_what_was_chosen_after_it() {
    let mut replica = Replica::new();
    let granted = ConsentPatch {
        consent: Some(Consent::Granted),
        asked: NOW.plus(10),
        ..ConsentPatch::default()
    };
    let reader = replica.reader();
    let put = replica.builder.put_consent(&reader, &person("p0"), granted, NOW.plus(20)).unwrap();
    replica.apply(put).unwrap();
    let wish = |replica: &Replica, receipt, asked| {
        erasing(replica, receipt, When { asked: NOW.plus(asked), now: NOW.plus(30) })
    };
    let late = wish(&replica, 1, 9);
    assert_eq!(apply(&mut replica, &late).unwrap_err().code, UsersRefusal::Late);
    assert!(replica.person("p0").is_some());
    let timely = wish(&replica, 2, 10);
    apply(&mut replica, &timely).unwrap();
    assert_eq!(replica.person("p0"), None);
    let late = wish(&replica, 1, 9);
    assert_eq!(apply(&mut replica, &late).unwrap_err().code, UsersRefusal::Late);
}

#[test]
fn uncounted_events_of_before_are_left_out_and_marks_go_with_their_day() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let command = erasing(&replica, 1, NOW.plus(5));
    apply(&mut replica, &command).unwrap();
    assert_eq!(of_kind(&replica, RowKind::Mark).len(), 3, "three ids are remembered");
    let count = |replica: &mut Replica, events: &[NewEvent], now: UnixMillis| {
        let (reader, key) = (replica.reader(), person("p0"));
        let builder = &replica.builder;
        let command = builder.aggregate_events(&reader, &key, events, Counting::Counted, now);
        let applied = replica.apply(command.unwrap()).unwrap();
        applied.accepted + applied.duplicates
    };
    let at = |id: &str, ms: i64| NewEvent { at: NOW.plus(ms), ..event(id, "318", "like") };
    let sent = [at("1", 9), at("old", 4), at("new", 9)];
    assert_eq!(count(&mut replica, &sent, NOW.plus(9)), 1);
    assert!(!read::unmarked(&replica.reader(), NOW.plus(5)).unwrap());
    count(&mut replica, &[], NOW.plus(DAY));
    assert_eq!(of_kind(&replica, RowKind::Mark).len(), 3, "they last until the next day ends");
    count(&mut replica, &[], NOW.plus(2 * DAY));
    assert!(of_kind(&replica, RowKind::Mark).is_empty());
    assert!(read::unmarked(&replica.reader(), NOW.plus(5)).unwrap());
}

#[test]
fn a_tombstone_and_a_receipt_tell_nothing_of_the_person() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let mut other = Replica::new();
    for replica in [&mut replica, &mut other] {
        let command = erasing(replica, 1, NOW.plus(5));
        apply(replica, &command).unwrap();
    }
    // Of somebody who did much and of somebody unknown, but for its place in the log and its key.
    let bare = |replica: &Replica| {
        let row = of_kind(replica, RowKind::Tombstone).remove(0);
        let row = TombstoneRow::decode(&row.value[..]).unwrap();
        (TombstoneRow { life: 0, marks: None, ..row.clone() }, row.encoded_len())
    };
    assert_eq!(bare(&replica), bare(&other));
    let alice = person("p0");
    let receipts = of_kind(&replica, RowKind::Erasure);
    let names = |bytes: &Bytes| bytes.windows(32).any(|window| window == alice.as_bytes());
    assert!(receipts.iter().all(|row| !names(&row.key) && !names(&row.value)));
}

#[test]
fn what_is_not_a_wish_is_refused() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let rows = replica.rows();
    let good = UsersCommand::decode(erasing(&replica, 1, NOW)).unwrap();
    let mut check = |change: fn(&mut bailiwick_proto::store::ErasePerson), code: UsersRefusal| {
        let mut command = good.clone();
        if let Some(Change::Erase(erase)) = &mut command.change {
            change(erase);
        }
        let bytes = command.encode_to_vec();
        assert_eq!(apply(&mut replica, &bytes).unwrap_err().code, code);
        assert!(admit(&replica.vault, &bytes).is_err());
    };
    check(|e| e.row_key.truncate(31), UsersRefusal::Malformed);
    check(|e| e.receipt.clear(), UsersRefusal::Malformed);
    check(|e| e.holder.clear(), UsersRefusal::Malformed);
    check(|e| e.marks = None, UsersRefusal::Malformed);
    check(|e| e.marks.as_mut().unwrap().sealed[0] ^= 1, UsersRefusal::Sealed);
    assert_eq!(replica.rows(), rows);
}

#[test]
fn a_slice_is_noted_as_erased_once() {
    let mut replica = Replica::new();
    a_whole_life(&mut replica, "p0");
    let command = erasing(&replica, 1, NOW.plus(5));
    apply(&mut replica, &command).unwrap();
    for ms in [7, 8] {
        let us = "us".parse().unwrap();
        let note = bytes_of(replica.builder.note_erased(&[1; 32], &us, NOW.plus(ms)));
        apply(&mut replica, &note).unwrap();
    }
    let receipt = read::erasure(&replica.reader(), &[1; 32]).unwrap().unwrap();
    assert_eq!(receipt.slices, [("us".parse().unwrap(), Some(NOW.plus(7)))]);
    let note = bytes_of(replica.builder.note_erased(&[2; 32], &"us".parse().unwrap(), NOW));
    assert_eq!(apply(&mut replica, &note).unwrap_err().code, UsersRefusal::Malformed);
}

/// Some events of a few people on a few items, over some days.
fn some_events(days: i64) -> impl Strategy<Value = Vec<(u8, i64, NewEvent)>> {
    let one = (0..3_u8, 0..4_u8, 0..9_usize, 0..days);
    prop::collection::vec(one, 1..16).prop_map(|list| {
        let events = list.into_iter().enumerate().map(|(n, (who, item, kind, day))| {
            let kind = EventKind::ALL[kind];
            let mut event = event(&format!("e{n}"), &format!("i{item}"), kind.as_str());
            event.at = NOW.plus(day * DAY);
            (who, day, event)
        });
        events.collect()
    })
}

/// Two replicas of one log: in the second, the commands of p0 never were.
fn with_and_without(events: &[(u8, i64, NewEvent)]) -> (Replica, Replica) {
    let (mut with, mut without) = (Replica::new(), Replica::new());
    for (who, day, event) in events {
        let when = NOW.plus(day * DAY);
        let command = likes(&with, &format!("p{who}"), std::slice::from_ref(event), when);
        with.apply_raw(&command);
        without.apply_raw(if *who == 0 { b"" } else { &command });
    }
    let command = erasing(&with, 1, NOW.plus(30 * DAY));
    with.apply_raw(&command);
    without.apply_raw(b"");
    // Marks of erased ids go when the day after the next begins.
    let command = with.builder.aggregate_events(
        &with.reader(),
        &person("p9"),
        &[],
        Counting::Counted,
        NOW.plus(32 * DAY),
    );
    let command = bytes_of(command.unwrap());
    with.apply_raw(&command);
    without.apply_raw(&command);
    (with, without)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// After an erasure the tree is, to the byte, that of a group in which the person never was, but for the tombstone
    /// and the receipt.
    #[test]
    fn an_erased_person_never_was(events in some_events(1)) {
        let (with, without) = with_and_without(&events);
        prop_assert_eq!(but_for_traces(&with), but_for_traces(&without));
        prop_assert_eq!(with.popularity.popular(1, 99), without.popularity.popular(1, 99));
    }

    /// Counters of several days fade, which rounds: there the same items have the same people, and weights are equal
    /// but for the last bits.
    #[test]
    fn over_days_counters_are_as_if_the_person_never_was(events in some_events(25)) {
        let (with, without) = with_and_without(&events);
        let but_counters = |replica: &Replica| -> Vec<Row> {
            let counter = |row: &Row| RowKind::of(&row.key) == Some(RowKind::Counter);
            but_for_traces(replica).into_iter().filter(|row| !counter(row)).collect()
        };
        prop_assert_eq!(but_counters(&with), but_counters(&without));
        for k in 1..3 {
            let sorted = |replica: &Replica| {
                let mut all = replica.popularity.popular(k, 99);
                all.sort_by(|a, b| a.0.cmp(&b.0));
                all
            };
            let (found, expected) = (sorted(&with), sorted(&without));
            prop_assert_eq!(found.len(), expected.len());
            // What is popular as of the newest day counted on: only how weights relate to each other means something.
            let ratio = found.first().zip(expected.first()).map_or(1.0, |(a, b)| a.1 / b.1);
            for (a, b) in found.iter().zip(&expected) {
                prop_assert_eq!(&a.0, &b.0);
                prop_assert!((a.1 / (b.1 * ratio) - 1.0).abs() < 1e-9, "{:?} {:?}", a, b);
            }
        }
    }
}
