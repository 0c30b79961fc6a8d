//! When a peer was last heard, and who counts its bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::NetMetrics;

/// One a peer, shared by its links and its incoming streams.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) metrics: Arc<NetMetrics>,
    epoch: Instant,
    /// Milliseconds after `epoch`, plus one; zero is never.
    heard: AtomicU64,
}

impl Watch {
    pub(crate) fn new(metrics: Arc<NetMetrics>) -> Self {
        Self { metrics, epoch: Instant::now(), heard: AtomicU64::new(0) }
    }

    /// A frame of `bytes` arrived from the peer.
    pub(crate) fn heard(&self, bytes: usize) {
        self.metrics.received(bytes);
        let ms = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.heard.store(ms + 1, Ordering::Relaxed);
    }

    pub(crate) fn last_heard(&self) -> Option<Instant> {
        let ms = self.heard.load(Ordering::Relaxed).checked_sub(1)?;
        self.epoch.checked_add(Duration::from_millis(ms))
    }
}
