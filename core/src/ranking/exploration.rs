//! Exploration: a few places of a slate are given to items of which nothing is known yet, drawn by chance.
//!
//! Drawn evenly among those that may stand there, one place after the other, so that the chance of each is known
//! exactly (its propensity) and what comes of it can be judged without bias. Nothing is inferred of anybody.

use crate::learning::Draws;
use crate::policy::Ratio;

use super::{Floors, Part, Row, Shelf, Weight};

/// Places of one slate that are explored at most, however long it is.
const PLACES_MAX: usize = 10;
/// Items that are drawn from, at most.
const POOL_MAX: usize = 100;
/// Places tried, from the last upwards, for one that may be given away without costing a floor.
const TRIED_MAX: usize = 8;

/// What may be explored in a slate.
#[derive(Debug, Clone, PartialEq)]
pub struct Exploration {
    /// The greatest share of the slate's places.
    pub share_max: Ratio,
    /// Rows of which nothing is known yet, in the order in which they are taken into the draw; filters hold for them
    /// as for all.
    pub rows: Vec<Row>,
    /// Where chance comes from: the same draws over the same catalogue give the same slate.
    pub draws: Draws,
}

impl Default for Exploration {
    fn default() -> Self {
        Self { share_max: Ratio::ZERO, rows: Vec::new(), draws: Draws::new(0) }
    }
}

/// An item that chance brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explored {
    /// The item.
    pub row: Row,
    /// Its place in the slate, from 1.
    pub place: usize,
    /// How likely this item was at this place, given the draws before it.
    pub propensity: f64,
}

impl Exploration {
    /// The name of what chance brings, among sources and weights.
    pub const NAME: &'static str = "exploration";

    /// That chance brought an item; it says nothing for it.
    pub(super) fn part() -> Part {
        Part { source: Self::NAME, signal: None, score: 0.0, from: None }
    }

    /// The weights of what else decided, and the share of the places that chance filled beside them; the sum stays.
    pub(super) fn told(weights: Vec<Weight>, share: f32) -> Vec<Weight> {
        if share == 0.0 {
            return weights;
        }
        let scaled = |w: Weight| Weight { weight: w.weight * (1.0 - share), ..w };
        let mut told: Vec<Weight> = weights.into_iter().map(scaled).collect();
        told.push(Weight { source: Self::NAME, words: "chance, among new items", weight: share });
        told.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        told
    }

    /// Gives places of a finished slate to items that pass `keep`, from the last place upwards, and says which.
    /// A place is given away only to items with which no more floors are missed than before.
    pub(super) fn explore(
        &self,
        shelf: &dyn Shelf,
        floors: &Floors,
        keep: &dyn Fn(Row) -> bool,
        rows: &mut [Row],
    ) -> Vec<Explored> {
        let places = self.share_max.within(rows.len()).min(PLACES_MAX);
        if places == 0 {
            return Vec::new();
        }
        let fresh = self.rows.iter().copied().filter(|row| !rows.contains(row) && keep(*row));
        let mut pool: Vec<Row> = fresh.take(POOL_MAX).collect();
        let missed = floors.unmet(shelf, rows).len();
        let mut explored: Vec<Explored> = Vec::new();
        for draw in 0..places {
            let taken: Vec<usize> = explored.iter().map(|known| known.place).collect();
            let free = (1..=rows.len()).rev().filter(|place| !taken.contains(place));
            let may_stand = |place: usize| {
                let with = |row: &Row| placed(rows, place, *row);
                let kept = |row: &Row| floors.unmet(shelf, &with(row)).len() <= missed;
                let fit: Vec<Row> = pool.iter().copied().filter(kept).collect();
                (!fit.is_empty()).then_some((place, fit))
            };
            let Some((place, fit)) = free.take(TRIED_MAX).find_map(may_stand) else { break };
            let Some(row) = self.drawn(draw, &fit) else { break };
            rows.copy_from_slice(&placed(rows, place, row));
            pool.retain(|other| *other != row);
            explored.push(Explored { row, place, propensity: 1.0 / fit.len() as f64 });
        }
        explored
    }

    fn drawn(&self, draw: usize, fit: &[Row]) -> Option<Row> {
        let at = self.draws.below(draw as u64, fit.len() as u64);
        fit.get(usize::try_from(at).ok()?).copied()
    }
}

/// The rows with another one at a place.
fn placed(rows: &[Row], place: usize, row: Row) -> Vec<Row> {
    let place = |(at, old): (usize, &Row)| if at + 1 == place { row } else { *old };
    rows.iter().enumerate().map(place).collect()
}
