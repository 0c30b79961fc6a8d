//! Stories of a users group: what is stored, for whom, and what can't be found.

use std::sync::Arc;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::kind::Kind;
use bailiwick_core::policy::{Consent, Toggle};
use bailiwick_proto::store::users_command::Change;
use bailiwick_proto::store::{UsersCommand, UsersRefusal};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::schema::RowKind;
use super::testing::{NOW, Replica, bytes_of, event, person, vault_with};
use super::*;
use crate::seal::SealError;

const DAY: i64 = 86_400_000;

fn consent(consent: Consent) -> ConsentPatch {
    ConsentPatch { consent: Some(consent), ..ConsentPatch::default() }
}

fn kinds(replica: &Replica) -> Vec<RowKind> {
    replica.rows().iter().filter_map(|row| RowKind::of(&row.key)).collect()
}

#[test]
fn choices_are_kept_and_absent_ones_stay() {
    let mut replica = Replica::new();
    let put = |replica: &mut Replica, patch| {
        let reader = replica.reader();
        let command = replica.builder.put_consent(&reader, &person("alice"), patch, NOW).unwrap();
        replica.apply(command).unwrap().consent.unwrap()
    };
    assert_eq!(put(&mut replica, consent(Consent::Granted)).revision, 1);
    let off = ConsentPatch { toggle: Some(Toggle::Off), ..ConsentPatch::default() };
    let after = put(&mut replica, off);
    assert_eq!((after.consent, after.toggle, after.revision), (Consent::Granted, Toggle::Off, 2));
    assert_eq!(put(&mut replica, off).revision, 2, "what changes nothing is no change");
    assert_eq!(replica.person("alice").unwrap().consent, after);
    assert_eq!(replica.person("bob"), None);
}

#[test]
fn a_choice_that_comes_late_does_not_undo_a_later_one() {
    let mut replica = Replica::new();
    let mut put = |choice, asked_before_ms: i64| {
        let patch = ConsentPatch { asked: NOW.plus(-asked_before_ms), ..consent(choice) };
        let reader = replica.reader();
        let command = replica.builder.put_consent(&reader, &person("alice"), patch, NOW).unwrap();
        replica.apply(command).map(|applied| applied.consent.unwrap().consent)
    };
    assert_eq!(put(Consent::Granted, 9_000), Ok(Consent::Granted));
    assert_eq!(put(Consent::Refused, 1_000), Ok(Consent::Refused));
    let late = put(Consent::Granted, 5_000).unwrap_err();
    assert_eq!((late.code, late.kind()), (UsersRefusal::Late, Kind::Stale));
    assert_eq!(put(Consent::Refused, 1_000), Ok(Consent::Refused), "asked again, it is the same");
    // The clock of one edge is an hour ahead: others are heard nevertheless.
    assert_eq!(put(Consent::Granted, -3_600_000), Ok(Consent::Granted));
    assert_eq!(put(Consent::Withdrawn, 0), Ok(Consent::Withdrawn));
}

#[test]
fn events_feed_the_profile_once() {
    let mut replica = Replica::new();
    let events = [
        event("1", "318", "rate"),
        event("2", "318", "view"),
        event("3", "296", "impression"),
        event("4", "13", "block"),
        event("1", "999", "like"),
    ];
    let applied = replica.record("alice", &events);
    assert_eq!((applied.accepted, applied.duplicates), (4, 1));
    let before = replica.person("alice").unwrap();
    assert_eq!((before.profile.explicit.len(), before.profile.behaviour.len()), (2, 1));
    assert_eq!(before.blocked[0].item.as_str(), "13");
    let applied = replica.record("alice", &events);
    assert_eq!((applied.accepted, applied.duplicates), (0, 5));
    assert_eq!(replica.person("alice").unwrap(), before);
    let kept = read::events(&replica.reader(), &replica.vault, &person("alice")).unwrap();
    let home = bailiwick_core::pinned::Standpoint::attested(replica.vault.home().clone());
    assert_eq!(kept.open(&home).unwrap().len(), 4);
}

