//! The finished list, and the floors it must keep.

use super::{Row, Shelf};

/// A floor that a slate could not keep: it is told with the decision, not hidden.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Floor {
    /// Intra-list diversity.
    Diversity {
        /// What the pack asks for, 0 to 1.
        wanted: f32,
        /// What was reached.
        reached: f32,
    },
}

/// Rows in the order shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slate {
    /// Row and score, best first under the floors.
    pub items: Vec<(Row, f32)>,
    /// Floors that could not be kept.
    pub unmet: Vec<Floor>,
}

/// Steps in which relevance is traded for diversity until the floor holds.
const TRADE: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

/// Intra-list diversity, `2/(n(n-1)) * sum_{i<j} d(i,j)` with `d = (1 - cos)/2`; 1 below two items.
///
/// With unit vectors the sum over pairs is `(|sum v|^2 - sum |v|^2) / 2`, so this costs O(n d). An item
/// without a vector is at distance 1/2 from all others.
#[must_use]
pub fn diversity(shelf: &dyn Shelf, rows: &[Row]) -> f32 {
    let n = rows.len();
    if n < 2 {
        return 1.0;
    }
    let mut sum = Direction::default();
    let mut norms = 0.0;
    for vector in rows.iter().filter_map(|&row| shelf.vector(row)) {
        sum.add(vector);
        norms += dot(vector, vector);
    }
    let pairs = count(n) * count(n - 1);
    (1.0 - (dot(&sum.0, &sum.0) - norms) / pairs) / 2.0
}

/// Takes the best `limit` of `ranked` (best first), giving up as little relevance as the floor allows.
#[must_use]
pub(super) fn compose(shelf: &dyn Shelf, ranked: &[(Row, f32)], limit: usize, floor: f32) -> Slate {
    let mut best = Slate::default();
    let mut reached = -1.0;
    for trade in TRADE {
        let items = greedy(shelf, ranked, limit, trade);
        let rows: Vec<Row> = items.iter().map(|(row, _)| *row).collect();
        let found = diversity(shelf, &rows);
        if found > reached {
            (best.items, reached) = (items, found);
        }
        if reached >= floor {
            return best;
        }
    }
    best.unmet.push(Floor::Diversity { wanted: floor, reached });
    best
}

/// Greedy choice by `(1 - trade) * relevance + trade * mean distance to what is chosen`.
fn greedy(shelf: &dyn Shelf, ranked: &[(Row, f32)], limit: usize, trade: f32) -> Vec<(Row, f32)> {
    if trade == 0.0 {
        return ranked.iter().take(limit).copied().collect();
    }
    let top = ranked.first().map_or(1.0, |(_, score)| score.max(f32::MIN_POSITIVE));
    let mut left: Vec<(Row, f32)> = ranked.to_vec();
    let mut chosen: Vec<(Row, f32)> = Vec::with_capacity(limit.min(left.len()));
    let mut sum = Direction::default();
    while chosen.len() < limit && !left.is_empty() {
        let value = |(row, score): &(Row, f32)| {
            let near =
                shelf.vector(*row).map_or(0.0, |v| dot(v, &sum.0)) / count(chosen.len().max(1));
            (1.0 - trade) * score / top + trade * (1.0 - near) / 2.0
        };
        let best = left
            .iter()
            .enumerate()
            .max_by(|(i, a), (j, b)| value(a).total_cmp(&value(b)).then(j.cmp(i)))
            .map_or(0, |(at, _)| at);
        let item = left.remove(best);
        if let Some(vector) = shelf.vector(item.0) {
            sum.add(vector);
        }
        chosen.push(item);
    }
    chosen
}

/// A sum of vectors; as long as the longest that was added.
#[derive(Default)]
struct Direction(Vec<f32>);

impl Direction {
    fn add(&mut self, vector: &[f32]) {
        if self.0.len() < vector.len() {
            self.0.resize(vector.len(), 0.0);
        }
        for (sum, x) in self.0.iter_mut().zip(vector) {
            *sum += x;
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[allow(clippy::cast_precision_loss)] // slates have at most a few thousand items
fn count(n: usize) -> f32 {
    n as f32
}
