//! A slate shows nothing that the request excludes, nothing twice, and no more than was asked for.

use std::collections::BTreeSet;

use bailiwick_proto::v1;

/// What a slate shows that it may not.
#[must_use]
pub fn check(slate: &v1::RecommendResponse, limit: usize, exclude: &[&str]) -> Option<String> {
    let items: Vec<&str> = slate.items.iter().map(|item| item.item.as_str()).collect();
    if let Some(shown) = items.iter().find(|item| exclude.contains(item)) {
        return Some(format!("{shown} was excluded and is shown"));
    }
    let different: BTreeSet<&str> = items.iter().copied().collect();
    if different.len() < items.len() || items.len() > limit {
        return Some(format!("{} items, {} different, of {limit}", items.len(), different.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slate_is_judged() {
        let check = |items: &[&str], fine| {
            let ranked = |item: &&str| v1::RankedItem {
                item: (*item).to_owned(),
                ..v1::RankedItem::default()
            };
            let slate = v1::RecommendResponse {
                items: items.iter().map(ranked).collect(),
                ..v1::RecommendResponse::default()
            };
            assert_eq!(super::check(&slate, 2, &["x"]).is_none(), fine, "{items:?}");
        };
        check(&["a", "b"], true);
        check(&[], true);
        check(&["a", "x"], false);
        check(&["a", "a"], false);
        check(&["a", "b", "c"], false);
    }
}
