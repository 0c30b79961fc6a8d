//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick::command::main()
}
