//! The finished list, and how it is chosen so that it keeps its floors.

use super::floors::{Quota, count};
use super::nearness::Nearness;
use super::objectives::{Filled, Heed, Weighing};
use super::{Aims, Floor, Floors, Row, Shelf, diversity};

/// Rows in the order shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slate {
    /// Row and score, best first.
    pub items: Vec<(Row, f32)>,
    /// Floors that could not be kept.
    pub unmet: Vec<Floor>,
}

/// Halvings by which the least trade of relevance for diversity is looked for that keeps the floor.
const HALVINGS: u32 = 6;

/// Takes the best `limit` of `ranked` (best first), giving up as little relevance as the floors allow, for what
/// `aims` ask. Where they weigh nothing beside relevance, what is taken is shown by score: the floors are of the list
/// as a whole, whatever its order. Where they weigh, it is shown in the order of what it is worth at its place.
#[must_use]
pub fn compose(
    shelf: &dyn Shelf,
    ranked: &[(Row, f32)],
    limit: usize,
    floors: &Floors,
    aims: &Aims,
) -> Slate {
    let limit = limit.min(ranked.len());
    let weighing = Weighing::of(shelf, ranked, limit, aims);
    let nearness = Nearness::of(shelf, ranked);
    let quota = Quota::of(&floors.local, limit);
    let local: Vec<bool> = ranked.iter().map(|(row, _)| quota.names(shelf, *row)).collect();
    let (weighing, nearness, local) = (&weighing, &nearness, local.as_slice());
    let of =
        |heed| Choice { shelf, ranked, limit, floors, nearness, local, weighing, heed }.slate();
    let mut choices = weighing.choices().into_iter();
    let mut best = choices.next().map(of).unwrap_or_default();
    for heed in choices {
        let other = of(heed);
        // INVARIANT: no more floors are missed for the sake of an objective, and none is further off than without it.
        if other.unmet.len() < best.unmet.len()
            || (other.unmet.len() == best.unmet.len()
                && weighing.prefers(&other.items, &best.items))
        {
            best = other;
        }
    }
    best
}

/// A slate to be chosen.
struct Choice<'a> {
    shelf: &'a dyn Shelf,
    ranked: &'a [(Row, f32)],
    limit: usize,
    floors: &'a Floors,
    nearness: &'a Nearness<'a>,
    /// Whether the item at each place of `ranked` is from a place that the floors name.
    local: &'a [bool],
    weighing: &'a Weighing<'a>,
    heed: Heed,
}

impl Choice<'_> {
    fn slate(&self) -> Slate {
        let items = self.found();
        let rows: Vec<Row> = items.iter().map(|(row, _)| *row).collect();
        // INVARIANT: the floors are looked at on what is shown, however it was chosen.
        let unmet = self.floors.unmet(self.shelf, &rows);
        Slate { items, unmet }
    }

    /// The choice of least trade that is diverse enough; where none is, the most diverse one tried.
    fn found(&self) -> Vec<(Row, f32)> {
        let plain = self.by(0.0);
        if plain.1 >= self.floors.diversity {
            return plain.0;
        }
        let mut best = self.by(1.0);
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let trade = (low + high) / 2.0;
            let tried = self.by(trade);
            let enough = tried.1 >= self.floors.diversity;
            if enough || tried.1 > best.1 {
                best = tried;
            }
            (low, high) = if enough { (low, trade) } else { (trade, high) };
        }
        best.0
    }

    /// The greedy choice by `(1 - trade) * worth + trade * mean distance to what is chosen`, and its diversity. An
    /// item is worth its relevance, unless objectives say more.
    fn by(&self, trade: f32) -> (Vec<(Row, f32)>, f32) {
        let mut left: Vec<usize> = (0..self.ranked.len()).collect();
        let mut chosen: Vec<(Row, f32)> = Vec::with_capacity(self.limit);
        let mut near = vec![0.0; left.len()];
        let mut quota = Quota::of(&self.floors.local, self.limit);
        let mut filled = Filled::nothing(self.weighing, self.heed);
        while chosen.len() < self.limit {
            let so_far =
                SoFar { chosen: chosen.len(), near: &near, quota: &quota, filled: &filled };
            let Some(at) = self.next(&left, &so_far, trade) else { break };
            let place = left.remove(at);
            let Some(&item) = self.ranked.get(place) else { break };
            if trade > 0.0 {
                near.iter_mut().zip(&*self.nearness.with(place)).for_each(|(sum, dot)| *sum += dot);
            }
            quota = quota.after(self.shelf, item.0);
            filled.take(item.0);
            chosen.push(item);
        }
        if self.heed != Heed::All {
            chosen.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        let rows: Vec<Row> = chosen.iter().map(|(row, _)| *row).collect();
        let reached = diversity(self.shelf, &rows);
        (chosen, reached)
    }

    /// Where in `left` the next item stands. Once no more places are left than the quota wants, what fills it
    /// goes first; then whose creator has room.
    fn next(&self, left: &[usize], so_far: &SoFar<'_>, trade: f32) -> Option<usize> {
        let quota = so_far.quota;
        let wanted = quota.items();
        let due = wanted > 0 && wanted >= self.limit - so_far.chosen;
        if trade == 0.0 && !due && self.heed == Heed::Nothing {
            return (!left.is_empty()).then_some(0);
        }
        let worth = |&place: &usize| {
            let (row, score) = self.ranked.get(place).copied().unwrap_or_default();
            // What is from nowhere that counts helps with nothing.
            let local = due && self.local.get(place).copied().unwrap_or_default();
            let help = if local { quota.help(self.shelf, row) } else { 0 };
            let near = so_far.near.get(place).copied().unwrap_or_default();
            let distance = (1.0 - near / count(so_far.chosen.max(1))) / 2.0;
            (help, so_far.filled.has_room(row), self.value(row, score, distance, so_far, trade))
        };
        let worths = left.iter().map(worth).zip(0..);
        // The earlier one of equals: it stood first.
        let best = worths.max_by(|((help, room, value), at), ((more, other_room, other), next)| {
            (help, room).cmp(&(more, other_room)).then(value.total_cmp(other)).then(next.cmp(at))
        });
        best.map(|(_, at)| at)
    }

    fn value(&self, row: Row, score: f32, distance: f32, so_far: &SoFar<'_>, trade: f32) -> f64 {
        if let Some(worth) = so_far.filled.worth(row, score) {
            return f64::from(1.0 - trade) * worth + f64::from(trade * distance);
        }
        let top = self.ranked.first().map_or(1.0, |(_, score)| score.max(f32::MIN_POSITIVE));
        f64::from((1.0 - trade) * score / top + trade * distance)
    }
}

/// What was chosen so far.
struct SoFar<'a> {
    chosen: usize,
    /// By place: the sum of the dot products with what was chosen; all 0 where distances count nothing.
    near: &'a [f32],
    quota: &'a Quota<'a>,
    filled: &'a Filled<'a>,
}
