//! What holds when slates are composed for more than relevance.

use std::num::NonZeroU64;

use super::super::floors::{Direction, Quota, count};
use super::*;

const CATEGORIES: [&str; 4] = ["Art", "Bach", "Chess", "Dance"];
const CREATORS: [&str; 4] = ["Ann", "Ben", "Cleo", "Dan"];
const DAY_MS: i64 = 24 * 3_600_000;

/// What the objectives look at of one item: categories by bits, a creator, an age in days.
type Look = (u8, usize, i64);

fn looks() -> impl Strategy<Value = Vec<Look>> {
    vec((0_u8..16, 0..=CREATORS.len(), 0_i64..100), 40)
}

impl Few {
    fn looking(mut self, looks: &[Look]) -> Self {
        for ((facts, _), (bits, creator, days)) in self.items.iter_mut().zip(looks) {
            let chosen = CATEGORIES.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            facts.category = chosen.map(|(_, name)| (*name).to_owned()).collect();
            facts.creator = CREATORS.get(*creator).map(|name| (*name).to_owned());
            facts.published = Some(UnixMillis(-days * DAY_MS));
        }
        self
    }
}

fn ratio(value: f64) -> Ratio {
    Ratio::new(value).unwrap()
}

fn weighing(calibration: f64, freshness: f64) -> Objectives {
    Objectives::weighing(ratio(calibration), ratio(freshness)).unwrap()
}

fn aims(shelf: &Few, history: &[Row], objectives: Objectives) -> Aims {
    let taste = Mix::of(shelf, history.iter().map(|row| (*row, 1.0)));
    Aims { objectives, taste, now: UnixMillis(0) }
}

fn falling(shelf: &Few) -> Vec<(Row, f32)> {
    (0..).take(shelf.items.len()).map(|row: Row| (row, 1.0 / (row + 1) as f32)).collect()
}

fn shown(slate: &Slate) -> Vec<Row> {
    slate.items.iter().map(|(row, _)| *row).collect()
}

/// The definition, term by term.
fn by_terms(shelf: &Few, history: &[Row], rows: &[Row]) -> f64 {
    let has = |row: Row, name: &str| shelf.items[row as usize].0.category.iter().any(|c| c == name);
    let part = |row: Row, name: &str| {
        let categories = shelf.items[row as usize].0.category.len().max(1);
        if has(row, name) { 1.0 / categories as f64 } else { 0.0 }
    };
    let told = history.iter().filter(|row| !shelf.items[**row as usize].0.category.is_empty());
    let told = told.count() as f64;
    let place = |at: usize| 1.0 / (2.0 + at as f64).log2();
    let weight: f64 = (0..rows.len()).map(place).sum();
    let term = |name: &&str| {
        let p = history.iter().map(|row| part(*row, name)).sum::<f64>() / told;
        let q = rows.iter().enumerate().map(|(at, row)| place(at) * part(*row, name));
        let q = if rows.is_empty() { 0.0 } else { q.sum::<f64>() / weight };
        if p > 0.0 { p * (p / (0.99 * q + 0.01 * p)).ln() } else { 0.0 }
    };
    CATEGORIES.iter().map(term).sum()
}

/// Slates as they were composed before there were objectives.
fn without_objectives(shelf: &Few, ranked: &[(Row, f32)], limit: usize, floors: &Floors) -> Slate {
    let by = |trade: f32| {
        let (mut left, mut chosen) = (ranked.to_vec(), Vec::new());
        let mut sum = Direction::default();
        let mut quota = Quota::of(&floors.local, limit);
        while chosen.len() < limit {
            let due = quota.items() > 0 && quota.items() >= limit - chosen.len();
            let mut best: Option<(usize, u8, f32)> = None;
            for (at, (row, score)) in left.iter().enumerate() {
                let help = if due { quota.help(shelf, *row) } else { 0 };
                let near = shelf.direction(*row).map_or(0.0, |vector| sum.along(vector));
                let distance = (1.0 - near / count(chosen.len().max(1))) / 2.0;
                let value = (1.0 - trade) * score / ranked[0].1 + trade * distance;
                if best.is_none_or(|(_, most, worth)| (help, value) > (most, worth)) {
                    best = Some((at, help, value));
                }
            }
            let item = left.remove(best.unwrap().0);
            shelf.direction(item.0).into_iter().for_each(|vector| sum.add(vector));
            quota = quota.after(shelf, item.0);
            chosen.push(item);
        }
        chosen.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let rows: Vec<Row> = chosen.iter().map(|(row, _)| *row).collect();
        (chosen, diversity(shelf, &rows))
    };
    let mut best = by(0.0);
    if best.1 < floors.diversity {
        best = by(1.0);
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..6 {
            let trade = (low + high) / 2.0;
            let tried = by(trade);
            let enough = tried.1 >= floors.diversity;
            if enough || tried.1 > best.1 {
                best = tried;
            }
            (low, high) = if enough { (low, trade) } else { (trade, high) };
        }
    }
    let rows: Vec<Row> = best.0.iter().map(|(row, _)| *row).collect();
    Slate { items: best.0, unmet: floors.unmet(shelf, &rows) }
}

