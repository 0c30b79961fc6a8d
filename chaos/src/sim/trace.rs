//! What happened in a simulation, line by line under its virtual time: the same seed must give the same
//! bytes.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// So many.
const LAST_LINES: usize = 40;

/// The trace of one run. Clones are the same trace.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    began: Instant,
    root: String,
    text: String,
}

impl Trace {
    /// A trace that begins now. The folder `root` has another name in every run: it is left out of the lines.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let (began, root) = (Instant::now(), root.display().to_string());
        Self(Arc::new(Mutex::new(Inner { began, root, text: String::new() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub fn line(&self, what: impl fmt::Display) {
        let mut inner = self.inner();
        let at = inner.began.elapsed().as_micros();
        let what = what.to_string().replace(&inner.root, "");
        // Writing to a string does not fail.
        let _ = writeln!(inner.text, "{at:>10} {what}");
    }

    /// Virtual microseconds since the beginning.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.inner().began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        self.inner().text.clone()
    }

    /// Its last lines, for whoever asks why a run could not be finished.
    #[must_use]
    pub fn end(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }

    /// The first eight bytes of its SHA-256, in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        short(&Sha256::digest(self.inner().text.as_bytes()))
    }
}

/// The first eight bytes, in hex.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
