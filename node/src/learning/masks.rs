//! The masks of one domain: a stream for every other, added on one side and taken away on the other.

use std::collections::BTreeMap;
use std::fmt;

use bailiwick_core::ids::DomainId;
use bailiwick_core::learning::PackedShare;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::{MaskedShare, SumError};
use crate::seal::Secret;

/// A round, and how often it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The round.
    pub round: u32,
    /// 0 for the first time.
    pub attempt: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} at round {}", self.attempt, self.round)
    }
}

/// The secrets that a domain shares with each other one, and what they were used for.
#[derive(Debug)]
pub struct PairMasks {
    own: DomainId,
    secrets: BTreeMap<DomainId, Secret>,
    last: Option<Attempt>,
}

impl PairMasks {
    pub(super) fn new(own: DomainId, secrets: BTreeMap<DomainId, Secret>) -> Self {
        Self { own, secrets, last: None }
    }

    /// The domains that the masks cancel with.
    pub fn peers(&self) -> impl Iterator<Item = &DomainId> {
        self.secrets.keys()
    }

    /// Goes on without a domain that dropped out. Its masks are in no later share.
    ///
    /// # Errors
    /// [`SumError::Alone`] when nobody else is left; the domain stays then.
    pub fn without(&mut self, gone: &DomainId) -> Result<(), SumError> {
        if self.secrets.keys().all(|peer| peer == gone) {
            return Err(SumError::Alone { domains: 1 });
        }
        self.secrets.remove(gone);
        Ok(())
    }

    /// Masks a share. Every attempt must come after the last: under the same masks two shares would show
    /// their difference.
    ///
    /// # Errors
    /// [`SumError::Spent`].
    pub fn mask(
        &mut self,
        attempt: Attempt,
        mut share: PackedShare,
    ) -> Result<MaskedShare, SumError> {
        if let Some(last) = self.last.filter(|last| attempt <= *last) {
            return Err(SumError::Spent { attempt, last });
        }
        self.last = Some(attempt);
        for (peer, secret) in &self.secrets {
            let mut stream = stream(secret, attempt);
            let adds = self.own < *peer;
            share.words_mut().into_iter().for_each(|words| mask(words, &mut stream, adds));
            mask_numbers(share.numbers_mut(), &mut stream, adds);
        }
        Ok(MaskedShare::new(self.own.clone(), attempt, share))
    }
}

/// ChaCha20 (RFC 8439) under a key of this attempt alone.
fn stream(secret: &Secret, at: Attempt) -> ChaCha20Rng {
    let parts = [&b"attempt"[..], &at.round.to_be_bytes(), &at.attempt.to_be_bytes()];
    ChaCha20Rng::from_seed(secret.mac(&parts))
}

/// Words that are masked at once.
const AT_ONCE: usize = 1024;

fn mask(words: &mut [u32], stream: &mut ChaCha20Rng, adds: bool) {
    let mut bytes = [0; AT_ONCE * size_of::<u32>()];
    for words in words.chunks_mut(AT_ONCE) {
        stream.fill_bytes(&mut bytes);
        let (masks, _) = bytes.as_chunks();
        for (word, mask) in words.iter_mut().zip(masks) {
            let mask = u32::from_le_bytes(*mask);
            // Taken away is added with the other sign.
            *word = word.wrapping_add(if adds { mask } else { mask.wrapping_neg() });
        }
    }
}

fn mask_numbers(numbers: &mut [u64], stream: &mut ChaCha20Rng, adds: bool) {
    for number in numbers {
        let mask = stream.next_u64();
        *number = number.wrapping_add(if adds { mask } else { mask.wrapping_neg() });
    }
}
