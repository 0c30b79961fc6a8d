//! The optimiser: Adam (Kingma and Ba 2015), the same bits wherever it is computed.

use super::{Block, PooledModel, Share};
use crate::numbers::{add_scaled, dot, normalise};

/// Decay of the mean of gradients.
const MEAN: f32 = 0.9;
/// Decay of the mean of their squares: short, since there are few rounds and each sums many examples.
const SQUARE: f32 = 0.99;
/// Gradients below this move next to nothing: they are what was rounded off. An example's own are some 1e-5.
const TINY: f32 = 1e-7;

/// Means of gradients and their squares, of target and history vectors.
#[derive(Debug, Clone)]
pub(super) struct Adam {
    /// Lengths of the target vectors, which the model has as directions. They grow with every step, so
    /// that a direction settles: at length 1 the items that few took would be shaken by each round's
    /// negatives for ever.
    pub(super) lengths: Vec<f32>,
    pub(super) targets: Moments,
    pub(super) history: Moments,
    /// `MEAN` and `SQUARE` to the number of steps, by which the means are still short.
    pub(super) short: (f64, f64),
}

#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) means: Block,
    pub(super) squares: Block,
}

impl Adam {
    pub(super) fn new((items, dimensions): (usize, usize)) -> Self {
        let zeros = || Block::zeros(items, dimensions);
        let moments = || Moments { means: zeros(), squares: zeros() };
        Self {
            lengths: vec![1.0; items],
            targets: moments(),
            history: moments(),
            short: (1.0, 1.0),
        }
    }

    /// One step by the mean of `examples` gradients.
    pub(super) fn step(
        &mut self,
        model: &mut PooledModel,
        total: &Share,
        examples: f64,
        rate: f64,
    ) {
        let [by_direction, by_history, _] = total.blocks();
        let part = 1.0 / examples.max(1.0);
        self.short = (self.short.0 * f64::from(MEAN), self.short.1 * f64::from(SQUARE));
        let rate = (rate * (1.0 - self.short.1).sqrt() / (1.0 - self.short.0)) as f32;
        let (targets, history) = model.blocks_mut();
        let by_target = self.of_vectors(by_direction.scaled(part), targets);
        for (row, length) in targets.rows_mut().zip(&self.lengths) {
            row.iter_mut().for_each(|v| *v *= length);
        }
        self.targets.step(targets, &by_target, rate);
        for (row, length) in targets.rows_mut().zip(&mut self.lengths) {
            *length = normalise(row);
        }
        self.history.step(history, &by_history.scaled(part), rate);
    }

    /// Gradients by vectors from gradients by their directions: what would only make a vector longer is
    /// taken out.
    fn of_vectors(&self, mut gradients: Block, directions: &Block) -> Block {
        let rows = gradients.rows_mut().zip(directions.rows());
        for ((gradient, direction), length) in rows.zip(&self.lengths) {
            let along = dot(gradient, direction);
            add_scaled(gradient, direction, -along);
            gradient.iter_mut().for_each(|g| *g /= length);
        }
        gradients
    }

    /// Whether the item's history vector ever had a gradient, that is, whether anybody took it.
    pub(super) fn moved_history(&self, item: u32) -> bool {
        self.history.squares.row(item as usize).is_some_and(|row| row.iter().any(|&v| v > 0.0))
    }
}

impl Moments {
    fn step(&mut self, vectors: &mut Block, gradients: &Block, rate: f32) {
        // Over whole slices: rows put one after the other can't be done for several values at once.
        let moments = self.means.values_mut().iter_mut().zip(self.squares.values_mut());
        let places = vectors.values_mut().iter_mut().zip(gradients.values());
        for ((vector, &gradient), (mean, square)) in places.zip(moments) {
            *mean = MEAN * *mean + (1.0 - MEAN) * gradient;
            *square = SQUARE * *square + (1.0 - SQUARE) * gradient * gradient;
            *vector -= rate * *mean / (square.sqrt() + TINY);
        }
    }
}
