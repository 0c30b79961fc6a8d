//! Signals that ask a process to stop.

use std::io;

use bailiwick_net::Supervisor;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGINT or SIGTERM.
///
/// # Errors
/// When the system refuses the handlers.
pub fn stopping() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = stop.clone();
    Supervisor::new().spawn("signals", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

/// Cancels `stop` when standard input is closed: whoever started this process is gone.
pub fn stop_with_parent(stop: &CancellationToken) {
    let told = stop.clone();
    Supervisor::new().spawn("parent", async move {
        let mut input = tokio::io::stdin();
        let mut byte = [0_u8; 64];
        while input.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        told.cancel();
    });
}
