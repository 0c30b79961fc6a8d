//! `bailiwick dev`: a whole cluster on this machine, with data, people and tokens.
//!
//! Three domains, three nodes each, a router per domain; real QUIC and mutual TLS on loopback. State stays
//! under `.bailiwick/`, so that a restart goes on with what it had.

mod args;
mod configs;
mod error;
mod layout;
mod load;
mod packs;
mod place;
mod plan;
mod ports;
mod processes;
mod show;
mod temporary;
mod threads;
mod tokens;
mod wait;

pub use args::{Command, DevArgs, RunArgs, TokenArgs};
pub use error::DevError;
pub use layout::Layout;
pub(crate) use packs::default_packs;
pub use place::Place;
pub use plan::{DomainPlan, NodePlan, Plan, RouterPlan};
pub use temporary::Temporary;
pub use tokens::Tokens;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::signal;

/// Ctrl-C stops everything within this time.
const GRACE: Duration = Duration::from_secs(8);

/// Runs until a signal, or does what the subcommand says.
///
/// # Errors
/// [`DevError`] with how to mend it.
pub async fn run(args: DevArgs) -> Result<(), DevError> {
    match args.command {
        Some(Command::Token(token)) => {
            let layout = Layout::new(&token.dir);
            println(&Tokens::open(&layout)?.mint(&token)?);
            Ok(())
        }
        None => cluster(args.run).await,
    }
}

#[allow(clippy::print_stdout)] // what a command is for goes to standard output
fn println(line: &str) {
    println!("{line}");
}

async fn cluster(args: RunArgs) -> Result<(), DevError> {
    let began = Instant::now();
    let stop = signal::stopping()?;
    let layout = Layout::new(&args.dir);
    if args.fresh {
        layout.remove()?;
    }
    let data = load::read(&args)?;
    let plan = plan::prepare(&layout, &args)?;
    let progress = spinner("starting nodes and routers");
    let running = if args.processes {
        Running::Processes(processes::start(&plan, args.no_restart)?)
    } else {
        Running::Threads(threads::start(&plan).await?)
    };
    let serving = serve(&args, &layout, &plan, data, &progress, began);
    let served = tokio::select! {
        served = serving => served,
        () = stop.cancelled() => Ok(()),
    };
    if served.is_ok() {
        stop.cancelled().await;
    }
    progress.finish_and_clear();
    println("stopping");
    running.stop(GRACE).await;
    served
}

enum Running {
    Threads(threads::Threads),
    Processes(processes::Processes),
}

impl Running {
    async fn stop(self, grace: Duration) {
        match self {
            Self::Threads(threads) => threads.stop(grace).await,
            Self::Processes(processes) => processes.stop(grace).await,
        }
    }
}

async fn serve(
    args: &RunArgs,
    layout: &Layout,
    plan: &Plan,
    data: Option<crate::data::Dataset>,
    progress: &ProgressBar,
    began: Instant,
) -> Result<(), DevError> {
    let tokens = Tokens::open(layout)?;
    wait::ready(plan, progress).await?;
    if let Some(data) = data {
        load::load(layout, plan, &tokens, data, progress, args.people).await?;
    }
    progress.finish_and_clear();
    show::banner(layout, plan, &tokens, began.elapsed())
}

fn spinner(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
