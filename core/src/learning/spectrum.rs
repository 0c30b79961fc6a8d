//! The spectral part of a model: block power iteration, learned as rounds of a training.
//!
//! Over the people's rows `x` of ones, the operator is `G = B X' A^2 X B` with `A = diag(n^-1/4)` for a person of `n`
//! items and `B = diag(e^-1/5)`, where `e` of an item is `X' A^2 X 1`, the sum of `sqrt(n)` over who took it: one more
//! column of the first sum tells it, so that no count of takers is asked for. A domain answers a block `M` by
//! `X' A^2 X M` alone; `B` is the coordinator's.
//!
//! The leading eigenvectors `v` of eigenvalues `s` give the vectors of a linear autoencoder with ridge `r`: an item taken
//! speaks by `B v`, an item recommended is found by `v s / (s + r) / B` (EASE, Steck 2019, cut off after the leading
//! eigenvectors, where for items not taken the diagonal does not matter).

use super::{Block, Interactions, LearningError, PooledModel, Share, eigen};
use crate::numbers::add_scaled;
use crate::wide::{Work, widest};

/// Power of a person's number of items by which they weigh less, twice `A`'s.
const PERSON_EXPONENT: f32 = 0.5;
/// Power of what is known of an item's popularity by which it weighs less.
const ITEM_EXPONENT: f32 = 0.2;
/// Beyond this a value of a person's part can't be summed in fixed point; no honest block leads there.
const VALUE_MAX: f32 = 8192.0;

/// The coordinator's side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spectrum {
    /// Orthonormal columns, of which the first half will be the leading eigenvectors.
    pub(super) basis: Block,
    /// `B` of each item; 0 where nobody took it.
    pub(super) scale: Vec<f32>,
    /// Eigenvalues of the leading half, largest first; none before the first time.
    pub(super) values: Vec<f32>,
}

impl Spectrum {
    /// A first block: ones, and columns that follow from the seed.
    pub(super) fn start(items: usize, columns: usize, seed: u64) -> Self {
        let mut basis = Block::seeded(items, columns, seed);
        for row in basis.rows_mut() {
            row.iter_mut().take(1).for_each(|first| *first = 1.0);
        }
        Self { basis, scale: vec![1.0; items], values: Vec::new() }
    }

    /// Whether the items' scale is still to be told.
    fn begins(&self) -> bool {
        self.values.is_empty()
    }

    fn columns(&self) -> usize {
        self.basis.shape().1
    }

    /// Of length 1 in the mean, so that sums are of the size of those of other rounds.
    fn size(&self) -> f32 {
        if self.begins() { 1.0 } else { (self.scale.len() as f32).sqrt() }
    }

    /// The block that is to be answered, as a model: the first half of the columns, then the second.
    pub(super) fn asked(&self) -> Result<PooledModel, LearningError> {
        let block = self.basis.clone().rows_times(&self.scale).times_all(self.size());
        let [first, second] = block.halves(self.columns() / 2);
        PooledModel::received(first, second)
    }

    /// Takes the sum of all shares.
    pub(super) fn advance(&mut self, total: &Share) -> Result<(), LearningError> {
        let [first, second, _] = total.blocks();
        let size = f64::from(1.0 / self.size());
        let answer = first.scaled(size).beside(&second.scaled(size))?;
        if self.begins() {
            self.scale = scale_of(&answer);
            self.basis = answer.rows_times(&self.scale).orthonormalise();
            self.values = vec![0.0; self.columns() / 2];
            return Ok(());
        }
        self.turn(&answer.rows_times(&self.scale));
        Ok(())
    }

    /// The best eigenvectors inside the subspace (Rayleigh-Ritz), one iteration further.
    fn turn(&mut self, answer: &Block) {
        let columns = self.columns();
        let pairs = eigen::symmetric(&symmetrised(&self.basis.gram(answer), columns), columns);
        let (values, directions): (Vec<f64>, Vec<Vec<f64>>) = pairs.into_iter().unzip();
        self.values = values.iter().take(columns / 2).map(|&value| value.max(0.0) as f32).collect();
        self.basis = answer.times(&directions).orthonormalise();
    }

