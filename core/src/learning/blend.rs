//! The sum of both parts: vectors learned from everybody's sums, and lists from the people at home.

use super::{ItemLists, ItemVectors, PooledModel};

/// How much each part of a score weighs. Every part is at most 1: a cosine as it is, the others over the
/// greatest that the person has for anything they did not take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    /// Of the contrastive vectors.
    pub pooled: f32,
    /// Of the spectral vectors.
    pub spectral: f32,
    /// Of the item-to-item lists.
    pub lists: f32,
}

impl Default for Blend {
    fn default() -> Self {
        Self { pooled: 1.0, spectral: 0.0, lists: 0.2 }
    }
}

/// What scores are made of; a part that is missing counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts<'a> {
    /// Contrastive vectors.
    pub pooled: Option<&'a PooledModel>,
    /// Spectral vectors.
    pub spectral: Option<&'a ItemVectors>,
    /// Item-to-item lists of the person's home.
    pub lists: Option<&'a ItemLists>,
}

impl Blend {
    /// The score of every item of a catalogue of `items` for someone who took `taken`; negative infinity
    /// for what they took.
    #[must_use]
    pub fn scores(&self, parts: &Parts<'_>, items: usize, taken: &[u32]) -> Vec<f32> {
        let weighted = || taken.iter().map(|&item| (item, 1.0));
        let mut scores = vec![0.0; items];
        if let Some((model, pooled)) = parts.pooled.and_then(|m| Some((m, m.pool(weighted())?))) {
            add(&mut scores, &model.scores(&pooled), self.pooled);
        }
        if let Some((model, pooled)) = parts.spectral.and_then(|m| Some((m, m.pool(weighted())?))) {
            let part = model.scores(&pooled);
            add(&mut scores, &part, self.spectral / greatest(&part, taken));
        }
        if let Some(lists) = parts.lists {
            let part = lists.scores(items, taken);
            add(&mut scores, &part, self.lists / greatest(&part, taken));
        }
        for &item in taken {
            if let Some(score) = scores.get_mut(item as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        scores
    }
}

fn add(scores: &mut [f32], part: &[f32], weight: f32) {
    super::numbers::add_scaled(scores, part, weight);
}

/// The greatest of what was not taken; infinite where nothing is positive, so that the part counts nothing.
fn greatest(part: &[f32], taken: &[u32]) -> f32 {
    let mut left: Vec<f32> = part.to_vec();
    for &item in taken {
        if let Some(value) = left.get_mut(item as usize) {
            *value = 0.0;
        }
    }
    let most = left.into_iter().fold(0.0, f32::max);
    if most > 0.0 { most } else { f32::INFINITY }
}
