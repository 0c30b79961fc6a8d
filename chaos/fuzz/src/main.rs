//! One fuzzer, many targets: `BAILIWICK_FUZZ` names the decoder that is attacked,
//! `BAILIWICK_SEEDS` a folder that gets inputs to begin with. Started by `run`.
#![no_main]

mod seeds;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use targets::{TARGETS, Target};

fn target() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("BAILIWICK_FUZZ").unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = TARGETS.iter().map(|(known, _)| *known).collect();
        if let Ok(folder) = std::env::var("BAILIWICK_SEEDS") {
            seeds::write(std::path::Path::new(&folder), &name);
        }
        found.unwrap_or_else(|| panic!("set BAILIWICK_FUZZ to one of {}", names.join(", "))).1
    })
}

fuzz_target!(|bytes: &[u8]| target()(bytes));
