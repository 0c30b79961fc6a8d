//! The policy commands as compliance staff run them: the real binary on plain files.

#[cfg(test)]
mod policy {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    const HEADER: &str = "case_id,as_of,home,location,service,age_band,consent,toggle,gpc,sensitive_consent,home_reachable";
    const OUT: &str = "case_id,variant,profile_read,event_store,third_party_data,reason_codes";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn packs() -> PathBuf {
        root().join("deploy/policies")
    }

    fn run(args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bailiwick")).arg("policy").args(args).output().unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Decides a table; returns exit code, standard output and standard error.
    fn decide(packs: &Path, table: &[u8]) -> (i32, String, String) {
        let scratch = tempfile::tempdir().unwrap();
        let cases = scratch.path().join("cases.csv");
        fs::write(&cases, table).unwrap();
        let done = run(&[
            "decide",
            "--packs",
            packs.to_str().unwrap(),
            "--cases",
            cases.to_str().unwrap(),
        ]);
        (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
    }

    #[test]
    fn the_default_packs_pass_and_warnings_are_told() {
        let done = run(&["check", packs().to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        assert!(text(&done.stdout).contains("29 packs, 0 errors"), "{}", text(&done.stdout));
        assert!(text(&done.stderr).contains("EU version 1: has no review_by"));
    }

    #[test]
    fn the_worked_cases_come_out_as_expected() {
        let table = fs::read(root().join("core/src/policy/tests/cases.csv")).unwrap();
        let (code, out, err) = decide(&packs(), &table);
        assert_eq!((code, err.as_str()), (0, ""));
        let mut rows = csv::Reader::from_reader(&table[..]);
        let expected: Vec<String> = rows
            .records()
            .map(|row| {
                let row = row.unwrap();
                let cells: Vec<&str> = row.iter().skip(11).take(5).collect();
                format!("{},{}", &row[0], cells.join(","))
            })
            .collect();
        let found: Vec<&str> = out.lines().collect();
        assert_eq!(found[0], OUT);
        assert_eq!(found[1..], expected);
    }

    #[test]
    fn a_bad_row_is_told_by_number_and_the_others_are_answered() {
        let good = "2026-11-22,JP,JP,general,18+,none,unset,0,na,1";
        let bad = [
            "2026-11-22,JP,JP,general,17,maybe,unset,0,na,1",
            "2026-11-22,JP,JP,general,18+,none,unset,true,na,1",
            "2026-11-22,JP,JP,general,18+,none,unset,0,na,",
            "2026-11-22,,E U,general,18+,none,unset,0,na,1",
            "22.11.2026,JP,JP,general,18+,none,unset,0,na,1",
            "2026-11-22,JP,JP,general",
            "2026-11-22,JP,JP,general,18+,none,unset,0,na,1,more",
        ];
        let mut table = format!("{HEADER}\n");
        for (i, row) in bad.iter().enumerate() {
            table += &format!("B{i},{row}\nG{i},{good}\n");
        }
        let (code, out, err) = decide(&packs(), table.as_bytes());
        assert_eq!(code, 1);
        assert_eq!(out.lines().count(), 1 + bad.len(), "{out}");
        assert!(out.lines().skip(1).all(|line| line.starts_with('G')));
        for expected in [
            "row 1 (line 2): age_band is `17`, allowed: 0-11, 12, 13, 14, 15, 16-17, 18+, unknown; consent is `maybe`, allowed: none, granted, refused, withdrawn, parental",
            "row 3 (line 4): gpc is `true`, allowed: 0, 1",
            "row 5 (line 6): home_reachable is ``, allowed: 0, 1",
            "row 7 (line 8): home is ``, allowed: an id like EU-DE",
            "location is `E U`",
            "row 9 (line 10): as_of is `22.11.2026`, allowed: a date like 2026-11-22",
            "row 11 (line 12): age_band is missing",
            "row 13 (line 14): has 12 fields, the header has 11",
        ] {
            assert!(err.contains(expected), "expected {expected}\nfound {err}");
        }
    }

    #[test]
    fn columns_in_any_order_with_bom_quotes_and_carriage_returns() {
        let table = "\u{feff}note,home,location,service,age_band,consent,toggle,gpc,sensitive_consent,home_reachable,as_of,case_id\r\n\"a, \"\"b\"\"\",\"JP\",JP,general,18+,none,unset,0,na,1,2026-11-22,\"C,1\"\r\n";
        let (code, out, err) = decide(&packs(), table.as_bytes());
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(out, format!("{OUT}\n\"C,1\",profile_std,edge,linked@jp,no,BASIS_FREE\n"));
    }

    #[test]
    fn missing_columns_are_named() {
        let table = HEADER.replace(",toggle", "").replace(",gpc", "");
        let (code, out, err) = decide(&packs(), table.as_bytes());
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains("missing columns: toggle, gpc"), "{err}");
    }

    #[test]
    fn a_pack_that_can_not_be_read_is_strict_and_the_rest_is_answered() {
        let scratch = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(packs()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, scratch.path().join(path.file_name().unwrap())).unwrap();
        }
        fs::write(scratch.path().join("EU-DE.toml"), "not a pack").unwrap();
        let table = format!(
            "{HEADER}\nA,2026-11-22,EU-DE,EU-DE,general,18+,granted,unset,0,na,1\nB,2026-11-22,EU-FR,EU-FR,general,18+,granted,unset,0,na,1\n"
        );
        let (code, out, err) = decide(scratch.path(), table.as_bytes());
        assert_eq!(code, 1, "the fault is told");
        assert!(err.contains("EU-DE counts as STRICT"), "{err}");
        assert!(out.contains("A,editorial,no,none,no,JUR_UNKNOWN;PROFILE_FORBIDDEN"), "{out}");
        assert!(out.contains("B,profile_std,edge,linked@eu,no,BASIS_CONSENT"), "{out}");
        let checked = run(&["check", scratch.path().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(1));
    }

    #[test]
    fn an_explanation_names_packs_rules_and_citations() {
        let dir = packs();
        let done = run(&[
            "explain",
            "--packs",
            dir.to_str().unwrap(),
            "--home",
            "EU-DE",
            "--location",
            "US-NY",
            "--service",
            "general",
            "--age",
            "18+",
            "--consent",
            "granted",
            "--as-of",
            "2026-11-22",
        ]);
        let out = text(&done.stdout);
        assert_eq!(done.status.code(), Some(0));
        for expected in [
            "home: EU-DE version 1 <- EU version 1, domain eu",
            "reason_codes      BASIS_CONSENT;JUR_STRICTEST;SCORED_AT_HOME",
            "from home: EU rule `adult`",
            "from location: US-NY rule `adult`",
            "ranking.k_min = 20",
            "GDPR Art. 44-49",
        ] {
            assert!(out.contains(expected), "expected {expected}\nfound {out}");
        }
    }

    #[test]
    fn a_diff_says_what_kind_of_change_each_field_is() {
        let dir = packs();
        let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let done = run(&["diff", &file("US-CA.2026.toml"), &file("US-CA.2027.toml")]);
        let out = text(&done.stdout);
        assert!(out.starts_with("US-CA version 1 -> US-CA version 2: tightening\n"), "{out}");
        assert!(out.contains("tightening    unknown_age"), "{out}");
        let done = run(&["diff", &file("EU-DE.toml"), &file("EU-FR.toml")]);
        let out = text(&done.stdout);
        assert!(out.contains("loosening     age_rules[every service 15].basis"), "{out}");
        let all = dir.to_str().unwrap();
        assert!(text(&run(&["diff", all, all]).stdout).ends_with("all packs: same\n"));
    }
}
