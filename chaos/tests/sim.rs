//! A slice of the simulation: some seeds of every scenario, those that failed once, and one run twice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::process::Command;

/// Runs `bailiwick-chaos` and expects that every promise held.
fn check(arguments: &[&str]) {
    let done =
        Command::new(env!("CARGO_BIN_EXE_bailiwick-chaos")).args(arguments).output().unwrap();
    let (told, said) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{arguments:?}\n{told}\n{said}");
}

#[test]
fn seeds_hold_every_promise_first_third() {
    check(&["sim", "all", "--seeds", "10", "--from", "1"]);
}

#[test]
fn seeds_hold_every_promise_second_third() {
    check(&["sim", "all", "--seeds", "10", "--from", "11"]);
}

#[test]
fn seeds_hold_every_promise_last_third() {
    check(&["sim", "all", "--seeds", "10", "--from", "21"]);
}

#[test]
fn seeds_that_failed_once_hold_now() {
    check(&["sim", "kept"]);
}

#[test]
fn a_seed_gives_the_same_bytes_twice() {
    check(&["meta", "all", "--seeds", "8", "--from", "1"]);
    check(&["meta", "partitions", "--seed", "7"]);
}
