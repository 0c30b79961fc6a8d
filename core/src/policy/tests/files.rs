//! Pack files that are wrong: every fault at once, with line, column, field and meaning.

use super::*;

const GOOD: &str = r#"schema = 1
pack = "A"
version = 1
title = "t"
domain = "a"
applies = ["resident", "present"]
effective_from = 2020-01-01

[[age_rules]]
id = "young"
from = 0
basis = "opt_in"
without = ["agg"]
with = ["agg", "ctx"]
events_without = "none"
events_with = "aggregate"

[[age_rules]]
id = "old"
from = 18
basis = "free"
without = ["agg", "ctx"]
with = ["agg", "ctx", "ses"]
events_without = "aggregate"
events_with = "linked"

[[legal_basis]]
rule = ["young", "old"]
cite = "law"
status = "firm"
"#;

/// The faults of the good pack with some texts replaced.
fn faults(changes: &[(&str, &str)]) -> String {
    let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    PackFile::parse(&text).map_or_else(|errors| errors.to_string(), |_| String::new())
}

#[test]
fn the_good_pack_is_good() {
    assert_eq!(faults(&[]), "");
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let found = faults(&[
        ("version = 1", "version = 0\ncolour = \"red\""),
        ("title = \"t\"\n", ""),
        ("\"present\"]", "\"visiting\"]"),
        ("basis = \"opt_in\"", "basis = \"maybe\""),
        ("from = 18", "from = \"18\""),
        ("status = \"firm\"", "status = \"sure\""),
    ]);
    let expected = "\
1:1: title (name for people): is missing
3:11: version (version of the pack, strictly increasing from 1): is 0, allowed: 1 to 4294967295
4:1: colour: no such field; the fields here are schema, pack, version, title, inherits, domain, applies, effective_from, effective_to, review_by, set, delegated, legal_basis, age_rules, unknown_age, sensitive, signals, residency, transfer_mechanisms, rights, retention, transparency, oversight, ranking
6:24: applies (to whom: resident, present): `visiting` is not allowed: resident, present
12:9: age_rules[1].basis (on what use rests): `maybe` is not allowed: forbidden, parental_opt_in, opt_in, opt_out, free
20:8: age_rules[2].from (first age in years, or { delegated = \"name\" }): expected an age in years, or { delegated = \"name\" }, found the text `18`
30:10: legal_basis[1].status (how settled): `sure` is not allowed: firm, differs";
    // Meanings are the schema's own; only the shape of the last is shortened here.
    let found = found.replace("firm, or differs where reasonable lawyers disagree", "how settled");
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_toml_is_told_together_with_what_is_wrong_elsewhere() {
    let found =
        faults(&[("title = \"t\"", "title = "), ("basis = \"free\"", "basis = \"gratis\"")]);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("4:") && lines[0].contains("not TOML"), "{found}");
    assert!(found.contains("`gratis` is not allowed"), "{found}");
}

/// One fault, which says so.
fn one(changes: &[(&str, &str)], expected: &str) {
    let found = faults(changes);
    assert!(found.contains(expected), "expected {expected}\nfound {found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn the_rules_of_a_pack() {
    one(
        &[("with = [\"agg\", \"ctx\"]", "with = [\"ctx\"]")],
        "`without` grants agg, which `with` does not",
    );
    one(
        &[
            ("events_without = \"none\"", "events_without = \"linked\""),
            ("events_with = \"aggregate\"", "events_with = \"linked\""),
            ("events_without = \"aggregate\"", "events_without = \"linked\""),
            ("events_with = \"linked\"\n\n[[age", "events_with = \"aggregate\"\n\n[[age"),
        ],
        "laxer than events_with",
    );
    one(
        &[("basis = \"free\"", "basis = \"forbidden\"")],
        "at 18 it must be at least as lax as rule `young` at 17",
    );
    one(&[("\"young\", ", "")], "`young` is cited by no legal_basis");
    one(
        &[("\"young\", ", "\"young\", \"middle\", ")],
        "no rule, section or set value is named `middle`",
    );
    one(&[("from = 0", "from = 3")], "none covers general, social, vlop at 0");
    one(&[("domain = \"a\"\n", "")], "a root pack must name it");
    one(
        &[("id = \"old\"\nfrom = 18", "id = \"old\"\nfrom = 18\nsvc = []")],
        "the rule reaches no service",
    );
    one(&[("pack = \"A\"", "pack = \"STRICT\"")], "`STRICT` is built in");
    one(&[("2020-01-01", "2020-01-01\neffective_to = 2019-12-31")], "before effective_from");
    assert!(faults(&[("2020-01-01", "2020-02-30")]).contains("7:18: not TOML: invalid date"));
    one(&[("2020-01-01", "2020-01-01T00:00:00Z")], "expected a date alone");
}

#[test]
fn two_rules_that_start_at_one_age_for_one_service() {
    let again = "id = \"old\"\nfrom = 0\nsvc = [\"social\"]";
    // One of the two names the service: it wins.
    assert_eq!(faults(&[("id = \"old\"\nfrom = 18", again)]), "");
    one(
        &[("id = \"old\"\nfrom = 18", "id = \"old\"\nfrom = 0")],
        "is 0, as in rule `young` for the same service",
    );
    one(
        &[
            ("id = \"old\"\nfrom = 18", "id = \"old\"\nfrom = 18\nsvc = [\"social\"]"),
            (
                "\n[[legal_basis]]",
                "\n[[age_rules]]\nid = \"twin\"\nfrom = 18\nsvc = [\"vlop\", \"social\"]\nbasis = \"free\"\nwithout = [\"agg\", \"ctx\"]\nwith = [\"agg\", \"ctx\", \"ses\"]\nevents_without = \"aggregate\"\nevents_with = \"linked\"\n\n[[legal_basis]]",
            ),
            ("rule = [", "rule = [\"twin\", "),
        ],
        "is 18, as in rule `old` for the same service",
    );
}

#[test]
fn values_outside_their_bounds() {
    let section = |text: &'static str| [("\n[[age_rules]]", text)];
    let end = "\n[[age_rules]]";
    for (text, expected) in [
        (
            "\n[residency]\nstore_in = [\"a\"]\nprimary_copy = [\"b\"]\n",
            "b is not inside store_in: a",
        ),
        ("\n[retention]\ndecision_log_days = [9, 3]\n", "[9, 3] is empty"),
        ("\n[ranking]\nlocal_share = { A = 0.7, B = 0.7 }\n", "sum to 1.4"),
        ("\n[ranking]\nlocal_share = { A = 0.0 }\n", "above 0 and up to 1"),
        ("\n[ranking]\ndiversity_floor = 1.5\n", "is 1.5, allowed: 0 to 1"),
        ("\n[ranking]\nk_min = 0\n", "is 0, allowed: 1 to 1000000"),
        ("\n[ranking]\ndp_epsilon_max = -1.0\n", "above 0"),
        (
            "\n[delegated.line]\ndefault = 17\nmin = 13\nmax = 16\ncite = \"law\"\n",
            "is 17, outside its own bounds 13 to 16",
        ),
        ("\n[residency]\nstore_in = \"everywhere\"\n", "expected a list of domains"),
        (
            "\n[signals]\ngpc = [\"cookies\"]\n",
            "`cookies` is not allowed: agg, ctx, ses, exp, beh, xpt, sen",
        ),
        ("\n[rights]\naccess_days = \"soon\"\n", "expected a whole number, found the text `soon`"),
    ] {
        let changed = format!("{text}{end}");
        let text: &'static str = Box::leak(changed.into_boxed_str());
        one(&section(text), expected);
    }
}

#[test]
fn a_delegated_age_must_be_monotone_at_every_value_in_bounds() {
    // At 12, the middle rule would be laxer than what follows it from 13 on.
    let delegated =
        "\n[delegated.line]\ndefault = 18\nmin = 17\nmax = 18\ncite = \"law\"\n\n[[age_rules]]";
    let found = faults(&[
        ("\n[[age_rules]]", delegated),
        ("from = 0", "from = { delegated = \"line\" }"),
        ("from = 18", "from = 0"),
    ]);
    assert!(found.contains("rule `old` at 16"), "{found}");
    assert!(found.contains("rule `old` at 17"), "{found}");
}

#[test]
fn the_switch_can_only_be_made_stronger() {
    let weaker = "\n[signals]\ntoggle_off = [\"ctx\"]\n\n[[age_rules]]";
    let text = GOOD.replacen("\n[[age_rules]]", weaker, 1);
    let packs = PackSet::compile([PackFile::parse(&text).unwrap()]).unwrap();
    let case = inputs("2026-11-22 A A general 18+ none off 0 na 1");
    assert_eq!(decide(&packs, &case).granted.to_string(), "agg");
}

#[test]
fn the_id_of_an_unreadable_text_is_found_where_it_can_be() {
    assert_eq!(PackFile::id_in("pack = \"EU-DE\"\nversion = =").unwrap().as_str(), "EU-DE");
    assert_eq!(PackFile::id_in("garbage"), None);
}
