//! Arithmetic on vectors, in the widest form that the processor has.
//!
//! Every form adds in the same order, without fused multiply-add, so that scores are the same bits on
//! every node.
#![allow(
    unsafe_code,
    reason = "functions compiled for a wider instruction set may be called only where it is present"
)]

use std::sync::OnceLock;

/// Instruction sets that a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What every processor of the target has.
    Plain,
    /// 256-bit integers and floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit, with the 8-bit dot product.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The widest set that this processor has.
#[inline]
pub(crate) fn isa() -> Isa {
    static FOUND: OnceLock<Isa> = OnceLock::new();
    *FOUND.get_or_init(|| available().last().copied().unwrap_or(Isa::Plain))
}

/// The sets that this processor has, widest last.
pub(crate) fn available() -> Vec<Isa> {
    #[allow(unused_mut)]
    let mut found = vec![Isa::Plain];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            found.push(Isa::Avx2);
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            let bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
            if wide
                && bits
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                found.push(Isa::Avx512);
            }
        }
    }
    found
}

/// Work that is compiled for each instruction set. `run` must be inlined, and what it calls as well.
pub(crate) trait Work {
    type Out;

    fn run(self) -> Self::Out;
}

/// Does the work in the form for the widest set.
#[inline]
pub(crate) fn widest<W: Work>(work: W) -> W::Out {
    match isa() {
        Isa::Plain => work.run(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` is only ever one of `available()`.
        Isa::Avx2 => unsafe { in_avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` is only ever one of `available()`.
        Isa::Avx512 => unsafe { in_avx512(work) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn in_avx2<W: Work>(work: W) -> W::Out {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi1,bmi2,popcnt")]
fn in_avx512<W: Work>(work: W) -> W::Out {
    work.run()
}

/// Partial sums that run side by side.
const LANES: usize = 32;

#[inline(always)]
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (xs, ys) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (x_rest, y_rest) = (xs.remainder(), ys.remainder());
    for (x, y) in xs.zip(ys) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += term(x, y);
        }
    }
    for ((sum, &x), &y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum += term(x, y);
    }
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = sums.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(l, h)| *l += *h);
        width /= 2;
    }
    sums[0]
}

macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident, $on:ident, $wide:ident, $widest:ident, $term:expr) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name(a: &[f32], b: &[f32]) -> f32 {
            $on(isa(), a, b)
        }

        #[inline]
        fn $on(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
            match isa {
                Isa::Plain => lanes(a, b, $term),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `isa` is only ever one of `available()`.
                Isa::Avx2 => unsafe { $wide(a, b) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `isa` is only ever one of `available()`.
                Isa::Avx512 => unsafe { $widest(a, b) },
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $wide(a: &[f32], b: &[f32]) -> f32 {
            lanes(a, b, $term)
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        fn $widest(a: &[f32], b: &[f32]) -> f32 {
            lanes(a, b, $term)
        }
    };
}

dispatched!(
    /// The inner product.
    dot, dot_on, dot_avx2, dot_avx512, |x, y| x * y
);
dispatched!(
    /// The squared Euclidean distance.
    squared_distance, distance_on, distance_avx2, distance_avx512, |x, y| (x - y) * (x - y)
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_form_gives_the_same_bits(pairs in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 0..300)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            for isa in available() {
                assert_eq!(dot_on(isa, &a, &b).to_bits(), dot_on(Isa::Plain, &a, &b).to_bits());
                assert_eq!(distance_on(isa, &a, &b).to_bits(), distance_on(Isa::Plain, &a, &b).to_bits());
            }
            let exact: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-2);
        }
    }
}
