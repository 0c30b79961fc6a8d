//! The binary that the whole-cluster tests run: the very `bailiwick`, built beside them.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick::command::main()
}
