//! The model: two vectors an item, none a person.

use super::{Blend, Block, LearningError};
use crate::numbers::{add_scaled, length, normalise};

/// The nearest of the values whose lower 16 bits are 0, as its upper ones; half to even. (A bfloat16.)
#[must_use]
#[inline]
pub fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let odd = (bits >> 16) & 1;
    // What is above 3.39e38 would become infinite; no value of a model is.
    (bits.wrapping_add(0x7fff + odd) >> 16) as u16
}

/// The value that these upper bits are of.
#[must_use]
#[inline]
pub fn whole(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Two vectors an item: a direction as something to recommend, and a vector as something that was taken.
/// A person is the direction of the sum of the second over what they took; a score is a cosine.
///
/// Where a spectrum was learned beside it ([`PooledModel::joined`]), both vectors go on by its values, and a person has
/// a direction in each part; [`PooledModel::blend`] says what the parts weigh.
#[derive(Debug, Clone, PartialEq)]
pub struct PooledModel {
    targets: Block,
    history: Block,
    /// Values of the first part.
    split: usize,
    blend: Blend,
}

impl PooledModel {
    /// The model of these vectors, items x dimensions each. The target vectors are cut to length 1; where
    /// either is zero the item counts as unknown.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the two differ in shape.
    pub fn new(mut targets: Block, history: Block) -> Result<Self, LearningError> {
        history.expect_shape(targets.shape())?;
        for row in targets.rows_mut().filter(|row| length(row) > 0.0) {
            normalise(row);
        }
        Self::received(targets, history)
    }

    /// The model of directions and history vectors that another process sent: taken bit by bit as they are,
    /// so that all domains reckon by the same numbers.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the two differ in shape.
    pub fn received(targets: Block, history: Block) -> Result<Self, LearningError> {
        history.expect_shape(targets.shape())?;
        let split = targets.shape().1;
        Ok(Self { targets, history, split, blend: Blend::DEFAULT })
    }

    /// The same with another part behind it, whose target vectors tell by their length how much they say.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the other model is of another number of items.
    pub fn joined(&self, other: &Self) -> Result<Self, LearningError> {
        Ok(Self {
            targets: self.targets.beside(&other.targets)?,
            history: self.history.beside(&other.history)?,
            split: self.dimensions(),
            blend: self.blend,
        })
    }

    /// The same, where the first part has this many values: for what another process sent in one piece.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when vectors have fewer.
    pub fn split_at(self, split: usize) -> Result<Self, LearningError> {
        match split <= self.dimensions() {
            true => Ok(Self { split, ..self }),
            false => {
                let (rows, columns) = self.targets.shape();
                Err(LearningError::Shape { found: (rows, columns), expected: (rows, split) })
            }
        }
    }

    /// The same with parts of these weights.
    #[must_use]
    pub fn weighing(self, blend: Blend) -> Self {
        Self { blend, ..self }
    }

    /// What the parts of a score weigh.
    #[must_use]
    pub fn blend(&self) -> Blend {
        self.blend
    }

    /// Values of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.targets.shape().1
    }

    /// Values of a vector's first part; all where there is no other.
    #[must_use]
    pub fn split(&self) -> usize {
        self.split
    }

    /// The unit direction of an item in the first part: what items are compared by; none outside.
    #[must_use]
    pub fn direction(&self, item: u32) -> Option<&[f32]> {
        self.targets.row(item as usize)?.get(..self.split)
    }

    /// The directions to recommend by, items x dimensions: what an index of nearest neighbours holds.
    #[must_use]
    pub fn targets(&self) -> &Block {
        &self.targets
    }

    /// The vectors to pool, items x dimensions.
    #[must_use]
    pub fn history(&self) -> &Block {
        &self.history
    }

    /// The same with values of 16 bits, the upper halves of their 32, rounded to the nearest: what rounds are asked
    /// for with. Gradients are sums over random examples; what this rounds off is far below what chance adds to them.
    #[must_use]
    pub fn halved(&self) -> Self {
        let halved = |block: &Block| {
            let (rows, columns) = block.shape();
            Block::finite(
                rows,
                columns,
                block.values().iter().map(|value| whole(half(*value))).collect(),
            )
        };
        Self { targets: halved(&self.targets), history: halved(&self.history), ..self.clone() }
    }

    pub(super) fn blocks_mut(&mut self) -> (&mut Block, &mut Block) {
        (&mut self.targets, &mut self.history)
    }

    /// Forgets the items that `unknown` names.
    pub(super) fn without(mut self, unknown: impl Fn(u32) -> bool) -> Self {
        for block in [&mut self.targets, &mut self.history] {
            let forgotten = (0..).zip(block.rows_mut()).filter(|(item, _)| unknown(*item));
            forgotten.for_each(|(_, row)| row.fill(0.0));
        }
        self
    }

    /// Whether the item was taken by anybody when the model was learned.
    #[must_use]
    pub fn knows(&self, item: u32) -> bool {
        [&self.targets, &self.history]
            .iter()
            .all(|block| block.row(item as usize).is_some_and(|row| length(row) > 0.0))
    }

    /// A person's vector from weighted items, a unit vector in each part; unknown items are passed over, none if all
    /// are, or if they cancel.
    #[must_use]
    pub fn pool(&self, taken: impl IntoIterator<Item = (u32, f32)>) -> Option<Vec<f32>> {
        self.pool_with_lengths(taken).map(|(pooled, _)| pooled)
    }

    /// As [`PooledModel::pool`], and the lengths that the sums had.
    pub(super) fn pool_with_lengths(
        &self,
        taken: impl IntoIterator<Item = (u32, f32)>,
    ) -> Option<(Vec<f32>, [f32; 2])> {
        let mut pooled = vec![0.0; self.dimensions()];
        for (item, weight) in taken {
            add_scaled(&mut pooled, self.history.row(item as usize).unwrap_or_default(), weight);
        }
        let (first, second) = pooled.split_at_mut_checked(self.split)?;
        let usable = length(first);
        if !usable.is_finite() || usable <= crate::numbers::SHORTEST {
            return None;
        }
        let lengths = [normalise(first), normalise(second)];
        Some((pooled, lengths))
    }

    /// The cosine of every item for a pooled vector, in the first part; -1 for unknown items.
    #[must_use]
    pub fn scores(&self, pooled: &[f32]) -> Vec<f32> {
        let of = |row: &[f32]| row.iter().zip(pooled).take(self.split).map(|(a, b)| a * b).sum();
        let score = |(item, row)| if self.knows(item) { of(row) } else { -1.0 };
        (0..).zip(self.targets.rows()).map(score).collect()
    }
}