#[test]
fn a_time_in_the_future_counts_as_now() {
    let mut replica = Replica::new();
    let late = NewEvent { at: UnixMillis(i64::MAX), ..event("1", "318", "like") };
    replica.record("alice", &[late]);
    assert_eq!(replica.person("alice").unwrap().profile.explicit[0].at, NOW);
}

#[test]
fn interests_and_slices_are_kept() {
    let mut replica = Replica::new();
    let interests = Interests { categories: vec!["Drama".into()], ..Interests::default() };
    let reader = replica.reader();
    let alice = person("alice");
    let put = replica.builder.put_interests(&reader, &alice, &interests, NOW).unwrap();
    replica.apply(put).unwrap();
    for _ in 0..2 {
        let us = "us".parse().unwrap();
        let note = replica.builder.note_slice(&reader, &alice, &us, NOW).unwrap();
        replica.apply(note).unwrap();
    }
    let found = replica.person("alice").unwrap();
    assert_eq!(found.interests, interests);
    assert_eq!(found.slices, ["us".parse().unwrap()]);
    let home = replica.builder.note_slice(&reader, &alice, &"eu".parse().unwrap(), NOW).unwrap();
    assert_eq!(replica.apply(home).unwrap_err().code, UsersRefusal::Malformed);
}

#[test]
fn two_first_commands_race_and_both_count() {
    // Both were sealed under keys of their own, since neither proposer saw the other's.
    let mut replica = Replica::new();
    let reader = replica.reader();
    let alice = person("alice");
    let build = |events: &[NewEvent]| {
        replica.builder.linked_events(&reader, &alice, events, None, Counting::Counted, NOW)
    };
    let one = build(&[event("1", "318", "like")]).unwrap();
    let two = build(&[event("2", "296", "like"), event("1", "318", "like")]).unwrap();
    replica.apply(one).unwrap();
    let applied = replica.apply(two).unwrap();
    assert_eq!((applied.accepted, applied.duplicates), (1, 1));
    assert_eq!(replica.person("alice").unwrap().profile.explicit.len(), 2);
}

#[test]
fn ten_thousand_blocks_stay_and_the_bound_refuses_rather_than_forgets() {
    let mut replica = Replica::new();
    for round in 0..11 {
        let blocks: Vec<_> = (0..1000)
            .map(|n| {
                event(&format!("{round}-{n}"), &format!("{:0>128}", round * 1000 + n), "block")
            })
            .collect();
        let reader = replica.reader();
        let command = replica.builder.linked_events(
            &reader,
            &person("alice"),
            &blocks,
            None,
            Counting::Counted,
            NOW,
        );
        let outcome = replica.apply(command.unwrap());
        if round < 10 {
            assert_eq!(outcome.unwrap().accepted, 1000);
        } else {
            assert_eq!(outcome.unwrap_err().code, UsersRefusal::Full);
        }
    }
    assert_eq!(replica.person("alice").unwrap().blocked.len(), 10_000);
    let largest = replica.rows().iter().map(|row| row.value.len()).max().unwrap();
    assert!(largest <= bailiwick_core::limits::VALUE_BYTES_MAX, "{largest}");
}

#[test]
fn nothing_personal_stands_in_commands_or_rows() {
    let canaries = ["canary-subject", "canary-item", "canary-event", "canary-log", "Canary-Drama"];
    let mut replica = Replica::new();
    let who = person("canary-subject");
    // A disliked item counts nowhere, so not even a counter may name it.
    let mut disliked = event("canary-event", "canary-item", "dislike");
    disliked.log_id = Some("canary-log".into());
    let blocked = event("canary-event-2", "canary-item-2", "block");
    let interests = Interests { categories: vec!["Canary-Drama".into()], ..Interests::default() };
    let reader = replica.reader();
    let builder = &replica.builder;
    let commands = [
        builder.linked_events(
            &reader,
            &who,
            &[disliked.clone(), blocked],
            None,
            Counting::Counted,
            NOW,
        ),
        builder.put_interests(&reader, &who, &interests, NOW),
        builder.put_consent(&reader, &who, consent(Consent::Withdrawn), NOW),
        builder.aggregate_events(&reader, &who, &[disliked], Counting::Counted, NOW),
    ];
    let commands: Vec<Bytes> = commands.into_iter().map(|c| bytes_of(c.unwrap())).collect();
    for command in &commands {
        Applied::decode(&replica.apply_raw(command)).unwrap();
    }
    assert!(replica.person("canary-subject").is_some());
    let rows = replica.rows();
    let everything = rows.iter().flat_map(|row| [&row.key, &row.value]).chain(&commands);
    for bytes in everything {
        for canary in canaries.iter().chain(&["withdrawn", "dislike"]) {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} stands in {bytes:?}");
        }
    }
}

