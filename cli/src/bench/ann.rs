//! `bailiwick bench ann`: the vector index's recall against its speed, beside other engines.

use std::path::PathBuf;

use bailiwick_ann::bench::{BenchError as AnnBenchError, Config, Source, run};
use bailiwick_ann::{Metric, Options};
use clap::{Args, Subcommand, ValueEnum};

use super::recommendation::{self, RecommendationArgs};
use super::{BenchArgs, BenchError};

/// What `bailiwick bench` measures: a running cluster, or what is named.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct BenchCommand {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    cluster: BenchArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure the vector index beside other engines, in this process and on one thread.
    Ann(AnnArgs),
    /// Measure what the vector index is worth to a recommendation, in this process and on one thread.
    Recommendation(RecommendationArgs),
}

/// How vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The angle.
    Cosine,
    /// The inner product.
    Ip,
    /// The Euclidean distance.
    L2,
}

#[derive(Debug, Args)]
struct AnnArgs {
    /// Made-up, clustered vectors, compared by cosine.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    rows: u32,
    /// Values of each.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2048))]
    dimensions: u32,
    /// Vectors of a folder instead: items.tsv.gz and queries.tsv.gz, a name and the values on a line.
    #[arg(long, conflicts_with_all = ["rows", "dimensions", "filtered"])]
    data: Option<PathBuf>,
    /// How the folder's vectors are compared.
    #[arg(long, value_enum, default_value = "cosine", requires = "data")]
    metric: By,
    /// Measure under filters too, that half, a tenth, 1 % and 0.1 % pass.
    #[arg(long)]
    filtered: bool,
    /// Script that runs hnswlib, faiss and usearch: ann/bench/peers.py.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Candidates with which hnsw_rs builds, which is measured alone too; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    plain: usize,
    /// Rounds, of which each engine's best counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Candidates that searches keep: a point of each curve.
    #[arg(long, value_delimiter = ',', default_value = "10,20,28,40,52,80,112,160,240,400")]
    efs: Vec<usize>,
    /// Write the curves here.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub enum BenchCommandError {
    /// Of the cluster.
    #[error(transparent)]
    Cluster(#[from] BenchError),
    /// Of the index.
    #[error(transparent)]
    Ann(#[from] AnnBenchError),
    /// The curves can't be written.
    #[error("{} can't be written: {source}", file.display())]
    Svg {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Measures what was asked for and prints the report.
///
/// # Errors
/// [`BenchCommandError`]: as [`super::run`], or data that can't be read, or a script that misbehaves.
pub async fn command(command: BenchCommand) -> Result<(), BenchCommandError> {
    match command.what {
        Some(What::Ann(args)) => args.run(),
        Some(What::Recommendation(args)) => Ok(recommendation::command(&args)?),
        None => Ok(super::command(command.cluster).await?),
    }
}

impl AnnArgs {
    #[allow(clippy::print_stdout)] // what a command is for goes to standard output
    fn run(self) -> Result<(), BenchCommandError> {
        let report = run(&self.config(), &|step| eprintln!("{step}"))?;
        if let Some(file) = self.svg {
            std::fs::write(&file, report.svg())
                .map_err(|source| BenchCommandError::Svg { file, source })?;
        }
        println!("{}", if self.json { report.json() } else { report.table() });
        Ok(())
    }

    fn config(&self) -> Config {
        let metric = match self.metric {
            By::Cosine => Metric::Cosine,
            By::Ip => Metric::InnerProduct,
            By::L2 => Metric::L2,
        };
        let source = match &self.data {
            Some(folder) => Source::Text(folder.clone(), metric),
            None => Source::Synthetic {
                rows: self.rows as usize,
                dimensions: self.dimensions as usize,
                seed: 1,
            },
        };
        Config {
            source,
            queries: 1000,
            rounds: self.rounds,
            efs: self.efs.clone(),
            plain_ef_construction: Some(self.plain).filter(|&ef| ef > 0),
            peers: self.peers.clone(),
            filtered: self.filtered,
            index: None,
            options: Options::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchCommand,
    }

    fn check(words: &[&str], ann: Option<bool>) {
        let found = Line::try_parse_from([&["bench"], words].concat()).ok();
        assert_eq!(found.map(|line| line.bench.what.is_some()), ann, "{words:?}");
    }

    #[test]
    fn the_index_is_measured_without_a_cluster_and_a_cluster_not_without_a_key() {
        check(&["ann"], Some(true));
        check(&["ann", "--data", "x", "--metric", "ip", "--json"], Some(true));
        check(&["ann", "--data", "x", "--rows", "9"], None);
        check(&["--key", "x"], Some(false));
        check(&[], None);
        check(&["--key", "x", "ann"], None);
    }

    #[test]
    fn a_small_run_ends_with_a_report() {
        let words =
            ["bench", "ann", "--rows", "500", "--dimensions", "8", "--plain", "0", "--rounds", "1"];
        let line = Line::try_parse_from(words).unwrap();
        let Some(What::Ann(args)) = line.bench.what else { unreachable!() };
        let report = run(&args.config(), &|_| ()).unwrap();
        assert!(report.rows.iter().all(|row| row.engine.starts_with("bailiwick")));
        assert!(report.rows.iter().any(|row| row.recall > 0.99));
    }
}
