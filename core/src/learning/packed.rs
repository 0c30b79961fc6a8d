//! Shares as they travel: 32 bits a number, added modulo 2^32, and proof that no sum went round.
//!
//! A domain adds up its own share in steps of 2^-36 ([`Share`]) and rounds each number once, to the steps that the
//! round names ([`Fineness`]); these follow from earlier sums, or from the noise, and so tell nothing of any share.
//! What a number of the sum may be is then 2^32 steps wide. That it was not more is not hoped for: beside the words
//! travel, modulo 2^64, two sums over all of them as they were before they were cut to 32 bits, each times a number
//! drawn for its place. Where a word went round, in a share or in the sum of shares, what the words say differs from
//! that sum by a multiple of 2^32 that is not one of 2^64, but in one case of 2^32. Both are linear, so that they are
//! masked and added like everything else, and nobody learns which domain's share was large.

use super::{Draws, FixedBlock, LearningError, Share};
use crate::wide::{Work, widest};

/// Numbers of 64 bits beside the words: examples, people, loss, and the proofs of both blocks.
const NUMBERS: usize = 5;
const COUNTS: usize = 3;
/// Steps of a share as it is added up at home are 2^-36.
const HOME: u8 = super::fixed::WHOLE as u8;

/// In what steps numbers travel: of 2^-4 to 2^-36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fineness(u8);

impl Default for Fineness {
    /// That of a first round: a sum of up to 128.
    fn default() -> Self {
        Self(24)
    }
}

impl Fineness {
    const COARSEST: Self = Self(4);
    /// As fine as follows from a sum: whatever it was, a few examples of one item have room.
    const FINEST: Self = Self(28);
    /// How many times a number may be what the greatest of the sum before was.
    const ROOM_BITS: u8 = 3;
    /// Bits by which steps grow where a sum went round.
    const COARSER_BITS: u8 = 4;
    /// Steps of noise are so many bits below its deviation.
    const UNDER_NOISE_BITS: i32 = 10;

    /// Steps of 2^-`bits`; none outside 4 to 36.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        (Self::COARSEST.0..=HOME).contains(&bits).then_some(Self(bits))
    }

    /// `k` of steps of 2^-`k`.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    fn within(bits: i32) -> Self {
        Self(u8::try_from(bits.clamp(Self::COARSEST.0.into(), HOME.into())).unwrap_or(HOME))
    }

    /// For the sum after one whose greatest number was so many steps of 2^-36.
    pub(super) fn after(greatest: u64) -> Self {
        let whole = i32::try_from(u64::BITS - greatest.leading_zeros()).unwrap_or_default();
        Self::within(31 + i32::from(HOME) - i32::from(Self::ROOM_BITS) - whole).min(Self::FINEST)
    }

    /// For sums of up to `most`.
    pub(super) fn up_to(most: f64) -> Self {
        Self::within(30_i32.saturating_sub(most.max(1.0).log2().ceil() as i32)).min(Self::FINEST)
    }

    /// For numbers under noise of this deviation. The noise is rounded with the share that it is in. That tells nothing
    /// more: what was rounded off is, to 1 part in e^(10^5), an even draw from a step, whatever the share was.
    pub(super) fn under(deviation: f64) -> Self {
        Self::within(Self::UNDER_NOISE_BITS.saturating_sub(deviation.log2().floor() as i32))
    }

    /// The steps to try after a sum went round; none where there are no greater.
    pub(super) fn coarser(self) -> Option<Self> {
        let bits = self.0.saturating_sub(Self::COARSER_BITS).max(Self::COARSEST.0);
        (bits < self.0).then_some(Self(bits))
    }

    /// Bits of a step of 2^-36 that do not travel.
    fn cut(self) -> u32 {
        u32::from(HOME.saturating_sub(self.0))
    }
}

