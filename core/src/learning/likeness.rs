//! How near items are to what somebody took, by the learned vectors: to all of it together, and to what of it is
//! nearest, since a person of several tastes is near the middle of none.

use super::PooledModel;
use crate::numbers::{dot, normalise};
use crate::wide::{Work, widest};

/// What the nearest item counts beside all together; README.md beside this file has what was tried.
pub(super) const NEAREST: f32 = 0.3;
/// Items that may be the nearest, the newest.
const NEWEST_MAX: usize = 50;

/// A person's direction in each part of a model, and what they say of items.
#[derive(Clone)]
pub struct Likeness<'a> {
    model: &'a PooledModel,
    /// Weight of the second part.
    spectral: f32,
    /// Both directions, the second times its weight.
    direction: Vec<f32>,
    /// Of the sums that the directions were cut from.
    lengths: [f32; 2],
    newest: Newest,
}

/// The directions of what was taken last, one after the other.
#[derive(Clone)]
struct Newest {
    items: Vec<u32>,
    directions: Vec<f32>,
}

impl<'a> Likeness<'a> {
    /// Pools weighted items, the newest first; none where the model knows none of them, or they cancel. The model's
    /// parts weigh what its blend says.
    #[must_use]
    pub fn of(
        model: &'a PooledModel,
        taken: impl IntoIterator<Item = (u32, f32)> + Clone,
    ) -> Option<Self> {
        Self::weighing(model, taken, model.blend().spectral)
    }

    /// As [`Likeness::of`], with another weight of the second part.
    pub(super) fn weighing(
        model: &'a PooledModel,
        taken: impl IntoIterator<Item = (u32, f32)> + Clone,
        spectral: f32,
    ) -> Option<Self> {
        let (mut direction, lengths) = model.pool_with_lengths(taken.clone())?;
        let second = direction.get_mut(model.split()..).unwrap_or_default();
        // A part that there is not weighs nothing.
        let spectral = if second.is_empty() { 0.0 } else { spectral };
        second.iter_mut().for_each(|value| *value *= spectral);
        Some(Self { model, spectral, direction, lengths, newest: Newest::of(model, taken) })
    }

    /// What an index of greatest inner products is asked for.
    #[must_use]
    pub fn direction(&self) -> &[f32] {
        &self.direction
    }

    fn target(&self, item: u32) -> &'a [f32] {
        self.model.targets().row(item as usize).unwrap_or_default()
    }

    fn parts<'v>(&self, vector: &'v [f32]) -> (&'v [f32], &'v [f32]) {
        vector.split_at_checked(self.model.split()).unwrap_or((vector, &[]))
    }

    /// What the person's directions say of an item: the cosine in the first part, 0 to 1, and what the weighted second
    /// one adds. What points away, or is not known, counts nothing.
    #[must_use]
    pub fn together(&self, item: u32) -> f32 {
        let (target, direction) = (self.parts(self.target(item)), self.parts(&self.direction));
        let both = dot(target.0, direction.0) + dot(target.1, direction.1);
        both.clamp(0.0, 1.0 + self.spectral)
    }

    /// What both directions say of an item, where the second part weighs 1: the cosine in the first, and what the
    /// second adds.
    #[inline(always)]
    pub(super) fn apart(&self, item: u32) -> (f32, f32) {
        let (target, direction) = (self.parts(self.target(item)), self.parts(&self.direction));
        (dot(target.0, direction.0), dot(target.1, direction.1))
    }

    /// By how much [`Likeness::together`] is to be multiplied to give the score of an item whose nearest is not looked
    /// at: never more than [`Likeness::score`].
    pub(super) fn part(&self) -> f32 {
        1.0 / (1.0 + NEAREST + self.spectral)
    }

    /// How near an item is to all that was taken together, and to the nearest of it: 0 to 1.
    #[must_use]
    pub fn score(&self, item: u32) -> f32 {
        (self.together(item) + NEAREST * self.nearest(item)) * self.part()
    }

    /// The cosine of an item with the nearest of what was taken last, 0 to 1.
    pub(super) fn nearest(&self, item: u32) -> f32 {
        let (target, _) = self.parts(self.target(item));
        self.newest.nearest(target).map_or(0.0, |(_, cosine)| cosine)
    }

    /// Of some weighted items the one that carries most of an item's score; none where none speaks for it.
    #[must_use]
    pub fn carried_by(
        &self,
        item: u32,
        taken: impl IntoIterator<Item = (u32, f32)>,
    ) -> Option<u32> {
        let target = self.parts(self.model.targets().row(item as usize)?);
        let nearest = self.newest.nearest(target.0);
        let alone =
            |other| nearest.filter(|(by, _)| *by == other).map_or(0.0, |(_, cosine)| cosine);
        let share = |(other, weight): (u32, f32)| {
            let vector = self.parts(self.model.history().row(other as usize)?);
            let [first, second] = self.lengths;
            let spectral = self.spectral * dot(vector.1, target.1) / second;
            let together = weight * (dot(vector.0, target.0) / first + spectral);
            Some((other, together + NEAREST * alone(other))).filter(|(_, share)| *share > 0.0)
        };
        let shares = taken.into_iter().filter_map(share);
        shares.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(other, _)| other)
    }
}