#[test]
fn a_counter_names_an_item_and_no_person() {
    let mut replica = Replica::new();
    replica.record("alice", &[event("1", "318", "like"), event("2", "318", "view")]);
    replica.record("alice", &[event("3", "318", "play")]);
    replica.record("bob", &[event("1", "318", "view"), event("2", "296", "dislike")]);
    assert_eq!(replica.popularity.popular(2, 9).len(), 1, "two people, however often");
    assert!(replica.popularity.popular(3, 9).is_empty());
    assert_eq!(kinds(&replica).iter().filter(|kind| **kind == RowKind::Counter).count(), 1);
    let anew = Popularity::default();
    anew.reload(&replica.reader());
    assert_eq!(anew.popular(1, 9), replica.popularity.popular(1, 9));
}

#[test]
fn another_persons_row_does_not_open() {
    let mut replica = Replica::new();
    replica.record("alice", &[event("1", "318", "like")]);
    let rows = replica.rows();
    let (alice, bob) = (person("alice"), person("bob"));
    // A thief with a disk, or a bug, moves alice's rows under bob's key.
    let reader = replica.reader();
    let key = reader.get(&RowKind::Key.of_person(0, &alice)).unwrap().unwrap();
    let wrapped = Vault::wrapped_in(&key).unwrap();
    assert!(replica.vault.unwrap_person(&alice, &wrapped).is_ok());
    let moved = replica.vault.unwrap_person(&bob, &wrapped).unwrap_err();
    assert!(matches!(moved, SealError::Unopened { .. }), "{moved}");
    // And within alice's rows: a profile is no consent.
    let data_key = replica.vault.unwrap_person(&alice, &wrapped).unwrap();
    let profile = RowKind::Profile.of_person(0, &alice);
    let row = rows.iter().find(|row| *row.key == profile).unwrap();
    let open = |at: &[u8]| {
        replica.vault.open::<bailiwick_proto::store::ProfileRow>(&data_key, at, &row.value).is_ok()
    };
    assert!(open(&profile));
    assert!(!open(&RowKind::Consent.of_person(0, &alice)));
    assert!(!open(&RowKind::Profile.of_person(0, &bob)));
}

#[test]
fn a_command_for_another_group_or_person_is_refused() {
    let mut replica = Replica::new();
    let reader = replica.reader();
    let other = Builder::new(vault_with("users-eu-1", &[(1, 1)]));
    let events = [event("1", "318", "like")];
    let astray = other
        .linked_events(&reader, &person("alice"), &events, None, Counting::Counted, NOW)
        .unwrap();
    assert_eq!(replica.apply(astray).unwrap_err().code, UsersRefusal::Sealed);
    let command = replica
        .builder
        .linked_events(&reader, &person("alice"), &events, None, Counting::Counted, NOW)
        .unwrap();
    let mut swapped = UsersCommand::decode(bytes_of(command)).unwrap();
    if let Some(Change::Person(change)) = &mut swapped.change {
        change.row_key = person("bob").as_bytes().to_vec();
    }
    let outcome = Applied::decode(&replica.apply_raw(&swapped.encode_to_vec()));
    assert_eq!(outcome.unwrap_err().code, UsersRefusal::Sealed);
    assert!(replica.rows().is_empty(), "what is refused leaves nothing");
}