/// A share as it travels, or the sum of such shares.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedShare {
    shape: (usize, usize),
    fineness: [Fineness; 2],
    words: [Vec<u32>; 2],
    numbers: [u64; NUMBERS],
}

impl std::fmt::Debug for PackedShare {
    /// The form alone: a domain's share is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedShare")
            .field("shape", &self.shape)
            .field("fineness", &self.fineness)
            .finish_non_exhaustive()
    }
}

impl PackedShare {
    /// A share of nothing, of `items` x `dimensions`.
    #[must_use]
    pub fn zeros((items, dimensions): (usize, usize), fineness: [Fineness; 2]) -> Self {
        let block = || vec![0; items.saturating_mul(dimensions)];
        Self {
            shape: (items, dimensions),
            fineness,
            words: [block(), block()],
            numbers: [0; NUMBERS],
        }
    }

    /// A share that came from elsewhere: words by target and by history vectors, and the numbers beside them.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when these do not belong together.
    pub fn new(
        shape: (usize, usize),
        fineness: [Fineness; 2],
        words: [Vec<u32>; 2],
        numbers: &[u64],
    ) -> Result<Self, LearningError> {
        let (items, dimensions) = shape;
        let wrong = |found| LearningError::Shape { found, expected: shape };
        for block in &words {
            if items.checked_mul(dimensions) != Some(block.len()) {
                return Err(wrong((block.len().checked_div(dimensions).unwrap_or(0), dimensions)));
            }
        }
        let numbers = numbers.try_into().map_err(|_| wrong((1, numbers.len())))?;
        Ok(Self { shape, fineness, words, numbers })
    }

    /// Numbers of 64 bits beside the words.
    #[must_use]
    pub const fn numbers_count() -> usize {
        NUMBERS
    }

    /// Items and dimensions.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// In what steps the words are, by target and by history vectors.
    #[must_use]
    pub fn fineness(&self) -> [Fineness; 2] {
        self.fineness
    }

    /// The words, by target and by history vectors, item after item.
    #[must_use]
    pub fn words(&self) -> [&[u32]; 2] {
        let [targets, history] = &self.words;
        [targets, history]
    }

    /// The same, to be masked.
    pub fn words_mut(&mut self) -> [&mut [u32]; 2] {
        let [targets, history] = &mut self.words;
        [targets, history]
    }

    /// The numbers beside the words.
    #[must_use]
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// The same, to be masked.
    pub fn numbers_mut(&mut self) -> &mut [u64] {
        &mut self.numbers
    }

    /// Adds another share, in any order with the same result.
    ///
    /// # Errors
    /// [`LearningError::Shape`] when it has another shape or other steps; nothing is added then.
    pub fn add(&mut self, other: &Self) -> Result<(), LearningError> {
        if (other.shape, other.fineness) != (self.shape, self.fineness) {
            return Err(LearningError::Shape { found: other.shape, expected: self.shape });
        }
        for (sums, words) in self.words.iter_mut().zip(&other.words) {
            sums.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        let numbers = self.numbers.iter_mut().zip(other.numbers);
        numbers.for_each(|(sum, number)| *sum = sum.wrapping_add(number));
        Ok(())
    }

    /// What the words of a sum say.
    ///
    /// # Errors
    /// [`LearningError::WentRound`] where one of them may be another number than it seems.
    pub fn unpacked(&self) -> Result<Share, LearningError> {
        let (items, dimensions) = self.shape;
        let [examples, people, loss, by_target, by_history] = self.numbers;
        let block = |at: usize, proof: u64| {
            let words = self.words.get(at).map(Vec::as_slice).unwrap_or_default();
            let cut = self.fineness.get(at).map_or(0, |fineness| fineness.cut());
            let mut steps = vec![0; words.len()];
            match widest(Unpack { words, cut, steps: &mut steps }) == proof {
                true => FixedBlock::new(items, dimensions, steps),
                false => Err(LearningError::WentRound),
            }
        };
        let (targets, history) = (block(0, by_target)?, block(1, by_history)?);
        let counts = [examples, people, loss].map(u64::cast_signed).to_vec();
        Share::new(targets, history, FixedBlock::new(1, COUNTS, counts)?)
    }
}

impl Share {
    /// As it travels, in these steps.
    #[must_use]
    pub fn packed(&self, fineness: [Fineness; 2]) -> PackedShare {
        let [targets, history, counts] = self.blocks();
        let mut packed = [targets, history].map(|block| vec![0; block.steps().len()]);
        let mut proofs = [0; 2];
        let blocks = [targets, history].into_iter().zip(fineness).zip(&mut packed).zip(&mut proofs);
        for (((block, fineness), words), proof) in blocks {
            *proof = widest(Pack { steps: block.steps(), cut: fineness.cut(), words });
        }
        let numbers = counts.steps().iter().map(|count| count.cast_unsigned()).chain(proofs);
        let mut all = [0; NUMBERS];
        all.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        PackedShare { shape: self.shape(), fineness, words: packed, numbers: all }
    }
}

/// What a place counts in a proof.
#[inline(always)]
fn weight(place: u64) -> u64 {
    Draws::new(0).at(place)
}

/// Rounds steps to greater ones, keeps 32 bits of each, and proves the rest.
struct Pack<'a> {
    steps: &'a [i64],
    cut: u32,
    words: &'a mut [u32],
}

