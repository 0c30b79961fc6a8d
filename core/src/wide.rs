//! Runs a piece of work compiled for the widest registers that the processor has.
//!
//! The results do not depend on the width: the work is written as plain operations of fixed order, which
//! the compiler may do for several values at once but may neither fuse nor reorder.
#![allow(unsafe_code, reason = "code for wider registers is called where the processor has them")]

/// Work whose `run` is inlined into a function compiled for wider registers.
pub(crate) trait Work {
    /// What it gives.
    type Out;
    /// Does it. To be marked `#[inline(always)]`, or it is compiled for the narrowest.
    fn run(self) -> Self::Out;
}

/// Does `work`.
pub(crate) fn widest<W: Work>(work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512dq") {
            // SAFETY: the processor was just found to have what the function is compiled for.
            return unsafe { avx512(work) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512<W: Work>(work: W) -> W::Out {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<W: Work>(work: W) -> W::Out {
    work.run()
}
