//! What `bailiwick eval` is told.

use std::path::PathBuf;

use bailiwick_core::learning::{Balance, TrainingOptions};
use clap::Args;

/// Put a public split into a cluster of real parts, learn there, ask it for slates through its public API, and print how
/// good and how fair they are.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// The directory of `train.tsv.gz` and `test.tsv.gz` (header, columns user and item, from 0).
    #[arg(long)]
    pub path: PathBuf,
    /// Learn and rank in this process, without a cluster: the same sums and scores, without links, packs and floors.
    /// What only this can do implies it: --central, --domains, --threads, --held-out, --sweep, --epsilon, --balance.
    #[arg(long)]
    pub in_process: bool,
    /// Learn on pooled data, for comparison, and not domain by domain.
    #[arg(long, conflicts_with = "domains")]
    pub central: bool,
    /// Domains that the people are dealt over, three where nothing is said; each learns from its own people alone.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub domains: Option<u16>,
    /// Through a cluster, which is what happens anyway; with --held-out, too.
    #[arg(long, conflicts_with_all = [
        "in_process", "central", "domains", "threads", "sweep", "epsilon", "balance",
    ])]
    pub cluster: bool,
    /// Sums over the domains, for a quick look.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: Option<u32>,
    /// Values of a vector, where another number than the default is to be tried.
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=512))]
    pub dimensions: Option<u32>,
    /// Threads; all that the machine has, where nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Judge every n-th person alone, for a quick look.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub every: u32,
    /// Where the intervals' resampling comes from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Judge by this share of everybody's train items, held back from learning, and not by the test side: for choices
    /// between settings.
    #[arg(long, value_parser = share)]
    pub held_out: Option<f64>,
    /// Show what the packs' floors and the operator's objectives cost: loss of NDCG by intra-list diversity, local
    /// share, calibration, freshness and the greatest share of a creator.
    #[arg(long)]
    pub sweep: bool,
    /// Show what privacy costs: learns anew under noise for each of these epsilons, say 1,10,100.
    #[arg(long, value_delimiter = ',', conflicts_with = "sweep")]
    pub epsilon: Vec<f64>,
    /// How far domains of few people are levelled with those of many, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = balance)]
    pub balance: f64,
    /// Slates that something else made (columns user and item, the best first): how much better or worse these are,
    /// person by person. May be given several times.
    #[arg(long)]
    pub against: Vec<PathBuf>,
    /// With --sweep or --epsilon: where the curves go as a picture.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Domains of a cluster, and what people are dealt over where nothing is said.
const DOMAINS: u16 = 3;

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().map_err(|_| "not a number".to_owned())?;
    Some(share)
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| "not between 0 and 1".into())
}

fn balance(text: &str) -> Result<f64, String> {
    let exponent = text.parse().map_err(|_| "not a number".to_owned())?;
    Balance::new(exponent).map(Balance::exponent).ok_or_else(|| "not between 0 and 1".into())
}

impl EvalArgs {
    /// Whether there is no cluster.
    pub(super) fn is_in_process(&self) -> bool {
        let implied = self.central
            || self.domains.is_some()
            || self.threads.is_some()
            || self.held_out.is_some()
            || self.sweep
            || !self.epsilon.is_empty()
            || self.balance > 0.0;
        self.in_process || (implied && !self.cluster)
    }

    /// How it is learned.
    pub(super) fn training(&self) -> TrainingOptions {
        let default = TrainingOptions::default();
        TrainingOptions {
            rounds: self.rounds.unwrap_or(default.rounds),
            dimensions: self.dimensions.map_or(default.dimensions, |wanted| wanted as usize),
            balance: Balance::new(self.balance).unwrap_or_default(),
            ..default
        }
    }

    pub(super) fn domain_count(&self) -> usize {
        if self.central { 1 } else { self.domains.unwrap_or(DOMAINS).into() }
    }

    pub(super) fn people_step(&self) -> usize {
        usize::try_from(self.every).unwrap_or(usize::MAX)
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}