#[test]
fn a_replica_without_the_key_stops_rather_than_differ() {
    let mut replica = Replica::new();
    for (epochs, expected) in [([(2, 2)], "no key for epoch 1"), ([(1, 9)], "wrong key file")] {
        let mut lacking = Replica::with(vault_with("users-eu-0", &epochs));
        let reader = replica.reader();
        let events = [event("1", "318", "like")];
        let command = replica.builder.linked_events(
            &reader,
            &person("alice"),
            &events,
            None,
            Counting::Counted,
            NOW,
        );
        let command = bytes_of(command.unwrap());
        let refusal = admit(&lacking.vault, &command).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lacking.apply_raw(&command);
        }));
        let said = stopped.unwrap_err().downcast::<String>().unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(lacking.rows().is_empty());
        assert!(admit(&replica.vault, &command).is_ok());
        assert_eq!(replica.apply_raw(&command), Replica::new().apply_raw(&command));
        replica = Replica::new();
    }
}

#[test]
fn what_is_not_a_command_is_refused() {
    let mut replica = Replica::new();
    let reader = replica.reader();
    let command = replica.builder.put_consent(&reader, &person("a"), consent(Consent::None), NOW);
    let good = UsersCommand::decode(bytes_of(command.unwrap())).unwrap();
    let mut check = |change: fn(&mut UsersCommand), code: UsersRefusal| {
        let mut command = good.clone();
        change(&mut command);
        let outcome = Applied::decode(&replica.apply_raw(&command.encode_to_vec()));
        assert_eq!(outcome.map_err(|refused| refused.code), Err(code), "{command:?}");
    };
    fn person_change(command: &mut UsersCommand) -> &mut bailiwick_proto::store::PersonChange {
        match &mut command.change {
            Some(Change::Person(change)) => change,
            _ => unreachable!("it is a person's"),
        }
    }
    check(|c| c.format = 0, UsersRefusal::Malformed);
    check(|c| c.format = 2, UsersRefusal::Newer);
    check(|c| c.tenant = 1, UsersRefusal::Malformed);
    check(|c| c.at_ms = -1, UsersRefusal::Malformed);
    check(|c| c.change = None, UsersRefusal::Malformed);
    check(|c| person_change(c).row_key.truncate(31), UsersRefusal::Malformed);
    check(|c| person_change(c).key = None, UsersRefusal::Malformed);
    check(|c| person_change(c).body = None, UsersRefusal::Malformed);
    check(|c| person_change(c).body.as_mut().unwrap().nonce.clear(), UsersRefusal::Sealed);
    check(|c| person_change(c).body.as_mut().unwrap().sealed.truncate(3), UsersRefusal::Sealed);
    check(|c| person_change(c).key.as_mut().unwrap().sealed[0] ^= 1, UsersRefusal::Sealed);
    assert!(replica.rows().is_empty());
}

/// Counters have no noise. Whoever's law bounds what sums may tell of them is in none, and is remembered all the same;
/// if the bound falls, what they do from then on counts.
#[test]
fn whose_law_bounds_what_sums_tell_is_not_counted() {
    let mut replica = Replica::new();
    let like = [event("1", "318", "like")];
    replica.record("alice", &like);
    let linked = |replica: &mut Replica, id: &str, counting| {
        let (reader, bob, likes) = (replica.reader(), person("bob"), [event(id, "318", "like")]);
        let command = replica.builder.linked_events(&reader, &bob, &likes, None, counting, NOW);
        replica.apply(command.unwrap()).unwrap()
    };
    assert_eq!(linked(&mut replica, "1", Counting::Uncounted).accepted, 1);
    assert!(replica.popularity.popular(2, 9).is_empty(), "bob counts");
    let anew = Popularity::default();
    anew.reload(&replica.reader());
    assert_eq!(anew.popular(1, 9), replica.popularity.popular(1, 9));
    assert_eq!(replica.person("bob").unwrap().profile.explicit.len(), 1);
    assert_eq!(linked(&mut replica, "1", Counting::Counted).duplicates, 1);
    assert!(replica.popularity.popular(2, 9).is_empty(), "what was not counted is not sent anew");
    linked(&mut replica, "2", Counting::Counted);
    assert_eq!(replica.popularity.popular(2, 9).len(), 1);

    let mut unlinked = Replica::new();
    for who in ["alice", "bob"] {
        let (reader, who) = (unlinked.reader(), person(who));
        let builder = &unlinked.builder;
        let command = builder.aggregate_events(&reader, &who, &like, Counting::Uncounted, NOW);
        assert_eq!(unlinked.apply(command.unwrap()).unwrap().accepted, 1);
    }
    assert!(unlinked.popularity.popular(1, 9).is_empty());
}

