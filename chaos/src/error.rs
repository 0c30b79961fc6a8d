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