    /// The vectors, the longest target of length 1; none where no direction was found.
    pub(super) fn model(&self) -> Result<Option<PooledModel>, LearningError> {
        let least = self.values.last().copied().unwrap_or_default();
        let greatest = self.values.first().copied().unwrap_or_default();
        // Below this part of the greatest an eigenvalue is rounding: its direction means nothing.
        let ridge = least.max(greatest * 1e-6);
        if ridge <= 0.0 {
            return Ok(None);
        }
        let [leading, _] = self.basis.halves(self.columns() / 2);
        let weights: Vec<f32> = self.values.iter().map(|value| value / (value + ridge)).collect();
        let inverse = |&scale: &f32| if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let inverse: Vec<f32> = self.scale.iter().map(inverse).collect();
        let mut targets = leading.clone().rows_times(&inverse);
        for row in targets.rows_mut() {
            row.iter_mut().zip(&weights).for_each(|(value, weight)| *value *= weight);
        }
        let longest = targets.rows().map(crate::numbers::length).fold(0.0, f32::max);
        if longest <= 0.0 {
            return Ok(None);
        }
        let targets = targets.times_all(1.0 / longest);
        PooledModel::received(targets, leading.rows_times(&self.scale)).map(Some)
    }
}

/// `B` of each item by the first column of the first answer, where it was all ones; 1 for an item of the mean.
fn scale_of(answer: &Block) -> Vec<f32> {
    let told = || answer.rows().map(|row| row.first().copied().unwrap_or_default());
    let known = told().filter(|told| *told > 0.0);
    let (sum, count) = known.fold((0.0_f64, 0.0), |(s, n), told| (s + f64::from(told), n + 1.0));
    let mean = (sum / f64::max(count, 1.0)) as f32;
    let of = |told: f32| if told > 0.0 { (told / mean).powf(-ITEM_EXPONENT) } else { 0.0 };
    told().map(of).collect()
}

fn symmetrised(matrix: &[f64], n: usize) -> Vec<f64> {
    let transposed = (0..n).flat_map(|i| matrix.iter().skip(i).step_by(n.max(1)));
    matrix.iter().zip(transposed).map(|(a, b)| (a + b) / 2.0).collect()
}

/// Adds to a share what some people give to `X' A^2 X M`.
pub(super) fn add_people(
    share: &mut Share,
    people: &Interactions,
    block: &PooledModel,
    persons: &[usize],
) {
    for &person in persons {
        widest(OfPerson { share, block, taken: people.row(person) });
    }
    share.count(persons.len(), persons.len(), 0.0);
}

/// What one person gives: the sum of the block's rows over what they took, to each of it.
struct OfPerson<'a> {
    share: &'a mut Share,
    block: &'a PooledModel,
    taken: &'a [u32],
}

impl Work for OfPerson<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let weight = (self.taken.len().max(1) as f32).powf(-PERSON_EXPONENT);
        let pooled = [self.block.targets(), self.block.history()].map(|half| {
            let mut sum = vec![0.0_f32; half.shape().1];
            for &item in self.taken {
                add_scaled(&mut sum, half.row(item as usize).unwrap_or_default(), weight);
            }
            sum.iter_mut().for_each(|v| *v = v.clamp(-VALUE_MAX, VALUE_MAX));
            sum
        });
        for &item in self.taken {
            self.share.add_target(item, &pooled[0], 1.0);
            self.share.add_history(item, &pooled[1], 1.0);
        }
    }
}

/// The length of what one person with at most `items` gives for a block of this length, at most: their row's square is
/// at most `sqrt(items)`.
pub(super) fn contribution_max(items: usize, block: &PooledModel) -> f64 {
    let long = |half: &Block| half.values().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let both = long(block.targets()) + long(block.history());
    (items as f64).powf(1.0 - f64::from(PERSON_EXPONENT)) * both.sqrt()
}
