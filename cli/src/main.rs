//! Entry point.

use std::process::ExitCode;

/// Rows, messages and frames are many small things that are made on one thread and dropped on another: with the system's
/// allocator a sixth of a node's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bailiwick::command::main()
}
