//! Nobody comes back who was erased: of what was sent before an erasure that was acknowledged, nothing is kept after it.

use std::collections::BTreeSet;

/// What of the ids in `gone` is kept.
#[must_use]
pub fn check(
    name: &str,
    gone: &BTreeSet<String>,
    kept: impl Iterator<Item = String>,
) -> Option<String> {
    let back: Vec<String> = kept.filter(|id| gone.contains(id)).collect();
    (!back.is_empty()).then(|| format!("{name}: erased, and kept again: {back:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_erased_is_found_when_it_is_kept() {
        let gone: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        let kept = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(check("ella", &gone, kept(&["c"]).into_iter()), None);
        assert!(check("ella", &gone, kept(&["c", "b"]).into_iter()).unwrap().contains("\"b\""));
    }
}
