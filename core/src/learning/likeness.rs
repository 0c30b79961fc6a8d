//! How near items are to what somebody took, by the learned vectors.

use super::PooledModel;
use super::numbers::dot;

/// A person's direction in a model, and what it says of items.
#[derive(Clone)]
pub struct Likeness<'a> {
    model: &'a PooledModel,
    direction: Vec<f32>,
}

impl<'a> Likeness<'a> {
    /// Pools weighted items; none where the model knows none of them, or they cancel.
    #[must_use]
    pub fn of(model: &'a PooledModel, taken: impl IntoIterator<Item = (u32, f32)>) -> Option<Self> {
        model.pool(taken).map(|direction| Self { model, direction })
    }

    /// What an index of nearest neighbours is asked for.
    #[must_use]
    pub fn direction(&self) -> &[f32] {
        &self.direction
    }

    /// The cosine of an item's direction and the person's, 0 to 1: what points away, or is not known, counts
    /// nothing.
    #[must_use]
    pub fn score(&self, item: u32) -> f32 {
        let target = self.model.targets().row(item as usize).unwrap_or_default();
        dot(target, &self.direction).clamp(0.0, 1.0)
    }

    /// Of some weighted items the one that carries most of an item's score; none where none speaks for it.
    #[must_use]
    pub fn carried_by(
        &self,
        item: u32,
        taken: impl IntoIterator<Item = (u32, f32)>,
    ) -> Option<u32> {
        let target = self.model.targets().row(item as usize)?;
        let share = |(other, weight): (u32, f32)| {
            let vector = self.model.history().row(other as usize)?;
            Some((other, weight * dot(vector, target))).filter(|(_, share)| *share > 0.0)
        };
        let shares = taken.into_iter().filter_map(share);
        shares.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(other, _)| other)
    }
}
