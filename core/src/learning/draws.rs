//! Randomness as a pure function: a number follows from a seed, a stream and a counter.

/// What is added from one number of a stream to the next: 2^64 over the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of numbers. Streams of different names are unrelated, and each can be entered at any place, so
/// that no draw depends on what was drawn before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws(u64);

impl Draws {
    /// The root of all streams of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// The stream called `name` below this one.
    #[must_use]
    pub fn stream(self, name: u64) -> Self {
        Self(mix(self.0 ^ mix(name.wrapping_add(STEP))))
    }

    /// The number at a place of the stream (SplitMix64: Steele, Lea and Flood 2014).
    #[must_use]
    pub fn at(self, place: u64) -> u64 {
        mix(self.0.wrapping_add(place.wrapping_add(1).wrapping_mul(STEP)))
    }

    /// The number at a place, below `bound` (0 for a bound of 0). Uneven by less than `bound` / 2^64.
    #[must_use]
    pub fn below(self, place: u64, bound: u64) -> u64 {
        ((u128::from(self.at(place)) * u128::from(bound)) >> 64) as u64
    }

    /// Whether something of probability `chance` happens at a place.
    #[must_use]
    pub fn happens(self, place: u64, chance: f64) -> bool {
        // 53 bits, which an f64 holds exactly.
        ((self.at(place) >> 11) as f64) < chance * (1_u64 << 53) as f64
    }

    /// The number at a place as a value in [-1, 1).
    #[must_use]
    pub fn centred(self, place: u64) -> f32 {
        // 24 bits, which an f32 holds exactly.
        (self.at(place) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
