//! Sums and powers in plain operations of fixed order, so that they can be done for several values at once
//! and give the same bits on every processor.

/// Sums apart, so that they can be done side by side.
const LANES: usize = 16;

#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[inline(always)]
pub(crate) fn length(a: &[f32]) -> f32 {
    dot(a, a).sqrt()
}

/// Adds `factor` times `row` to `out`.
#[inline(always)]
pub(crate) fn add_scaled(out: &mut [f32], row: &[f32], factor: f32) {
    out.iter_mut().zip(row).for_each(|(o, &v)| *o += factor * v);
}

/// Makes a vector one of length 1, and returns the length that it had, at least [`SHORTEST`].
#[inline(always)]
pub(crate) fn normalise(a: &mut [f32]) -> f32 {
    let length = length(a).max(SHORTEST);
    let factor = 1.0 / length;
    a.iter_mut().for_each(|v| *v *= factor);
    length
}

/// A vector that is shorter has no direction to speak of.
pub(crate) const SHORTEST: f32 = 1e-12;

/// e^x, to 2e-7 of its value; e^-87 below -87, e^88 above 88. x is split into n ln 2 + r; e^r is its
/// expansion about 0 with coefficients fitted to |r| <= ln 2 / 2 (Cephes, Moshier 1989).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Added to a number below 2^22 it leaves the nearest integer in the last bits.
    const ROUNDER: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let [high, low] = LN_2;
    let r = x - n * high - n * low;
    let coefficients = [1.398_2e-3_f32, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let series = coefficients.iter().fold(1.987_569_1e-4, |sum, c| sum * r + c) * r * r + r + 1.0;
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}
