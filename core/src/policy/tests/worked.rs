//! The worked cases, each with the rule of law it follows from.

use super::*;

const CASES: &str = include_str!("cases.csv");

#[test]
fn every_worked_case_comes_out_as_written() {
    let packs = default_packs();
    let rows: Vec<(String, String)> = CASES
        .lines()
        .skip(1)
        .map(|line| {
            // The quoted columns come after these sixteen.
            let cells: Vec<&str> = line.splitn(17, ',').collect();
            (cells[1..11].join(" "), cells[11..16].join(" "))
        })
        .collect();
    assert_eq!(rows.len(), 40);
    let borrowed: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (&**a, &**b)).collect();
    check_all(&packs, &borrowed);
}

#[test]
fn the_legal_status_of_a_case_is_that_of_a_citation() {
    // A case marked as differing rests on a pack that says so somewhere.
    let files = default_files();
    for line in CASES.lines().skip(1) {
        let cells: Vec<&str> = line.splitn(18, ',').collect();
        let (homes, status) = ([cells[2], cells[3]], cells[16]);
        let said = files
            .iter()
            .filter(|file| homes.iter().any(|h| h.starts_with(file.pack().as_str())))
            .flat_map(PackFile::legal_basis)
            .any(|basis| basis.status.to_string() == status);
        assert!(said || homes == ["unknown", "unknown"] || homes[0] == "unknown", "{line}");
    }
}
