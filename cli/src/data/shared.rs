//! Data sets that stand beside the workspace and are not part of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `../shared/data` beside the workspace, for a crate whose manifest stands in `manifest`
/// (`env!("CARGO_MANIFEST_DIR")`). Where it is absent a line that `test` is skipped goes to standard error,
/// past the capture of the test harness.
#[must_use]
pub fn shared_data(manifest: &str, test: &str) -> Option<PathBuf> {
    let directory = Path::new(manifest).join("../../shared/data");
    if directory.is_dir() {
        return Some(directory);
    }
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: ../shared/data is absent");
    None
}