proptest! {
    #[test]
    fn without_weights_a_slate_is_what_it_was(
        vectors in vectors(),
        looks in looks(),
        origins in vec(0_usize..ORIGINS.len(), 40),
        local in shares(),
        limit in 0_usize..25,
        diversity in 0.0_f32..0.9,
    ) {
        let shelf = Few::of(vectors).from(&origins).looking(&looks);
        let (ranked, floors) = (falling(&shelf), Floors { diversity, local });
        let limit = limit.min(ranked.len());
        let expected = without_objectives(&shelf, &ranked, limit, &floors);
        let aims = aims(&shelf, &[0], Objectives::default());
        let slate = compose(&shelf, &ranked, limit, &floors, &aims);
        // Bit by bit: floats are compared as they are.
        prop_assert_eq!(slate, expected);
    }

    #[test]
    fn the_divergence_and_what_an_item_gains_follow_the_definition(
        looks in looks(),
        history in vec(0_u32..40, 1..20),
        rows in vec(0_u32..40, 0..20),
        next in 0_u32..40,
    ) {
        let mut shelf = Few::plain(40).looking(&looks);
        shelf.items.push((item(40), Vec::new()));
        let taste = Mix::of(&shelf, history.iter().map(|row| (*row, 1.0)));
        let with = |row: Row| [rows.as_slice(), &[row]].concat();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        if taste.is_empty() {
            prop_assert_eq!(divergence(&shelf, &taste, &rows), 0.0);
            return Ok(());
        }
        prop_assert!(near(divergence(&shelf, &taste, &rows), by_terms(&shelf, &history, &rows)));
        let mut filling = super::super::calibration::Filling::of(&taste);
        rows.iter().for_each(|row| filling.take(&taste.given(&shelf, *row)));
        let gain = filling.gain(&taste.given(&shelf, next));
        let nothing = by_terms(&shelf, &history, &with(40));
        let place = |at: usize| 1.0 / (2.0 + at as f64).log2();
        let part = place(rows.len()) / (0..=rows.len()).map(place).sum::<f64>();
        let gained = nothing - by_terms(&shelf, &history, &with(next));
        prop_assert!(near(gain * part, gained), "{} {}", gain * part, gained);
    }

    #[test]
    fn calibration_alone_never_goes_further_from_the_history(
        looks in looks(),
        history in vec(0_u32..40, 1..20),
        limit in 0_usize..25,
        freshness in 0.0_f64..1.0,
    ) {
        let shelf = Few::plain(40).looking(&looks);
        let (ranked, floors) = (falling(&shelf), Floors::default());
        let off = |calibration, freshness| {
            let aims = aims(&shelf, &history, weighing(calibration, freshness));
            let slate = compose(&shelf, &ranked, limit, &floors, &aims);
            (divergence(&shelf, &aims.taste, &shown(&slate)), slate)
        };
        let (plain, calibrated) = (off(0.0, 0.0), off(1.0, 0.0));
        prop_assert!(calibrated.0 <= plain.0 + 1e-9, "{calibrated:?} {plain:?}");
        prop_assert_eq!(calibrated.1.items.len(), plain.1.items.len());
        // The score stays the relevance, whatever else weighed.
        let mixed = off(1.0 - freshness, freshness).1;
        prop_assert!(mixed.items.iter().all(|item| ranked.contains(item)));
    }

    #[test]
    fn objectives_cost_no_floor(
        vectors in vectors(),
        looks in looks(),
        origins in vec(0_usize..ORIGINS.len(), 40),
        local in shares(),
        history in vec(0_u32..40, 0..20),
        limit in 0_usize..25,
        diversity in 0.0_f32..0.9,
        calibration in 0.0_f64..0.6,
        freshness in 0.0_f64..0.4,
        share in 0.0_f64..1.0,
    ) {
        let shelf = Few::of(vectors).from(&origins).looking(&looks);
        let (ranked, floors) = (falling(&shelf), Floors { diversity, local });
        let there: Vec<Row> =
            history.into_iter().filter(|row| (*row as usize) < shelf.items.len()).collect();
        let wish = weighing(calibration, freshness).with_creator_share_max(ratio(share));
        let of = |objectives| {
            compose(&shelf, &ranked, limit, &floors, &aims(&shelf, &there, objectives))
        };
        let (plain, slate) = (of(Objectives::default()), of(wish));
        let rows = shown(&slate);
        prop_assert_eq!(rows.len(), limit.min(ranked.len()));
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        prop_assert_eq!(distinct.len(), rows.len());
        prop_assert!(slate.items.iter().all(|item| ranked.contains(item)));
        prop_assert_eq!(&slate.unmet, &floors.unmet(&shelf, &rows));
        prop_assert!(slate.unmet.len() <= plain.unmet.len(), "{slate:?} {plain:?}");
    }

    #[test]
    fn no_creator_takes_more_than_a_share_while_there_are_others(
        looks in looks(),
        limit in 1_usize..25,
        share in 0.0_f64..1.0,
        freshness in prop_oneof![Just(0.0), 0.0_f64..1.0],
    ) {
        let shelf = Few::plain(40).looking(&looks);
        let wish = weighing(0.0, freshness).with_creator_share_max(ratio(share));
        let ranked = falling(&shelf);
        let slate =
            compose(&shelf, &ranked, limit, &Floors::default(), &aims(&shelf, &[], wish));
        let creator = |row: Row| shelf.items[row as usize].0.creator.clone();
        let most = ((limit as f64 * share + 1e-4).floor() as usize).max(1);
        let rows = shown(&slate);
        let items = |name: &str| rows.iter().filter(|r| creator(**r).as_deref() == Some(name)).count();
        let above = CREATORS.iter().any(|name| items(name) > most);
        let left = (0..40).filter(|row| !rows.contains(row));
        let others = left.filter(|row| creator(*row).is_none_or(|name| items(&name) < most)).count();
        prop_assert!(!above || others == 0, "{others} others are left: {rows:?}");
    }
}

