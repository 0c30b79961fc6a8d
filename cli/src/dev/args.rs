//! What `bailiwick dev` is told.

use std::path::PathBuf;

use bailiwick_core::ids::{Jurisdiction, Subject};
use bailiwick_core::policy::AgeBand;
use clap::{Args, Subcommand};

use super::place::Place;

/// Run a whole cluster on this machine, loaded with people and items.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevArgs {
    /// Something else than running.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What `bailiwick dev` can do besides running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print a token for a person of your choice, alone on the last line.
    Token(TokenArgs),
}

/// How to run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Where the state is kept.
    #[arg(long, default_value = ".bailiwick")]
    pub dir: PathBuf,
    /// Forget the state of an earlier run.
    #[arg(long)]
    pub fresh: bool,
    /// Run every node and router as a process of its own.
    #[arg(long)]
    pub processes: bool,
    /// With --processes: leave a process that ended unasked as it is.
    #[arg(long, requires = "processes")]
    pub no_restart: bool,
    /// Run a domain's processes in a network namespace, at an address of its own. Needs root.
    #[arg(long = "place", value_name = "DOMAIN=ADDRESS@FILE", requires = "processes")]
    pub places: Vec<Place>,
    /// Port of the first router, the others follow; 0 takes free ones.
    #[arg(long, default_value_t = 8080)]
    pub base_port: u16,
    /// movielens, bookcrossing, events:FILE, or none.
    #[arg(long, default_value = "movielens")]
    pub data: String,
    /// Folder of the data set; MovieLens comes with this program.
    #[arg(long)]
    pub path: Option<PathBuf>,
    /// Load at most this many people, those that are shown first; vectors are learned from all.
    #[arg(long, default_value_t = 5000)]
    pub people: usize,
}

/// Whose token to print.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// The person.
    #[arg(long, value_parser = |text: &str| Subject::new(text))]
    pub sub: Subject,
    /// Their home.
    #[arg(long, default_value = "EU-DE")]
    pub home: Jurisdiction,
    /// Their age band.
    #[arg(long, default_value = "18+", value_parser = |text: &str| text.parse::<AgeBand>())]
    pub age: AgeBand,
    /// Scopes, separated by spaces.
    #[arg(long, default_value = "recommend events person")]
    pub scope: String,
    /// The client app: demo (general), demo-social or demo-vlop.
    #[arg(long, default_value = "demo")]
    pub client: String,
    /// With the scope `guardian`: the child that is spoken for.
    #[arg(long, value_parser = |text: &str| Subject::new(text))]
    pub child: Option<Subject>,
    /// Seconds until it expires.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub life: u64,
    /// Where the state is kept.
    #[arg(long, default_value = ".bailiwick")]
    pub dir: PathBuf,
}