impl Work for Pack<'_> {
    type Out = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let half = (1_i64 << self.cut) >> 1;
        let mut proof = 0_u64;
        for ((place, step), word) in (0..).zip(self.steps).zip(self.words) {
            let rounded = step.wrapping_add(half) >> self.cut;
            *word = rounded as u32;
            proof = proof.wrapping_add(weight(place).wrapping_mul(rounded.cast_unsigned()));
        }
        proof
    }
}

/// Reads words as signed numbers, and says what their proof is if they are.
struct Unpack<'a> {
    words: &'a [u32],
    cut: u32,
    steps: &'a mut [i64],
}

impl Work for Unpack<'_> {
    type Out = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut proof = 0_u64;
        for ((place, word), step) in (0..).zip(self.words).zip(self.steps) {
            let number = i64::from(word.cast_signed());
            *step = number << self.cut;
            proof = proof.wrapping_add(weight(place).wrapping_mul(number.cast_unsigned()));
        }
        proof
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: (usize, usize) = (7, 5);

    /// A share whose numbers are these times draws from -1 to 1.
    fn share(seed: u64, [targets, history]: [f32; 2]) -> Share {
        let mut share = Share::zeros(SHAPE.0, SHAPE.1);
        for item in 0..SHAPE.0 as u32 {
            let values = |stream: u64| {
                let draws = Draws::new(seed).stream(stream).stream(item.into());
                (0..SHAPE.1 as u64).map(|place| draws.centred(place)).collect::<Vec<f32>>()
            };
            share.add_target(item, &values(1), targets);
            share.add_history(item, &values(2), history);
        }
        share.count(3, 2, 1.5);
        share
    }

    /// Whether two sums of so many shares differ by no more than half a step each.
    fn near(a: &Share, b: &Share, fineness: [Fineness; 2], shares: u64) -> bool {
        let blocks = a.blocks().into_iter().zip(b.blocks()).zip(fineness);
        let mut near = a.counts() == b.counts();
        for ((a, b), fineness) in blocks {
            let most = shares << fineness.cut() >> 1;
            near &= a.steps().iter().zip(b.steps()).all(|(a, b)| a.abs_diff(*b) <= most);
        }
        near
    }

    fn fineness() -> impl Strategy<Value = [Fineness; 2]> {
        let one = || (4..=36_u8).prop_map(|bits| Fineness::new(bits).unwrap());
        [one(), one()]
    }

    proptest! {
        /// What fits comes out as it went in, to half a step a share; what does not fit is found out, whether it is a
        /// share that is too large or only their sum.
        #[test]
        fn a_sum_is_right_or_refused(
            seed: u64,
            fineness in fineness(),
            sizes in [1e-4..6e3_f32, 1e-4..6e3_f32],
        ) {
            let shares: Vec<Share> = (0..3).map(|at| share(seed ^ at, sizes)).collect();
            let mut whole = Share::zeros(SHAPE.0, SHAPE.1);
            let mut sum = PackedShare::zeros(SHAPE, fineness);
            for share in &shares {
                whole.add(share).unwrap();
                sum.add(&share.packed(fineness)).unwrap();
            }
            let fits = whole.blocks().into_iter().zip(fineness).all(|(block, fineness)| {
                let most = 2.0_f64.powi(31 - i32::from(fineness.bits()));
                block.scaled(1.0).values().iter().all(|v| f64::from(v.abs()) < most * 0.999)
            });
            match sum.unpacked() {
                Ok(found) => prop_assert!(near(&found, &whole, fineness, 3), "a wrong sum was believed"),
                Err(error) => {
                    prop_assert_eq!(error, LearningError::WentRound);
                    prop_assert!(!fits, "a sum that fits was refused");
                }
            }
        }

        /// The steps that follow from a sum hold what is up to eight times as great.
        #[test]
        fn steps_leave_room_for_more(greatest in 1_u64..1 << 60) {
            let fineness = Fineness::after(greatest);
            let steps = (i128::from(greatest) * 8) >> fineness.cut();
            prop_assert!(steps <= 1 << 31 || fineness == Fineness::COARSEST, "{:?}", fineness);
            let finer = fineness == Fineness::FINEST || steps * 2 >= 1 << 30;
            prop_assert!(finer, "{:?} is coarser than it need be", fineness);
        }
    }

    /// Two words that went round by as much, one up and one down, are no sum either.
    #[test]
    fn rounds_do_not_cancel() {
        let fineness = [Fineness::default(); 2];
        let mut whole = Share::zeros(SHAPE.0, SHAPE.1);
        whole.add_target(0, &[130.0, 0.0, 0.0, 0.0, 0.0], 1.0);
        whole.add_target(1, &[0.0, -130.0, 0.0, 0.0, 0.0], 1.0);
        assert_eq!(whole.packed(fineness).unpacked(), Err(LearningError::WentRound));
        let coarser = fineness.map(|fineness| fineness.coarser().unwrap());
        assert!(near(&whole.packed(coarser).unpacked().unwrap(), &whole, coarser, 1));
    }

    #[test]
    fn steps_under_noise_are_a_small_part_of_it() {
        for deviation in [0.7, 2.9, 17.25, 900.0] {
            let fineness = Fineness::under(deviation);
            let part = 2.0_f64.powi(-i32::from(fineness.bits())) / deviation;
            let coarse = part > 1.0 / 4096.0 || fineness == Fineness::COARSEST;
            assert!(part <= 1.0 / 512.0 && coarse, "{deviation}: {part}");
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let fine = [Fineness::default(); 2];
        let words = || [vec![0; 35], vec![0; 35]];
        assert!(PackedShare::new(SHAPE, fine, words(), &[0; NUMBERS]).is_ok());
        assert!(PackedShare::new((7, 4), fine, words(), &[0; NUMBERS]).is_err());
        assert!(PackedShare::new(SHAPE, fine, [vec![0; 35], vec![0; 34]], &[0; NUMBERS]).is_err());
        assert!(PackedShare::new(SHAPE, fine, words(), &[0; 4]).is_err());
        let other = [Fineness::default(), Fineness::COARSEST];
        let mut sum = PackedShare::zeros(SHAPE, fine);
        assert!(sum.add(&PackedShare::zeros(SHAPE, other)).is_err());
        assert!(Fineness::new(3).is_none() && Fineness::new(37).is_none());
    }
}
