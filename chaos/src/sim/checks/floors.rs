//! The floors of the packs hold: of a finished slate as many items are local as they ask for, or the slate tells
//! that they are not; and it does not tell so of a floor that it keeps.

use bailiwick_proto::v1;

/// The pack whose floor is looked at, and its place.
const PLACE: &str = "EU";
/// The share of local items that it asks for.
const SHARE: f64 = 0.3;

/// What a slate breaks, where `local` says which items are from the place.
pub fn check(slate: &v1::RecommendResponse, local: impl Fn(&str) -> bool) -> Option<String> {
    let decision = slate.decision.as_ref()?;
    if !decision.packs.iter().any(|pack| pack.pack == PLACE) {
        return None;
    }
    let found = number(slate.items.iter().filter(|item| local(&item.item)).count());
    let items = number(slate.items.len());
    let kept = found >= (SHARE * items).ceil();
    let floor = format!("local_share {PLACE}");
    let told = decision.floors_unmet.iter().any(|unmet| unmet.floor == floor);
    let words = match (kept, told) {
        (false, false) => "and it is not told",
        (true, true) => "and a floor is told to be missed",
        _ => return None,
    };
    Some(format!("{found} of {items} items are from {PLACE}, {words}"))
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slate_is_judged() {
        let check = |items: &[&str], pack: &str, told: bool, fine: bool| {
            let item = |item: &&str| v1::RankedItem { item: (*item).into(), ..Default::default() };
            let pack = v1::PackRef { pack: pack.into(), ..Default::default() };
            let unmet = v1::FloorUnmet { floor: "local_share EU".into(), ..Default::default() };
            let slate = v1::RecommendResponse {
                items: items.iter().map(item).collect(),
                decision: Some(v1::Decision {
                    packs: vec![pack],
                    floors_unmet: if told { vec![unmet] } else { Vec::new() },
                    ..Default::default()
                }),
                ..Default::default()
            };
            let found = super::check(&slate, |item| item.starts_with("local"));
            assert_eq!(found.is_none(), fine, "{items:?}: {found:?}");
        };
        check(&["local-1", "local-2", "a", "b"], "EU", false, true);
        check(&["local-1", "a", "b", "c"], "EU", false, false);
        check(&["local-1", "a", "b", "c"], "EU", true, true);
        check(&["local-1", "local-2", "a", "b"], "EU", true, false);
        check(&["a", "b"], "US", false, true);
        check(&[], "EU", false, true);
    }

    #[test]
    fn the_pack_asks_for_so_much() {
        let pack = include_str!("../../../../deploy/policies/EU.toml");
        assert!(pack.contains(&format!("local_share = {{ {PLACE} = {SHARE} }}")));
    }
}