fn aggregate(
    replica: &mut Replica,
    subject: &str,
    events: &[NewEvent],
    now: UnixMillis,
) -> Result<Applied, Refused> {
    let reader = replica.reader();
    let command = replica
        .builder
        .aggregate_events(&reader, &person(subject), events, Counting::Counted, now)
        .unwrap();
    replica.apply(command)
}

#[test]
fn a_new_day_destroys_yesterdays_salt_and_marks() {
    let mut replica = Replica::new();
    let like = [event("1", "318", "like")];
    assert_eq!(aggregate(&mut replica, "alice", &like, NOW).unwrap().accepted, 1);
    assert_eq!(aggregate(&mut replica, "alice", &like, NOW).unwrap().duplicates, 1);
    aggregate(&mut replica, "alice", &[event("2", "318", "view")], NOW).unwrap();
    aggregate(&mut replica, "bob", &like, NOW).unwrap();
    assert_eq!(replica.popularity.popular(2, 9).len(), 1, "two people on one day");
    assert!(replica.popularity.popular(3, 9).is_empty());
    let salt = replica.reader().get(&RowKind::Salt.key(0, &[])).unwrap().unwrap();
    let old_marks: Vec<_> = replica.rows().into_iter().map(|row| row.key).collect();

    let tomorrow = NOW.plus(DAY);
    assert_eq!(aggregate(&mut replica, "alice", &like, tomorrow).unwrap().accepted, 1);
    let new_salt = replica.reader().get(&RowKind::Salt.key(0, &[])).unwrap().unwrap();
    assert_ne!(salt, new_salt);
    let left = replica.rows();
    let is_old = |key: &Bytes| RowKind::of(key) == Some(RowKind::Mark) && old_marks.contains(key);
    assert!(!left.iter().any(|row| is_old(&row.key)));
    let wrapped_old = super::vault::decode::<bailiwick_proto::store::SaltRow>(&salt).unwrap();
    let secret = wrapped_old.salt.unwrap().sealed;
    assert!(!left.iter().any(|row| row.value.windows(secret.len()).any(|w| w == secret)));
    assert!(replica.popularity.popular(3, 9).is_empty(), "days are not added up");

    // Nothing goes back to a day that is over, whose marks are gone.
    let late = aggregate(&mut replica, "carol", &like, NOW).unwrap_err();
    assert_eq!(late.code, UsersRefusal::Salt);
}

#[test]
fn an_empty_command_ends_the_day_too() {
    let mut replica = Replica::new();
    aggregate(&mut replica, "alice", &[event("1", "318", "like")], NOW).unwrap();
    aggregate(&mut replica, "alice", &[], NOW.plus(DAY)).unwrap();
    assert!(!kinds(&replica).contains(&RowKind::Mark));
}

#[test]
fn two_salts_of_one_day_race_and_one_wins() {
    let mut replica = Replica::new();
    let reader = replica.reader();
    let build = |who: &str| {
        let events = [event("1", "318", "like")];
        replica
            .builder
            .aggregate_events(&reader, &person(who), &events, Counting::Counted, NOW)
            .unwrap()
    };
    let (one, two) = (build("alice"), build("bob"));
    replica.apply(one).unwrap();
    assert_eq!(replica.apply(two).unwrap_err().code, UsersRefusal::Salt);
    aggregate(&mut replica, "bob", &[event("1", "318", "like")], NOW).unwrap();
    assert_eq!(replica.popularity.popular(2, 9).len(), 1);
}

