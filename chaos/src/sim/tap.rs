//! Sees every byte on every link, and looks for what may not be there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_core::ids::NodeName;
use memchr::memmem;
use sha2::{Digest as _, Sha256};

use super::trace::short;

/// The mark in everything that a person writes in a simulation.
pub const MARK: &str = "cnry-";

#[derive(Default)]
struct Seen {
    frames: u64,
    bytes: u64,
    /// Of all frames, in their order.
    digest: u64,
    /// Keys that stand for a person, with their hexadecimal digits and the person's home.
    keys: BTreeMap<Vec<u8>, (String, String)>,
    /// Keys that were seen between two processes at home.
    at_home: BTreeSet<Vec<u8>>,
    abroad: Vec<String>,
}

/// The tap on all links.
#[derive(Default)]
pub struct Tap {
    /// The domain of each process.
    domains: BTreeMap<NodeName, String>,
    seen: Mutex<Seen>,
}

impl Tap {
    /// A tap that knows where each process stands.
    #[must_use]
    pub fn new(domains: BTreeMap<NodeName, String>) -> Self {
        Self { domains, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for `key`, which stands for a person at home in `home`, from now on.
    pub fn watch_for(&self, key: &[u8], home: &str) {
        let hex = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.seen().keys.insert(key.to_vec(), (hex, home.to_owned()));
    }

    /// Takes note of bytes on their way.
    pub fn sees(&self, from: &NodeName, to: &NodeName, bytes: &[u8]) {
        let at = |name| self.domains.get(name).map_or("", String::as_str);
        let mut seen = self.seen();
        seen.frames += 1;
        seen.bytes += bytes.len() as u64;
        let digest = Sha256::new().chain_update(seen.digest.to_be_bytes());
        let digest = digest.chain_update(from.as_str()).chain_update(to.as_str());
        let digest = digest.chain_update(bytes).finalize();
        seen.digest = u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default());
        let link = format!("on the link from {from} to {to}");
        if at(from) == at(to) {
            seen.inside(at(from), bytes);
        }
        seen.outside(&link, &[at(from), at(to)], bytes);
    }

    /// Looks at what a disk in `domain` holds.
    pub fn sees_disk(&self, node: &NodeName, domain: &str, what: &str, bytes: &[u8]) {
        let mut seen = self.seen();
        seen.inside(domain, bytes);
        seen.outside(&format!("on the disk of {node}, {what}"), &[domain], bytes);
    }

    /// Persons whose key was never seen at home, and what was seen abroad.
    #[must_use]
    pub fn findings(&self) -> (Vec<String>, Vec<String>) {
        let seen = self.seen();
        let unseen = seen.keys.keys().filter(|key| !seen.at_home.contains(*key));
        (unseen.map(|key| short(key)).collect(), seen.abroad.clone())
    }

    /// Frames, bytes, and a digest of all that was sent.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64, String) {
        let seen = self.seen();
        (seen.frames, seen.bytes, format!("{:016x}", seen.digest))
    }
}

impl Seen {
    fn inside(&mut self, domain: &str, bytes: &[u8]) {
        let here = self.keys.iter().filter(|(key, (hex, home))| {
            *home == domain && !self.at_home.contains(*key) && holds(bytes, key, hex)
        });
        let here: Vec<Vec<u8>> = here.map(|(key, _)| key.clone()).collect();
        self.at_home.extend(here);
    }

    fn outside(&mut self, place: &str, domains: &[&str], bytes: &[u8]) {
        let foreign = |home: &String| domains.iter().any(|domain| domain != home);
        let found =
            self.keys.iter().filter(|(key, (hex, home))| foreign(home) && holds(bytes, key, hex));
        let found: Vec<_> = found.map(|(key, _)| format!("{place}: key {}", short(key))).collect();
        self.abroad.extend(found);
        let plain = self.keys.values().any(|(_, home)| foreign(home))
            && memmem::find(bytes, MARK.as_bytes()).is_some();
        if plain {
            self.abroad.push(format!("{place}: what a person wrote, in the clear"));
        }
    }
}

/// Whether a key is there, as it is or in hexadecimal digits.
fn holds(bytes: &[u8], key: &[u8], hex: &str) -> bool {
    memmem::find(bytes, key).is_some() || memmem::find(bytes, hex.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_abroad_is_found_and_one_that_was_never_seen_at_home_is_told() {
        let name = |text: &str| text.parse::<NodeName>().unwrap();
        let places = [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us")];
        let tap = Tap::new(places.map(|(n, d)| (name(n), d.to_owned())).into());
        tap.watch_for(&[7; 32], "eu");
        tap.sees(&name("eu-1"), &name("eu-2"), b"nothing");
        assert_eq!(tap.findings().0.len(), 1);
        tap.sees(&name("eu-1"), &name("eu-2"), &[7; 40]);
        assert_eq!(tap.findings(), (vec![], vec![]));
        tap.sees(&name("eu-1"), &name("us-1"), &[7; 40]);
        tap.sees(&name("us-1"), &name("us-1"), &[7; 40]);
        tap.sees(&name("eu-1"), &name("us-1"), "07".repeat(32).as_bytes());
        assert_eq!(tap.findings().1.len(), 3);
    }
}
