//! Packs taken together: parents, dates, roll-outs, and packs that can't be read.

use std::sync::Arc;

use super::*;

const RULE: &str = r#"
[[age_rules]]
id = "all"
from = 0
basis = "free"
without = ["agg", "ctx"]
with = ["agg", "ctx", "ses", "exp", "beh"]
events_without = "aggregate"
events_with = "linked"
[[legal_basis]]
rule = "all"
cite = "law"
status = "firm"
"#;

/// A root pack; `more` goes before its tables.
fn root(id: &str, version: u32, more: &str, tables: &str) -> PackFile {
    let domain = id.to_ascii_lowercase();
    let text = format!(
        "schema = 1\npack = \"{id}\"\nversion = {version}\ntitle = \"t\"\ndomain = \"{domain}\"\napplies = [\"resident\", \"present\"]\neffective_from = 2020-01-01\n{more}\n{tables}{RULE}"
    );
    PackFile::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn child(id: &str, parent: &str, more: &str, tables: &str) -> PackFile {
    let text = format!(
        "schema = 1\npack = \"{id}\"\nversion = 1\ntitle = \"t\"\ninherits = \"{parent}\"\napplies = [\"resident\", \"present\"]\neffective_from = 2020-01-01\n{more}\n{tables}"
    );
    PackFile::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

const SET_14: &str = "set = { line = 14 }";
const CITED: &str = "[[legal_basis]]\nrule = \"line\"\ncite = \"law\"\nstatus = \"firm\"\n";
const DELEGATES: &str = "[delegated.line]\ndefault = 16\nmin = 13\nmax = 16\ncite = \"law\"\n";

fn refused(files: Vec<PackFile>, expected: &str) {
    let found = PackSet::compile(files).unwrap_err().to_string();
    assert_eq!(found, expected);
}

#[test]
fn faults_between_files_are_named() {
    refused(vec![child("A-B", "A", "", "")], "A-B version 1: inherits A, which has no pack");
    refused(
        vec![root("A", 1, "", ""), root("A", 1, "", "")],
        "A version 1: the version is taken by another file",
    );
    refused(
        vec![child("A", "B", "", ""), child("B", "A", "", "")],
        "A version 1: inherits itself by way of B\nB version 1: inherits itself by way of A",
    );
    refused(
        vec![root("A", 1, "", ""), child("A-B", "A", SET_14, CITED)],
        "A-B version 1: sets `line`, which no ancestor delegates",
    );
    refused(
        vec![root("A", 1, "", DELEGATES), child("A-B", "A", "set = { line = 12 }", CITED)],
        "A-B version 1: sets `line` to 12, outside the bounds 13 to 16 of A",
    );
    refused(
        vec![root("A", 1, "", DELEGATES), child("A-B", "A", "", DELEGATES)],
        "A-B version 1: delegates `line`, which A delegates already",
    );
    let share = |id: &str, share: &str| {
        root(id, 1, "", &format!("[ranking]\nlocal_share = {{ {id} = {share} }}\n"))
    };
    refused(
        vec![share("A", "0.6"), share("B", "0.5")],
        "A version 1: shares of local items that exclude each other sum to 1.1, together with B",
    );
    let copies = child("A-B", "A", "", "[residency]\nstore_in = [\"b\"]\n");
    let parent = root("A", 1, "", "[residency]\nprimary_copy = [\"a\"]\n");
    refused(
        vec![parent, copies],
        "A-B version 1: with its parents, primary_copy (a) is not inside store_in (b)",
    );
}

#[test]
fn a_grandchild_may_set_what_its_grandparent_delegates() {
    let files = vec![
        root("A", 1, "", DELEGATES),
        child("A-B", "A", "", ""),
        child("A-B-C", "A-B", SET_14, CITED),
    ];
    assert!(PackSet::compile(files).is_ok());
}

#[test]
fn an_unreadable_pack_is_strict_for_itself_and_its_children_and_the_rest_stands() {
    let files = default_files().into_iter().filter(|file| file.pack().as_str() != "EU");
    let read = files.map(|file| Candidate::Read(Arc::new(file)));
    let broken = Candidate::Unreadable("EU".parse().unwrap());
    let (packs, faults) = PackSet::lenient(read.chain([broken]));
    assert_eq!(faults.len(), 4, "each child says that its parent has no pack: {faults:?}");
    let strict = "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN";
    check_all(
        &packs,
        &[
            ("2026-11-22 EU EU general 18+ granted unset 0 na 1", strict),
            // Not its longest prefix that can be read: its own pack can't be.
            ("2026-11-22 EU-DE EU-DE general 18+ granted unset 0 na 1", strict),
            (
                "2026-11-22 JP JP general 18+ none unset 0 na 1",
                "profile_std edge linked@jp no BASIS_FREE",
            ),
        ],
    );
}

#[test]
fn an_unreadable_version_outweighs_readable_ones() {
    let read = default_files().into_iter().map(|file| Candidate::Read(Arc::new(file)));
    let broken = Candidate::Unreadable("EU-DE".parse().unwrap());
    let (packs, faults) = PackSet::lenient(read.chain([broken]));
    assert!(faults.is_empty());
    check_all(
        &packs,
        &[
            (
                "2026-11-22 EU-DE EU-DE general 18+ granted unset 0 na 1",
                "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
            ),
            (
                "2026-11-22 EU-FR EU-FR general 18+ granted unset 0 na 1",
                "profile_std edge linked@eu no BASIS_CONSENT",
            ),
        ],
    );
}

#[test]
fn no_packs_is_strict_for_everyone() {
    check_all(
        &PackSet::empty(),
        &[(
            "2026-11-22 EU-DE EU-DE general 18+ granted unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        )],
    );
}

#[test]
fn a_pack_expires_ninety_days_after_its_review() {
    let packs = PackSet::compile([root("A", 1, "review_by = 2026-01-01", "")]).unwrap();
    let open = "profile_std edge linked@a no BASIS_FREE";
    let strict = "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN";
    check_all(
        &packs,
        &[
            ("2026-03-31 A A general 18+ none unset 0 na 1", open),
            ("2026-04-01 A A general 18+ none unset 0 na 1", strict),
        ],
    );
    let told = |day: &str| {
        let day = day.parse().unwrap();
        packs.warnings_on(day).iter().map(Warning::to_string).collect::<Vec<_>>()
    };
    assert!(told("2026-01-01").is_empty());
    assert_eq!(
        told("2026-01-02"),
        ["A version 1: was due for review by 2026-01-01; from 2026-04-01 on it counts as STRICT"]
    );
    assert_eq!(told("2026-04-01"), ["A version 1: expired on 2026-04-01 and counts as STRICT"]);
}

#[test]
fn the_latest_effective_from_wins_then_the_highest_version() {
    let dated = |version, from: &str, k: u32| {
        let file = root("A", version, "", &format!("[ranking]\nk_min = {k}\n"));
        PackFile::parse(&file.text().replace("2020-01-01", from)).unwrap()
    };
    let packs = PackSet::compile([
        dated(3, "2020-01-01", 30),
        dated(1, "2025-01-01", 10),
        dated(2, "2025-01-01", 20),
    ])
    .unwrap();
    let k_min = |on: &str| {
        let case = format!("{on} A A general 18+ none unset 0 na 1");
        decide(&packs, &inputs(&case)).k_min()
    };
    assert_eq!((k_min("2024-12-31"), k_min("2025-01-01")), (30, 20));
}

#[test]
fn a_transfer_mechanism_that_has_ended_takes_its_domain_along() {
    let tables = "[residency]\nprocess_in = [\"a\", \"b\"]\n[[transfer_mechanisms]]\nto = [\"b\"]\nmechanism = \"adequacy\"\ncite = \"law\"\nvalid_until = 2026-06-30\n";
    let packs = PackSet::compile([root("A", 1, "", tables), root("B", 1, "", "")]).unwrap();
    check_all(
        &packs,
        &[
            (
                "2026-06-30 A B general 18+ none unset 0 na 1",
                "profile_std edge linked@a no BASIS_FREE;JUR_STRICTEST",
            ),
            (
                "2026-07-01 A B general 18+ none unset 0 na 1",
                "profile_std home linked@a no BASIS_FREE;JUR_STRICTEST;SCORED_AT_HOME",
            ),
        ],
    );
}

#[test]
fn a_pack_that_applies_to_nobody_climbs_past_the_root_to_strict() {
    let file = root("A", 1, "", "");
    let text = file.text().replace("[\"resident\", \"present\"]", "[\"resident\"]");
    let packs = PackSet::compile([PackFile::parse(&text).unwrap(), root("B", 1, "", "")]).unwrap();
    check_all(
        &packs,
        &[(
            "2026-11-22 B A general 18+ none unset 0 na 1",
            "editorial no none no JUR_STRICTEST;JUR_UNKNOWN;PROFILE_FORBIDDEN",
        )],
    );
}

#[test]
fn a_roll_out_enforces_both_versions() {
    let files = default_files;
    let old = PackSet::compile(files()).unwrap();
    let tighter = files().into_iter().map(|file| match file.pack().as_str() {
        "JP" => PackFile::parse(
            &file.text().replace("\"free\"", "\"opt_in\"").replace("k_min = 20", "k_min = 5"),
        )
        .unwrap(),
        _ => file,
    });
    let new = PackSet::compile(tighter).unwrap();
    let case = "2026-11-22 JP JP general 18+ none unset 0 na 1";
    let both = PackSet::during(&old, &new);
    let decision = decide(&both, &inputs(case));
    assert_eq!(outputs(&decision), "session_only no aggregate no CONSENT_MISSING");
    assert_eq!(decision.k_min(), 20, "each field by itself");
    assert_eq!(decision.packs.len(), 2, "both versions are named");
    assert!(both.is_rolling_out() && !PackSet::during(&old, &old).is_rolling_out());
}

#[test]
fn a_home_that_moves_to_another_domain_is_strict_until_it_has_moved() {
    let moved = root("A", 1, "", "").text().replace("domain = \"a\"", "domain = \"b\"");
    let old = PackSet::compile([root("A", 1, "", "")]).unwrap();
    let new = PackSet::compile([PackFile::parse(&moved).unwrap()]).unwrap();
    check_all(
        &PackSet::during(&old, &new),
        &[(
            "2026-11-22 A A general 18+ none unset 0 na 1",
            "editorial no none no JUR_UNKNOWN;PROFILE_FORBIDDEN",
        )],
    );
}

#[test]
fn packs_are_listed_with_their_text_and_a_stable_hash() {
    let packs = default_packs();
    assert_eq!(packs.packs().count(), 29);
    let ca = packs.pack(&"US-CA".parse().unwrap(), None).unwrap();
    assert_eq!(ca.version(), 2, "the highest version");
    assert!(ca.text().contains("27001 from 2027-01-01"));
    let again = PackFile::parse(&format!("# a comment\n\n{}", ca.text())).unwrap();
    assert_eq!(again.hash(), ca.hash(), "comments and layout don't count");
    let other = PackFile::parse(&ca.text().replace("version = 2", "version = 3")).unwrap();
    assert_ne!(other.hash(), ca.hash(), "every value does");
    assert_ne!(packs.with(other).unwrap().fingerprint(), packs.fingerprint());
}

#[test]
fn warnings_name_what_lacks_a_mechanism_or_a_log_interval() {
    let log = |id: &str, days: &str| {
        let more = "review_by = 2030-01-01";
        let tables = format!("[retention]\ndecision_log_days = {days}\n");
        root(id, 1, more, &tables)
    };
    let reach = root(
        "C",
        1,
        "review_by = 2030-01-01",
        "[residency]\nstore_in = [\"c\", \"d\"]\nprocess_in = [\"c\", \"e\"]\n",
    );
    let packs = PackSet::compile([log("A", "[10, 20]"), log("B", "[30, 40]"), reach]).unwrap();
    let told: Vec<_> = packs.warnings().iter().map(Warning::to_string).collect();
    let expected = [
        "A version 1: names no transfer mechanism for: all except a",
        "A version 1: with B, no decision_log_days satisfy both; 30 days will be used",
        "B version 1: names no transfer mechanism for: all except b",
        "C version 1: names no transfer mechanism for: d e",
    ];
    assert_eq!(told, expected);
}

#[test]
fn changes_are_classified_field_by_field() {
    let old = root("A", 1, "", "[ranking]\nk_min = 10\n[rights]\nerasure_days = 30\n");
    let compare = |more: &str, tables: &str| {
        let new = root("A", 2, more, tables);
        let changes = diff_packs((&old, &PackSet::empty()), (&new, &PackSet::empty())).unwrap();
        let whole = changes.iter().fold(Change::Same, |whole, one| whole.and(one.change));
        let changed = changes.iter().filter(|one| one.change != Change::Same);
        let named: Vec<_> = changed.map(|c| format!("{} {}", c.change, c.field)).collect();
        format!("{whole}: {}", named.join(", "))
    };
    let tables =
        |k: u32, days: u32| format!("[ranking]\nk_min = {k}\n[rights]\nerasure_days = {days}\n");
    assert_eq!(compare("", &tables(10, 30)), "same: ");
    assert_eq!(compare("", &tables(20, 30)), "tightening: tightening ranking.k_min");
    assert_eq!(compare("", &tables(10, 45)), "loosening: loosening rights.erasure_days");
    assert_eq!(
        compare("", &tables(20, 45)),
        "incomparable: loosening rights.erasure_days, tightening ranking.k_min"
    );
    let minor = "unknown_age = { default = \"adult\", social = \"minor\" }";
    assert_eq!(compare(minor, &tables(10, 30)), "tightening: tightening unknown_age");
}

#[test]
fn california_tightens_in_2027_and_france_is_laxer_than_germany() {
    let packs = default_packs();
    let get = |id: &str, version| packs.pack(&id.parse().unwrap(), version).unwrap();
    let whole = |old: &PackFile, new: &PackFile| {
        let changes = diff_packs((old, &packs), (new, &packs)).unwrap();
        changes.iter().fold(Change::Same, |whole, one| whole.and(one.change))
    };
    assert_eq!(whole(get("US-CA", Some(1)), get("US-CA", Some(2))), Change::Tightening);
    assert_eq!(whole(get("EU-DE", None), get("EU-FR", None)), Change::Loosening);
    assert_eq!(whole(get("EU-DE", None), get("EU-NL", None)), Change::Same);
}

#[test]
fn strict_takes_the_largest_k_min_in_use() {
    let packs = PackSet::compile([root("A", 1, "", "[ranking]\nk_min = 5000\n")]).unwrap();
    let case = "2026-11-22 A nowhere general 18+ none unset 0 na 1";
    assert_eq!(decide(&packs, &inputs(case)).k_min(), 5000);
    let defaults = default_packs();
    assert_eq!(decide(&defaults, &inputs(&case.replace(" A ", " JP "))).k_min(), 1000);
}

#[test]
fn attributes_are_barred_unless_sensitive_data_is_granted() {
    let packs = default_packs();
    let barred = |sensitive: &str| {
        let case = format!("2026-11-22 EU-DE EU-DE general 18+ granted unset 0 {sensitive} 1");
        decide(&packs, &inputs(&case)).barred_attributes().contains("religion")
    };
    assert!(barred("no") && barred("na"));
    assert!(!barred("yes"));
}