impl Newest {
    /// Of what speaks for others; what speaks against them has no neighbours to bring.
    fn of(model: &PooledModel, taken: impl IntoIterator<Item = (u32, f32)>) -> Self {
        let mut newest = Self { items: Vec::new(), directions: Vec::new() };
        let liked = taken.into_iter().filter(|(item, weight)| *weight > 0.0 && model.knows(*item));
        for (item, _) in liked.take(NEWEST_MAX) {
            let vector = model.history().row(item as usize).unwrap_or_default();
            let mut direction = vector.get(..model.split()).unwrap_or_default().to_vec();
            normalise(&mut direction);
            newest.items.push(item);
            newest.directions.append(&mut direction);
        }
        newest
    }

    /// The item whose direction is nearest to a target's, the newer of equals, and the cosine, at most 1; none where
    /// all point away.
    fn nearest(&self, target: &[f32]) -> Option<(u32, f32)> {
        let (at, cosine) = widest(NearestOf { directions: &self.directions, target })?;
        Some((*self.items.get(at)?, cosine.min(1.0))).filter(|(_, cosine)| *cosine > 0.0)
    }
}

/// The greatest of some cosines, and its place.
struct NearestOf<'a> {
    directions: &'a [f32],
    target: &'a [f32],
}

impl Work for NearestOf<'_> {
    type Out = Option<(usize, f32)>;

    #[inline(always)]
    fn run(self) -> Self::Out {
        let rows = self.directions.chunks_exact(self.target.len().max(1));
        let cosines = rows.map(|row| dot(row, self.target)).enumerate();
        cosines.fold(None, |best: Self::Out, next| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(next),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::Block;

    /// Two tastes at right angles, two items each; one vector for both sides.
    fn model() -> PooledModel {
        let mut values = vec![0.0; 4 * 8];
        for (row, value) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            values[row * 8 + value] = 2.0;
        }
        values[8 + 2] = 0.5;
        let block = Block::new(4, 8, values).unwrap();
        PooledModel::new(block.clone(), block).unwrap()
    }

    #[test]
    fn one_item_is_as_near_as_its_cosine() {
        let model = model();
        let likeness = Likeness::of(&model, [(0, 1.0)]).unwrap();
        let (score, together) = (likeness.score(1), likeness.together(1));
        assert!((score - together).abs() < 1e-6 && (0.9..1.0).contains(&score), "{score}");
        assert_eq!(likeness.score(2), 0.0);
        assert_eq!(likeness.score(9), 0.0, "not known");
    }

    /// Who took much of one taste and one item of another is shown the other taste too, and told by what.
    #[test]
    fn a_second_taste_is_not_drowned() {
        let model = model();
        let taken = [(2, 0.2), (0, 1.0)];
        let likeness = Likeness::of(&model, taken).unwrap();
        let other = likeness.score(3);
        assert!(other > likeness.part() * likeness.together(3) + 0.2, "{other}");
        assert!(likeness.score(1) > other && likeness.score(1) <= 1.0);
        assert_eq!(likeness.carried_by(3, taken), Some(2));
        assert_eq!(likeness.carried_by(1, taken), Some(0));
    }

    /// What was disliked brings nothing near it.
    #[test]
    fn dislikes_are_nobody_s_neighbour() {
        let model = model();
        let likeness = Likeness::of(&model, [(2, -1.0), (0, 1.0)]).unwrap();
        assert_eq!(likeness.score(3), 0.0);
    }
}
