//! A check that can't fail is worse than none: every planted bug must be found by simulation, by the promise that it
//! breaks. On processes they are hunted by `bailiwick-chaos mutants --ground real`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::process::Command;

fn is_found(mutant: &str) {
    let arguments = ["mutants", "--ground", "sim", "--only", mutant];
    let done =
        Command::new(env!("CARGO_BIN_EXE_bailiwick-chaos")).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}\n{}", String::from_utf8_lossy(&done.stderr));
}

macro_rules! mutants {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { is_found($name); })*

        #[test]
        fn no_mutant_is_forgotten() {
            let known = bailiwick_node::mutant::Mutant::ALL.map(bailiwick_node::mutant::Mutant::name);
            assert_eq!(known.as_slice(), [$($name),*]);
        }
    };
}

mutants! {
    a_sync_that_is_skipped: "skip-sync",
    an_acknowledgement_before_the_quorum: "acknowledge-early",
    a_consent_that_is_never_read_again: "stale-consent",
    an_event_that_counts_twice: "count-twice",
    a_pack_that_grants_everything: "widen-pack",
    a_key_that_goes_abroad: "tell-abroad",
    a_leader_that_resumes_its_term: "resume-term",
    a_vote_that_is_granted_twice: "grant-twice",
    a_position_that_falls: "applied-falls",
    a_command_that_some_skip: "skip-apply",
    a_read_that_is_not_confirmed: "stale-read",
    a_replica_that_gives_up: "give-up",
    an_excluded_item_that_is_shown: "show-excluded",
    a_floor_that_is_forgotten: "forget-floors",
    a_member_from_abroad: "admit-abroad",
}
