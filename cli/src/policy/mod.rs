//! `bailiwick policy`: what compliance staff run on plain pack files.

mod cases;
mod check;
mod diff;
mod explain;
mod packs;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

pub use explain::Question;

/// Where the packs are looked for unless told otherwise.
const PACKS: &str = "deploy/policies";

/// Commands on packs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every pack of a directory, each alone and all together.
    Check {
        /// The directory of `.toml` files.
        dir: PathBuf,
    },
    /// Answer a table of cases: CSV in, CSV out. A bad row is reported by number, the others are answered.
    Decide {
        /// The directory of packs.
        #[arg(long, default_value = PACKS)]
        packs: PathBuf,
        /// The table.
        #[arg(long)]
        cases: PathBuf,
    },
    /// Explain one decision, step by step, with sources and citations.
    Explain(Box<Question>),
    /// Compare two packs, or two directories of packs, field by field.
    Diff {
        /// The old pack file or directory.
        old: PathBuf,
        /// The new pack file or directory.
        new: PathBuf,
        /// The directory where the parents of both are found; by default each file's own.
        #[arg(long)]
        packs: Option<PathBuf>,
    },
}

/// Whether everything was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was.
    Right,
    /// Something was refused; it has been said on the error stream.
    Faulty,
}

impl Outcome {
    fn of(faults: usize) -> Self {
        if faults == 0 { Self::Right } else { Self::Faulty }
    }
}

impl Command {
    /// Runs the command. Exits with 1 when anything was refused, said on `err`.
    pub fn run(self, out: &mut impl Write, err: &mut impl Write) -> ExitCode {
        let done = match self {
            Self::Check { dir } => check::check(&dir, out, err),
            Self::Decide { packs, cases } => cases::decide(&packs, &cases, out, err),
            Self::Explain(question) => explain::explain(&question, out, err),
            Self::Diff { old, new, packs } => diff::diff(&old, &new, packs.as_deref(), out, err),
        };
        match done.and_then(|outcome| out.flush().map(|()| outcome)) {
            Ok(Outcome::Right) => ExitCode::SUCCESS,
            Ok(Outcome::Faulty) => ExitCode::FAILURE,
            // The reader of a pipe may leave early.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            Err(error) => {
                let _ = writeln!(err, "error: can't write: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
