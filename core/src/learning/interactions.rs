//! What the people of one domain took, and the domain's part of every sum.

use super::{Block, LearningError};

/// One domain's people and the items they took: compressed rows, one a person. It never leaves home.
#[derive(Clone)]
pub struct Interactions {
    items: usize,
    starts: Vec<usize>,
    taken: Vec<u32>,
    tags: Vec<u64>,
}

impl std::fmt::Debug for Interactions {
    /// Sizes alone: what people took is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interactions")
            .field("items", &self.items)
            .field("people", &self.people())
            .field("pairs", &self.taken.len())
            .finish()
    }
}

impl Interactions {
    /// Nobody yet, over a catalogue of `items`.
    #[must_use]
    pub fn new(items: usize) -> Self {
        Self { items, starts: vec![0], taken: Vec::new(), tags: Vec::new() }
    }

    /// Adds one person by the indices of what they took, oldest first. An item counts once, and only the
    /// newest `most` items count, so that nobody weighs more in a sum than the bound says.
    ///
    /// # Errors
    /// [`LearningError::Item`] when an index is not below the number of items; nothing is added then.
    pub fn push(&mut self, taken: &[u32], most: usize) -> Result<(), LearningError> {
        self.push_as(self.people() as u64, taken, most)
    }

    /// [`Interactions::push`], for a person whose draws are named by `tag`: the same tag draws the same in
    /// whichever domain, and beside whomever, the person is. A tag is not to leave home.
    ///
    /// # Errors
    /// As [`Interactions::push`].
    pub fn push_as(&mut self, tag: u64, taken: &[u32], most: usize) -> Result<(), LearningError> {
        if let Some(&item) = taken.iter().find(|&&item| item as usize >= self.items) {
            return Err(LearningError::Item { item, items: self.items });
        }
        let mut newest: Vec<u32> = Vec::with_capacity(taken.len().min(most));
        let mut seen = std::collections::BTreeSet::new();
        newest.extend(taken.iter().rev().filter(|item| seen.insert(**item)).take(most));
        newest.sort_unstable();
        self.taken.append(&mut newest);
        self.starts.push(self.taken.len());
        self.tags.push(tag);
        Ok(())
    }

    /// The same people, in the same places, with those of their items, ascending, that `keep` gives by tag and items.
    pub(super) fn keeping(&self, keep: impl Fn(u64, &[u32]) -> Vec<u32>) -> Self {
        let mut kept = Self { tags: self.tags.clone(), ..Self::new(self.items) };
        for (tag, taken) in self.tagged() {
            kept.taken.extend(keep(tag, taken));
            kept.starts.push(kept.taken.len());
        }
        kept
    }

    /// One person's items, ascending; none outside.
    #[must_use]
    pub fn row(&self, person: usize) -> &[u32] {
        let end = person.checked_add(1).and_then(|next| self.starts.get(next));
        match (self.starts.get(person), end) {
            (Some(&start), Some(&end)) => self.taken.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Each person's tag and items.
    pub fn tagged(&self) -> impl Iterator<Item = (u64, &[u32])> {
        self.tags.iter().copied().zip(self.rows())
    }

    /// Number of people.
    #[must_use]
    pub fn people(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of items in the catalogue.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Each person's items, ascending.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.starts
            .iter()
            .zip(self.starts.iter().skip(1))
            .filter_map(|(&start, &end)| self.taken.get(start..end))
    }

    /// How many people took each item: `items` x 1, to be summed over domains.
    #[must_use]
    pub fn degrees(&self) -> Block {
        let mut degrees = vec![0.0_f64; self.items];
        for &item in &self.taken {
            if let Some(degree) = degrees.get_mut(item as usize) {
                *degree += 1.0;
            }
        }
        Block::rounded(self.items, 1, &degrees)
    }
}

/// One factor an item, `degree^-b`, from the degrees summed over all domains.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemScale(Vec<f32>);

impl ItemScale {
    /// The factors for `degrees` (items x 1) to the power of `-exponent`; 0 where nobody took the item.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when `degrees` has not exactly one column.
    pub fn new(degrees: &Block, exponent: f32) -> Result<Self, LearningError> {
        degrees.expect_shape((degrees.shape().0, 1))?;
        let factor = |&d: &f32| if d > 0.0 { d.powf(-exponent) } else { 0.0 };
        Ok(Self(degrees.values().iter().map(factor).collect()))
    }

    fn of(&self, item: u32) -> f32 {
        self.0.get(item as usize).copied().unwrap_or(0.0)
    }
}

/// A domain's part of `G V`: the sum over its people of `(x'V)` carried back to each item of `x`, where a
/// person's row is `x = scale / sqrt(items taken)`. Of the same shape as `block`, whoever and however
/// many the people are.
///
/// Since a row's length is at most 1, one person moves no column by more than that column's length.
///
/// # Errors
/// [`LearningError::Shape`] when block or scale are not over the catalogue's items.
pub fn share(
    interactions: &Interactions,
    scale: &ItemScale,
    block: &Block,
) -> Result<Block, LearningError> {
    let (rows, columns) = block.shape();
    block.expect_shape((interactions.items, columns))?;
    if scale.0.len() != rows {
        return Err(LearningError::Shape { found: (scale.0.len(), 1), expected: (rows, 1) });
    }
    let mut total = vec![0.0_f64; rows.saturating_mul(columns)];
    let mut pooled = vec![0.0_f32; columns];
    for taken in interactions.rows() {
        pooled.fill(0.0);
        for &item in taken {
            add(&mut pooled, block.row(item as usize), scale.of(item));
        }
        let per_person = 1.0 / taken.len().max(1) as f32;
        for &item in taken {
            let start = (item as usize).saturating_mul(columns);
            let factor = f64::from(scale.of(item) * per_person);
            if let Some(out) = total.get_mut(start..start.saturating_add(columns)) {
                out.iter_mut().zip(&pooled).for_each(|(o, &p)| *o += factor * f64::from(p));
            }
        }
    }
    Ok(Block::rounded(rows, columns, &total))
}

fn add(out: &mut [f32], row: Option<&[f32]>, factor: f32) {
    out.iter_mut().zip(row.unwrap_or_default()).for_each(|(o, &v)| *o += factor * v);
}