/// Nine of ten of the best are art; whoever took as much chess is shown as much.
#[test]
fn a_history_of_two_kinds_gives_a_slate_of_two_kinds() {
    let looks: Vec<Look> = (0..40).map(|row| (if row % 10 == 9 { 4 } else { 1 }, 0, 0)).collect();
    let shelf = Few::plain(40).looking(&looks);
    let of = |calibration| {
        let aims = aims(&shelf, &[0, 9], weighing(calibration, 0.0));
        let slate = compose(&shelf, &falling(&shelf), 6, &Floors::default(), &aims);
        (shown(&slate), divergence(&shelf, &aims.taste, &shown(&slate)))
    };
    let (plain, off) = of(0.0);
    assert_eq!(plain, [0, 1, 2, 3, 4, 5]);
    let (calibrated, near) = of(0.9);
    assert_eq!(calibrated.iter().filter(|row| *row % 10 == 9).count(), 3, "{calibrated:?}");
    assert!(off > 1.9 && near < 0.05, "{off} {near}");
    assert_eq!(calibrated[0], 0, "what is as far from the mix comes by relevance");
}

#[test]
fn the_new_come_first_where_only_that_counts() {
    let looks: Vec<Look> = [(0, 0, 9), (0, 0, 3), (0, 0, 6)].to_vec();
    let mut shelf = Few::plain(4).looking(&looks);
    shelf.items[3].0.published = None;
    let of = |freshness, days| {
        let half_life = NonZeroU64::new(days * DAY_MS as u64).unwrap();
        let wish = weighing(0.0, freshness).with_half_life_ms(half_life);
        let aims = aims(&shelf, &[], wish);
        shown(&compose(&shelf, &falling(&shelf), 3, &Floors::default(), &aims))
    };
    assert_eq!(of(1.0, 3), [1, 2, 0], "an unknown age is not new");
    assert_eq!(of(0.4, 3000), [0, 1, 2], "so long a half-life tells them not apart");
}

#[test]
fn what_counted_is_told_with_its_weight() {
    let shelf = Few::plain(4).looking(&[(1, 0, 0), (2, 1, 0), (1, 2, 0), (2, 3, 0)]);
    let brings = Given::new("a", &[], &[(0, 0.9), (1, 0.8), (2, 0.7)]);
    let told = |history: &[Row], objectives| {
        let rules = Rules { aims: aims(&shelf, history, objectives), ..rules(&[], 2) };
        let ranking = ranked(&rules, &[&brings], &[], &shelf);
        for item in &ranking.items {
            assert_eq!(item.why.iter().map(|(_, share)| share).sum::<f32>(), item.score);
        }
        let told = ranking.parameters.into_iter();
        told.map(|weight| (weight.source, weight.weight)).collect::<Vec<_>>()
    };
    assert_eq!(told(&[3], Objectives::default()), [("a", 1.0)]);
    let wish = weighing(0.25, 0.125);
    assert_eq!(told(&[3], wish), [("a", 0.625), ("calibration", 0.25), ("freshness", 0.125)]);
    // Of a person whose history says nothing, the mix did not count.
    assert_eq!(told(&[], wish), [("a", 0.875), ("freshness", 0.125)]);
    let limited = Objectives::default().with_creator_share_max(ratio(0.5));
    assert_eq!(told(&[3], limited), [("a", 1.0), ("creator_share_max", 0.0)]);
    assert_eq!(Objectives::weighing(ratio(0.6), ratio(0.5)), None);
}
