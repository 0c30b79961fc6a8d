//! Pinned stays home: neither the key that stands for a person nor anything they wrote is on a foreign disk
//! or on a link that leaves home. Each key must have been seen at home, and each person's writing read there
//! in the clear, or the run is void.

use std::fs;
use std::path::Path;

use bailiwick_core::ids::Subject;

use crate::ledger::Entries;
use crate::sim::SimError;
use crate::sim::observe::Finding;
use crate::sim::world::{ISSUER, World};

const NAME: &str = "pinned stays home";

/// Looks for the keys of these people, at home in `home`, from now on.
///
/// # Errors
/// [`SimError`] when no node of their home runs.
pub fn watch(world: &World, people: &[&str], home: &str) -> Result<(), SimError> {
    let body = world.of_domain(home).find_map(|node| node.body());
    let body = body.ok_or_else(|| SimError::Part(format!("no node of {home} runs")))?;
    let issuer = ISSUER.parse().map_err(SimError::of)?;
    for person in people {
        let subject: Subject = person.parse().map_err(SimError::of)?;
        let key = body.state().people.key(&issuer, &subject);
        world.tap.watch_for(key.as_bytes(), home);
    }
    Ok(())
}

/// What is abroad, and whose key was not even seen at home.
pub fn check(world: &World, entries: &Entries) -> Vec<Finding> {
    for node in world.nodes.values() {
        for (path, bytes) in node.disk().files() {
            world.tap.sees_disk(node.name(), node.domain(), &path.display().to_string(), &bytes);
        }
        look(node.folder(), &|what, bytes| {
            world.tap.sees_disk(node.name(), node.domain(), what, bytes);
        });
    }
    let (unseen, mut abroad) = world.tap.findings();
    abroad.dedup();
    abroad.truncate(5);
    let mut found: Vec<Finding> = abroad.into_iter().map(|words| (NAME, words)).collect();
    let acted = entries.people.values().any(|writes| !writes.acknowledged.is_empty());
    if acted && !unseen.is_empty() {
        found.push(("void", format!("keys that were never seen at home: {unseen:?}")));
    }
    found
}

fn look(folder: &Path, see: &dyn Fn(&str, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look(&path, see);
        } else if let Ok(bytes) = fs::read(&path) {
            see(&path.file_name().unwrap_or_default().to_string_lossy(), &bytes);
        }
    }
}
