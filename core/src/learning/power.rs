//! Block power iteration, one sum over the domains a round.

use super::eigen;
use super::interactions::{Interactions, ItemScale, share};
use super::vectors::{ItemVectors, Shaping};
use super::{Block, LearningError};

/// How to learn. The defaults are one setting for every catalogue, chosen on held-out parts of the train
/// sides of four public data sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Dimensions of a vector.
    pub dimensions: usize,
    /// Columns beyond those, dropped at the end: they make the last dimensions converge sooner.
    pub spare: usize,
    /// Sums over the domains, each one trip between regions.
    pub rounds: u32,
    /// Where the first block comes from.
    pub seed: u64,
    /// Items of one person that count at most, the newest.
    pub person_items_max: usize,
    /// `b` of the degree normalisation of items, `degree^-b`.
    pub item_exponent: f32,
    /// What becomes of eigenvalues and popularity in the finished vectors.
    pub shaping: Shaping,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dimensions: 64,
            spare: 16,
            rounds: 10,
            seed: 1,
            person_items_max: 1000,
            item_exponent: 0.3,
            shaping: Shaping::default(),
        }
    }
}

/// The coordinator's side: what it asks the domains to sum, and what it makes of the sums. It holds
/// nothing of any single domain.
#[derive(Debug, Clone)]
pub struct Rounds {
    options: Options,
    degrees: Block,
    scale: ItemScale,
    basis: Block,
    done: u32,
}

/// What a round led to.
#[derive(Debug, Clone)]
pub enum Step {
    /// Another sum is wanted.
    Again(Rounds),
    /// The vectors are ready.
    Ready(ItemVectors),
}

impl Rounds {
    /// Starts from the degrees summed over all domains (items x 1).
    ///
    /// # Errors
    /// [`LearningError::Zero`] for no dimensions or rounds, [`LearningError::Shape`] for a sum of another
    /// shape.
    pub fn start(options: Options, degrees: Block) -> Result<Self, LearningError> {
        if options.dimensions == 0 {
            return Err(LearningError::Zero { field: "dimensions" });
        }
        if options.rounds == 0 {
            return Err(LearningError::Zero { field: "rounds" });
        }
        let scale = ItemScale::new(&degrees, options.item_exponent)?;
        let (items, _) = degrees.shape();
        // More columns than items would only be zeros.
        let columns = options.dimensions.saturating_add(options.spare).min(items);
        let basis = Block::seeded(items, columns, options.seed).orthonormalise();
        Ok(Self { options, degrees, scale, basis, done: 0 })
    }

    /// The items' factors, the same for every domain.
    #[must_use]
    pub fn scale(&self) -> &ItemScale {
        &self.scale
    }

    /// The block that every domain is to answer with its [`share`].
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.basis
    }

    /// Rounds done, and rounds there will be.
    #[must_use]
    pub fn progress(&self) -> (u32, u32) {
        (self.done, self.options.rounds)
    }

    /// Takes the sum of all shares of [`Rounds::block`].
    ///
    /// # Errors
    /// [`LearningError::Shape`] when the sum has another shape than the block.
    pub fn advance(self, total: &Block) -> Result<Step, LearningError> {
        total.expect_shape(self.basis.shape())?;
        let done = self.done.saturating_add(1);
        if done < self.options.rounds {
            return Ok(Step::Again(Self { basis: total.orthonormalise(), done, ..self }));
        }
        Ok(Step::Ready(self.finish(total)))
    }

    /// The best eigenvectors inside the subspace (Rayleigh-Ritz), shaped into item vectors.
    fn finish(self, total: &Block) -> ItemVectors {
        let (_, columns) = self.basis.shape();
        let small = symmetrised(&self.basis.gram(total), columns);
        let mut pairs = eigen::symmetric(&small, columns);
        pairs.truncate(self.options.dimensions);
        let (values, directions): (Vec<f64>, Vec<Vec<f64>>) = pairs.into_iter().unzip();
        let subspace = self.basis.times(&directions);
        ItemVectors::shaped(&subspace, &values, &self.degrees, self.options.shaping)
    }
}

fn symmetrised(matrix: &[f64], n: usize) -> Vec<f64> {
    let transposed = (0..n).flat_map(|i| matrix.iter().skip(i).step_by(n.max(1)));
    matrix.iter().zip(transposed).map(|(a, b)| (a + b) / 2.0).collect()
}

/// Learns from all domains in one process: what a cluster does over its links, without the links.
/// `progress` hears of every round done and how many there are.
///
/// # Errors
/// [`LearningError`] when the domains' catalogues differ, there is none, or an option is 0.
pub fn learn(
    domains: &[Interactions],
    options: Options,
    mut progress: impl FnMut(u32, u32),
) -> Result<ItemVectors, LearningError> {
    let degrees: Vec<Block> = domains.iter().map(Interactions::degrees).collect();
    let mut rounds = Rounds::start(options, Block::sum(&degrees)?)?;
    loop {
        let shares: Vec<Block> = domains
            .iter()
            .map(|domain| share(domain, rounds.scale(), rounds.block()))
            .collect::<Result<_, _>>()?;
        let (done, of) = rounds.progress();
        progress(done.saturating_add(1), of);
        match rounds.advance(&Block::sum(&shares)?)? {
            Step::Again(next) => rounds = next,
            Step::Ready(vectors) => return Ok(vectors),
        }
    }
}
