//! The finished list, and how it is chosen so that it keeps its floors.

use super::floors::{Direction, Quota, count};
use super::{Floor, Floors, Row, Shelf, diversity};

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

/// Takes the best `limit` of `ranked` (best first), giving up as little relevance as the floors allow. What is
/// taken is shown by score: the floors are of the list as a whole, whatever its order.
#[must_use]
pub fn compose(shelf: &dyn Shelf, ranked: &[(Row, f32)], limit: usize, floors: &Floors) -> Slate {
    let choice = Choice { shelf, ranked, limit: limit.min(ranked.len()), floors };
    let items = choice.found();
    let rows: Vec<Row> = items.iter().map(|(row, _)| *row).collect();
    // INVARIANT: the floors are looked at on what is shown, however it was chosen.
    let unmet = floors.unmet(shelf, &rows);
    Slate { items, unmet }
}

/// A slate to be chosen.
struct Choice<'a> {
    shelf: &'a dyn Shelf,
    ranked: &'a [(Row, f32)],
    limit: usize,
    floors: &'a Floors,
}

impl Choice<'_> {
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

    /// The greedy choice by `(1 - trade) * relevance + trade * mean distance to what is chosen`, and its
    /// diversity.
    fn by(&self, trade: f32) -> (Vec<(Row, f32)>, f32) {
        let mut left: Vec<(Row, f32)> = self.ranked.to_vec();
        let mut chosen: Vec<(Row, f32)> = Vec::with_capacity(self.limit);
        let mut sum = Direction::default();
        let mut quota = Quota::of(&self.floors.local, self.limit);
        while chosen.len() < self.limit {
            let Some(at) = self.next(&left, chosen.len(), &sum, &quota, trade) else { break };
            let item = left.remove(at);
            if let Some(vector) = self.shelf.direction(item.0) {
                sum.add(vector);
            }
            quota = quota.after(self.shelf, item.0);
            chosen.push(item);
        }
        chosen.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let rows: Vec<Row> = chosen.iter().map(|(row, _)| *row).collect();
        let reached = diversity(self.shelf, &rows);
        (chosen, reached)
    }

    /// Where in `left` the next item stands. Once no more places are left than the quota wants, what fills it
    /// goes first.
    fn next(
        &self,
        left: &[(Row, f32)],
        chosen: usize,
        sum: &Direction,
        quota: &Quota<'_>,
        trade: f32,
    ) -> Option<usize> {
        let due = quota.items() > 0 && quota.items() >= self.limit - chosen;
        if trade == 0.0 && !due {
            return (!left.is_empty()).then_some(0);
        }
        let worth = |item: &(Row, f32)| {
            let help = if due { quota.help(self.shelf, item.0) } else { 0 };
            (help, self.value(item, chosen, sum, trade))
        };
        let worths = left.iter().map(worth).zip(0..);
        // The earlier one of equals: it stood first.
        let best = worths.max_by(|((help, value), at), ((more, other), next)| {
            help.cmp(more).then(value.total_cmp(other)).then(next.cmp(at))
        });
        best.map(|(_, at)| at)
    }

    fn value(&self, (row, score): &(Row, f32), chosen: usize, sum: &Direction, trade: f32) -> f32 {
        let top = self.ranked.first().map_or(1.0, |(_, score)| score.max(f32::MIN_POSITIVE));
        let near = self.shelf.direction(*row).map_or(0.0, |vector| sum.along(vector));
        let distance = (1.0 - near / count(chosen.max(1))) / 2.0;
        (1.0 - trade) * score / top + trade * distance
    }
}
