//! Entry point.

use std::process::ExitCode;

mod allocator;

fn main() -> ExitCode {
    allocator::give_back_early();
    bailiwick::command::main()
}
