mod files;
mod laws;
mod sets;
mod tricky;
mod worked;

use std::path::Path;

use super::*;

/// The default packs, as they are deployed.
fn default_files() -> Vec<PackFile> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policies");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        PackFile::parse(&text).unwrap_or_else(|e| panic!("{}:\n{e}", path.display()))
    };
    paths.iter().map(read).collect()
}

fn default_packs() -> PackSet {
    PackSet::compile(default_files()).unwrap()
}

/// `on home location service age consent toggle gpc sensitive reachable`, separated by spaces.
fn inputs(text: &str) -> Inputs {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [on, home, location, service, age, consent, toggle, gpc, sensitive, reach] = words[..]
    else {
        panic!("ten inputs: {text}");
    };
    let asking = Asking {
        service: service.parse().unwrap(),
        age_band: age.parse().unwrap(),
        consent: consent.parse().unwrap(),
        toggle: toggle.parse().unwrap(),
        gpc: if gpc == "1" { Gpc::Sent } else { Gpc::Absent },
        sensitive: sensitive.parse().unwrap(),
        reach: if reach == "1" { HomeReach::Reachable } else { HomeReach::Unreachable },
    };
    let (home, location) = (home.parse().unwrap(), location.parse().unwrap());
    Inputs { on: on.parse().unwrap(), home, location, asking }
}

/// `variant read event third-party reasons`, separated by spaces.
fn outputs(decision: &Decision) -> String {
    let third_party = if decision.third_party_data() { "yes" } else { "no" };
    format!(
        "{} {} {} {third_party} {}",
        decision.variant,
        decision.profile_read,
        decision.event_store,
        decision.reasons.join(";")
    )
}

/// The funnel: one case, one expected line.
fn check(packs: &PackSet, case: &str, expected: &str) -> Result<(), String> {
    let found = outputs(&decide(packs, &inputs(case)));
    if found == expected {
        Ok(())
    } else {
        Err(format!("{case}\n  expected {expected}\n  found    {found}"))
    }
}

fn check_all(packs: &PackSet, cases: &[(&str, &str)]) {
    let wrong: Vec<String> =
        cases.iter().filter_map(|(case, expected)| check(packs, case, expected).err()).collect();
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
