//! Why an attack could not be made. That a promise did not hold is no error but a finding.

/// An attack could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// A command of the system failed.
    #[error("`{line}` failed: {said}")]
    Command {
        /// The command.
        line: String,
        /// What it said.
        said: String,
    },
    /// Not even a disk whose power can be cut is to be had: without root, loop devices or room.
    #[error("no disk can be made here: {0}")]
    NoDisk(Box<ChaosError>),
    /// No network of this machine's own can be made: without root, `ip`, or what the kernel needs for it.
    #[error("no network namespaces can be made here: {0}")]
    NoSpaces(Box<ChaosError>),
    /// A fault of the wires between domains was asked for, and all of them share one loopback.
    #[error(
        "wires can only be bad between network namespaces: run as root and without `--loopback`"
    )]
    NoWires,
    /// A file or process could not be handled.
    #[error("the system refused: {0}")]
    Io(#[from] std::io::Error),
    /// A simulated seed could not be run.
    #[error("{scenario} {seed}: {said}")]
    Seed {
        /// The scenario.
        scenario: String,
        /// The seed.
        seed: u64,
        /// What it said.
        said: String,
    },
    /// This build can plant no bugs.
    #[error(
        "this build has no planted bugs: build without `--release`, or with `--features mutants`"
    )]
    NoMutants,
}
