//! How near items are to what somebody took, by the learned vectors: to all of it together, and to what of it is
//! nearest, since a person of several tastes is near the middle of none.

use super::PooledModel;
use super::numbers::{dot, normalise};
use super::wide::{Work, widest};

/// What the nearest item counts beside all together; README.md beside this file has what was tried.
const NEAREST: f32 = 0.3;
/// Items that may be the nearest, the newest.
const NEWEST_MAX: usize = 50;

/// A person's direction in a model, and what it says of items.
#[derive(Clone)]
pub struct Likeness<'a> {
    model: &'a PooledModel,
    direction: Vec<f32>,
    /// Of the sum that the direction was cut from.
    length: f32,
    newest: Newest,
}

/// The directions of what was taken last, one after the other.
#[derive(Clone)]
struct Newest {
    items: Vec<u32>,
    directions: Vec<f32>,
}

impl<'a> Likeness<'a> {
    /// Pools weighted items, the newest first; none where the model knows none of them, or they cancel.
    #[must_use]
    pub fn of(
        model: &'a PooledModel,
        taken: impl IntoIterator<Item = (u32, f32)> + Clone,
    ) -> Option<Self> {
        let (direction, length) = model.pool_with_length(taken.clone())?;
        Some(Self { model, direction, length, newest: Newest::of(model, taken) })
    }

    /// What an index of nearest neighbours is asked for.
    #[must_use]
    pub fn direction(&self) -> &[f32] {
        &self.direction
    }

    fn target(&self, item: u32) -> &'a [f32] {
        self.model.targets().row(item as usize).unwrap_or_default()
    }

    /// The cosine of an item's direction and the person's, 0 to 1: what points away, or is not known, counts
    /// nothing.
    #[must_use]
    pub fn together(&self, item: u32) -> f32 {
        dot(self.target(item), &self.direction).clamp(0.0, 1.0)
    }

    /// The score of an item of which [`Likeness::together`] is known and the nearest is not looked at: never more
    /// than [`Likeness::score`].
    #[must_use]
    pub fn least(together: f32) -> f32 {
        together / (1.0 + NEAREST)
    }

    /// Cosines of an item's direction with the person's, and with that of the nearest item taken: 0 to 1. With one
    /// item taken both are the same.
    #[must_use]
    pub fn score(&self, item: u32) -> f32 {
        let nearest = self.newest.nearest(self.target(item)).map_or(0.0, |(_, cosine)| cosine);
        Self::least(self.together(item) + NEAREST * nearest)
    }

    /// Of some weighted items the one that carries most of an item's score; none where none speaks for it.
    #[must_use]
    pub fn carried_by(
        &self,
        item: u32,
        taken: impl IntoIterator<Item = (u32, f32)>,
    ) -> Option<u32> {
        let target = self.model.targets().row(item as usize)?;
        let nearest = self.newest.nearest(target);
        let alone =
            |other| nearest.filter(|(by, _)| *by == other).map_or(0.0, |(_, cosine)| cosine);
        let share = |(other, weight): (u32, f32)| {
            let vector = self.model.history().row(other as usize)?;
            let together = weight * dot(vector, target) / self.length;
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
            let mut direction = model.history().row(item as usize).unwrap_or_default().to_vec();
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
        assert!(other > Likeness::least(likeness.together(3)) + 0.2, "{other}");
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
