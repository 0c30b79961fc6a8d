//! Recall against speed, beside other engines in the same run.
//!
//! Every engine answers the same queries on one thread; engines take turns, and the least CPU time of
//! several rounds counts, so that what else the machine does weighs on all alike.

mod data;
mod engine;
mod floor;
mod live;
mod measure;
mod open;
mod peers;
mod report;
mod simple;

use std::path::{Path, PathBuf};

pub use live::{Latency, LiveConfig, LiveReport, live};
pub use open::{OpenConfig, OpenReport, Opening, open};
pub use report::{Report, Row};
pub use simple::{Graph, Vectors};

use crate::error::AnnError;
use crate::space::Metric;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The index refused.
    #[error(transparent)]
    Index(#[from] AnnError),
    /// A file could not be read or written.
    #[error("file {path}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line of a text file is not a name and values.
    #[error("`{line}`: {why}")]
    Text {
        /// Its beginning.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// The process of the other engines misbehaved.
    #[error("the peers' process: {why}")]
    Peers {
        /// What happened.
        why: String,
    },
}

impl BenchError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), source }
    }
}

/// Where the vectors come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Made up: clustered, compared by cosine.
    Synthetic {
        /// Vectors.
        rows: usize,
        /// Values of each.
        dimensions: usize,
        /// Seed of the generator.
        seed: u64,
    },
    /// `items.tsv.gz` and `queries.tsv.gz` in a folder: a name and the values on each line.
    Text(PathBuf, Metric),
    /// `base.f32` and `queries.f32` in a folder: little-endian values, row after row.
    Raw(PathBuf, usize, Metric),
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Config {
    /// The vectors.
    pub source: Source,
    /// Queries of a synthetic set.
    pub queries: usize,
    /// Rounds, of which each engine's best counts.
    pub rounds: usize,
    /// Candidates kept by the engines' walks, one point of the curve each.
    pub efs: Vec<usize>,
    /// How `hnsw_rs` alone builds: its `ef_construction`; no such engine if none.
    pub plain_ef_construction: Option<usize>,
    /// The script that runs other engines; see its header.
    pub peers: Option<PathBuf>,
    /// Whether to measure under filters too.
    pub filtered: bool,
    /// A file of our index for this very set: opened if it is there, else written after the build.
    pub index: Option<PathBuf>,
    /// How ours builds.
    pub options: crate::Options,
}

/// Measures. `progress` is told what is being done.
///
/// # Errors
/// [`BenchError`] when the vectors can't be read or an engine fails.
pub fn run(config: &Config, progress: &dyn Fn(&str)) -> Result<Report, BenchError> {
    progress("making the set and its exact answers");
    let mut set = match &config.source {
        Source::Synthetic { rows, dimensions, seed } => {
            data::Set::synthetic(*rows, *dimensions, config.queries, *seed)?
        }
        Source::Text(folder, metric) => data::Set::text(folder, *metric)?,
        Source::Raw(folder, width, metric) => data::Set::raw(folder, *width, *metric)?,
    };
    if !config.filtered {
        set.cases.truncate(1);
    }
    measure::measure(&set, config, progress)
}
