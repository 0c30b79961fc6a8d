//! A slice of what is done to real processes, wires and disks: kills under load, domains cut off, and the power
//! cut of a whole cluster.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails panics"
)]

use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailiwick-chaos")).args(arguments).output().unwrap()
}

/// Expects that every promise held.
fn check(arguments: &[&str], done: &Output) {
    let (told, said) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{arguments:?}\n{told}\n{said}");
}

/// Whether this machine can't do what a test needs, in the words of the program; told as a skip.
fn skipped(test: &str, words: &str, done: &Output) -> bool {
    let said = String::from_utf8_lossy(&done.stderr);
    let why = said.lines().find(|line| line.contains(words));
    if let Some(why) = why {
        println!("SKIP {test}: {why}");
    }
    why.is_some()
}

#[test]
fn faults_on_processes_break_no_promise() {
    let arguments = ["live", "--faults", "4", "--seed", "3"];
    check(&arguments, &chaos(&arguments));
}

#[test]
fn domains_that_are_cut_off_are_missed_and_break_no_promise() {
    let arguments = ["live", "--faults", "2", "--only", "cut-off", "--seed", "3"];
    let done = chaos(&arguments);
    let test = "domains_that_are_cut_off_are_missed_and_break_no_promise";
    if skipped(test, "no network namespaces can be made here", &done) {
        return;
    }
    check(&arguments, &done);
    let told = String::from_utf8_lossy(&done.stdout);
    let missed = told.lines().find(|line| line.contains("of them without home")).unwrap();
    assert!(!missed.contains(" 0 of them without home"), "the wires were not cut: {missed}");
}

#[test]
fn a_power_cut_breaks_no_promise() {
    let arguments = ["power", "--cuts", "2", "--seed", "3"];
    let done = chaos(&arguments);
    if skipped("a_power_cut_breaks_no_promise", "no disk can be made here", &done) {
        return;
    }
    check(&arguments, &done);
}
