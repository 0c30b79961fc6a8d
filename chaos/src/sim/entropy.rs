//! One seed for everything that would ask the system for randomness in a simulation, and one time of day.
//!
//! Hash maps, the order in which `select!` polls, and openraft's election timeouts draw from the system.
//! The symbol `getrandom` of this binary stands before libc's, so that on a thread that simulates they draw
//! from its seed instead. Elsewhere it asks the system as ever. What `ring` draws comes through
//! [`bailiwick_node::seams::Seams::entropy`], since it asks the system without libc. The symbol `clock_gettime`
//! tells such a thread the same time for ever: the product reads its own clock and tokio's, which is paused, but
//! hyper writes the time of day into every answer and h2 forgets streams after a second of its own.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use bailiwick_node::seal::{Entropy, SealError};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The time of day on a thread that simulates, in seconds since 1970.
const STILL_S: i64 = super::node::BEGIN_MS / 1000;

thread_local! {
    static SEEDED: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// From now on this thread draws from `seed`. It must be a fresh one: what was drawn before stays.
pub fn seed_thread(seed: u64) {
    SEEDED.with(|seeded| *seeded.borrow_mut() = Some(ChaCha8Rng::seed_from_u64(seed)));
}

/// Fills from the thread's seed; false where it has none.
fn fill_seeded(bytes: &mut [u8]) -> bool {
    let filled = SEEDED.try_with(|seeded| {
        let mut seeded = seeded.try_borrow_mut().ok()?;
        seeded.as_mut().map(|rng| rng.fill_bytes(bytes))
    });
    matches!(filled, Ok(Some(())))
}

fn is_seeded() -> bool {
    SEEDED.try_with(|seeded| seeded.try_borrow().is_ok_and(|rng| rng.is_some())).unwrap_or(false)
}

#[allow(unsafe_code)] // the one place where the process's own entropy is taken over
mod kernel {
    use std::ffi::{c_int, c_uint, c_void};

    /// libc's function of the same name.
    #[unsafe(no_mangle)]
    extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
        if length > 0 {
            // SAFETY: the contract of getrandom(2): the caller owns `length` writable bytes at `buffer`, which
            // are plain bytes and borrowed by nobody else during the call.
            let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
            if super::fill_seeded(bytes) {
                return isize::try_from(length).unwrap_or(isize::MAX);
            }
        }
        // SAFETY: the system call that the replaced function makes, with the caller's own arguments.
        let got = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        isize::try_from(got).unwrap_or(-1)
    }

    /// libc's function of the same name.
    #[unsafe(no_mangle)]
    extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
        let still = clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_MONOTONIC;
        if still && super::is_seeded() {
            // SAFETY: the contract of clock_gettime(2): the caller owns the structure at `time`, which may hold
            // anything before it is written.
            unsafe { time.write(libc::timespec { tv_sec: super::STILL_S, tv_nsec: 0 }) };
            return 0;
        }
        // SAFETY: the system call that the replaced function makes, with the caller's own arguments.
        let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        c_int::try_from(done).unwrap_or(-1)
    }
}

/// Randomness of one node's keys and nonces, by seed.
pub struct Seeded(Mutex<ChaCha8Rng>);

impl Seeded {
    /// A stream of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) -> Result<(), SealError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fresh thread draws: from the system's generator, and from the keys of a hash map.
    fn drawn(seed: Option<u64>) -> (u64, u64) {
        let thread = std::thread::spawn(move || {
            if let Some(seed) = seed {
                seed_thread(seed);
            }
            use std::hash::BuildHasher as _;
            (rand::random(), std::hash::RandomState::new().hash_one(1))
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_seeded_thread_draws_what_its_seed_says_and_others_do_not() {
        assert_eq!(drawn(Some(7)), drawn(Some(7)));
        assert_ne!(drawn(Some(7)), drawn(Some(8)));
        let (one, other) = (drawn(None), drawn(None));
        assert!(one.0 != other.0 && one.1 != other.1);
    }
}
