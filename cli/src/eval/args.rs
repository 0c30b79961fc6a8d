//! What `bailiwick eval` is told.

use std::path::PathBuf;

use bailiwick_core::learning::{Balance, TrainingOptions};
use clap::Args;

/// Learn from a public split and print how good and how fair the slates are.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// The directory of `train.tsv.gz` and `test.tsv.gz` (header, columns user and item, from 0).
    #[arg(long)]
    pub path: PathBuf,
    /// Learn on pooled data, for comparison, and not domain by domain.
    #[arg(long, conflicts_with = "domains")]
    pub central: bool,
    /// Domains that the people are dealt over; each learns from its own people alone.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub domains: u16,
    /// Start a cluster of real parts, load it and ask it through its public API.
    #[arg(long, conflicts_with_all = ["central", "domains", "threads"])]
    pub cluster: bool,
    /// With --cluster: sums over the domains, for a quick look.
    #[arg(long, requires = "cluster")]
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
    #[arg(long, conflicts_with = "cluster")]
    pub sweep: bool,
    /// Show what privacy costs: learns anew under noise for each of these epsilons, say 1,10,100.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["cluster", "sweep"])]
    pub epsilon: Vec<f64>,
    /// How far domains of few people are levelled with those of many, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = balance, conflicts_with = "cluster")]
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
    /// How it is learned.
    pub(super) fn training(&self) -> TrainingOptions {
        let default = TrainingOptions::default();
        TrainingOptions {
            dimensions: self.dimensions.map_or(default.dimensions, |wanted| wanted as usize),
            balance: Balance::new(self.balance).unwrap_or_default(),
            ..default
        }
    }

    pub(super) fn domain_count(&self) -> usize {
        if self.central { 1 } else { self.domains.into() }
    }

    pub(super) fn people_step(&self) -> usize {
        usize::try_from(self.every).unwrap_or(usize::MAX)
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}
