//! What the binary's memory comes from.
#![expect(unsafe_code, reason = "options of the allocator can be set in its own language alone")]

use std::ffi::{c_int, c_long};

use mimalloc::MiMalloc;

/// The system's allocator maps and unmaps the blocks of a round of learning each time, which stops all threads: half of
/// the processor time of learning, and a quarter of that of writing, measured (`core/src/learning/README.md`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of its header, which the crate does not name.
const PURGE_DELAY: c_int = 15;
/// Milliseconds after which what is free is given back. The allocator's own second holds 600 MB more while a large
/// catalogue is learned, for a tenth of its time.
const SOON: c_long = 10;

/// Gives back early what is free, unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub(crate) fn give_back_early() {
    // SAFETY: sets a number that the allocator reads; nothing else has begun.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, SOON) };
}
