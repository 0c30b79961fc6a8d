//! Programs of the system.

use std::process::Command;

use crate::ChaosError;

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// [`ChaosError`] with what it said when it failed.
pub(crate) fn system(program: &str, arguments: &[&str]) -> Result<String, ChaosError> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ChaosError::Command { line: format!("{program} {}", arguments.join(" ")), said })
}
