//! The default packs, inside the binary.

use bailiwick_core::policy::{PackFile, PackSet};

include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// All of them together.
pub(crate) fn default_packs() -> PackSet {
    let files = TEXTS.iter().filter_map(|(_, text)| PackFile::parse(text).ok());
    // INVARIANT: what is shipped holds together; `policy check` says so of the same files in the tests.
    PackSet::compile(files).unwrap_or_else(|_| unreachable!("the default packs are whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_pack_is_one() {
        assert!(TEXTS.iter().all(|(_, text)| PackFile::parse(text).is_ok()));
        let _ = default_packs();
    }
}