#[test]
fn an_aggregate_command_is_of_its_own_day() {
    let mut replica = Replica::new();
    let reader = replica.reader();
    let command = replica
        .builder
        .aggregate_events(&reader, &person("a"), &[], Counting::Counted, NOW)
        .unwrap();
    let mut command = UsersCommand::decode(bytes_of(command)).unwrap();
    command.at_ms += DAY;
    let outcome = Applied::decode(&replica.apply_raw(&command.encode_to_vec()));
    assert_eq!(outcome.unwrap_err().code, UsersRefusal::Malformed);
}

/// Some events of a few people on a few items.
fn some_events() -> impl Strategy<Value = Vec<(u8, NewEvent)>> {
    let one = (0..3_u8, 0..6_u8, 0..9_usize, 0..5_i64);
    prop::collection::vec(one, 1..12).prop_map(|list| {
        let events = list.into_iter().enumerate().map(|(n, (who, item, kind, at))| {
            let kind = EventKind::ALL[kind];
            let mut event = event(&format!("e{n}"), &format!("i{item}"), kind.as_str());
            event.at = NOW.plus(-at);
            (who, event)
        });
        events.collect()
    })
}

/// One command an event, each built before any was applied, as racing proposers would.
fn commands(replica: &Replica, events: &[(u8, NewEvent)]) -> Vec<Bytes> {
    let reader = replica.reader();
    let build = |(who, event): &(u8, NewEvent)| {
        let who = person(&format!("p{who}"));
        let one = std::slice::from_ref(event);
        bytes_of(
            replica
                .builder
                .linked_events(&reader, &who, one, None, Counting::Counted, NOW)
                .unwrap(),
        )
    };
    events.iter().map(build).collect()
}

/// What a group knows, without its seals: people, and what it would release.
fn meaning(replica: &Replica) -> (Vec<Option<Person>>, Vec<(bailiwick_core::ids::ItemId, f64)>) {
    let people = (0..3).map(|who| replica.person(&format!("p{who}"))).collect();
    (people, replica.popularity.popular(1, 99))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Replicas that apply the same log hold the same bytes and gave the same answers.
    #[test]
    fn replicas_are_equal_to_the_byte(events in some_events()) {
        let (mut one, mut two) = (Replica::new(), Replica::new());
        for command in commands(&one, &events) {
            prop_assert_eq!(one.apply_raw(&command), two.apply_raw(&command));
        }
        prop_assert_eq!(one.rows(), two.rows());
    }

    /// In whatever order commands arrive, and however often, the group knows the same.
    #[test]
    fn order_and_repetition_do_not_matter(
        events in some_events(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (mut straight, mut shuffled) = (Replica::new(), Replica::new());
        let commands = commands(&straight, &events);
        for command in &commands {
            straight.apply_raw(command);
        }
        for index in &order {
            shuffled.apply_raw(&commands[index.index(commands.len())]);
        }
        for command in commands.iter().rev() {
            shuffled.apply_raw(command);
        }
        prop_assert_eq!(meaning(&straight), meaning(&shuffled));
    }

    /// Whatever bytes come as a command, the group answers, and refuses or holds together.
    #[test]
    fn no_bytes_break_the_machine(
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut replica = Replica::new();
        prop_assert!(Applied::decode(&replica.apply_raw(&noise)).is_err());
        let good = commands(&replica, &[(0, event("1", "318", "like"))]).remove(0);
        let mut bad = good.to_vec();
        bad[at.index(good.len())] = with;
        // A changed epoch number or check names a key that this node lacks: kept out by `admit`.
        let lacking = |error: &BuildError| matches!(error, BuildError::Seal(e) if e.is_local());
        if !admit(&replica.vault, &bad).is_err_and(|error| lacking(&error)) {
            let _answered = replica.apply_raw(&bad);
        }
        let _answered = replica.apply_raw(&good);
        prop_assert!(replica.person("p0").is_some());
    }
}

#[test]
fn a_vault_is_for_people() {
    let ring = Arc::new(
        crate::seal::EpochRing::new(
            &[(1, crate::seal::Secret::new([1; 32]))].into(),
            Box::new(ring::rand::SystemRandom::new()),
        )
        .unwrap(),
    );
    assert!(Vault::new("catalog-0".parse().unwrap(), ring).is_err());
}
