//! `bailiwick-chaos sim` and `meta`: each seed in a process of its own, so that no seed sees what another
//! left behind, and one that hangs or aborts is told from the rest.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use bailiwick_node::mutant::VARIABLE;

use super::run::{self, Outcome};
use super::scenario::Scenario;
use super::seeds;
use crate::ChaosError;
use crate::report::Run;

const ALL: &str = "all";
const KEPT: &str = "kept";

/// Which seeds.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// `calm`, `power`, `partitions`, `weather`, `disks`, `clocks`, `members`, `everything`; `all` gives each
    /// seed the one that falls to it; `kept` runs the seeds that failed once.
    #[arg(default_value = ALL, value_parser = known)]
    pub scenario: String,
    /// One seed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    pub seed: Option<u64>,
    /// So many seeds.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// Writes what happened into this file; of several seeds, the last.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// In this process, with the outcome as JSON: for `sim` itself.
    #[arg(long, hide = true)]
    pub here: bool,
}

fn known(text: &str) -> Result<String, String> {
    let fine = [ALL, KEPT].contains(&text) || Scenario::named(text).is_some();
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    fine.then(|| text.to_owned()).ok_or_else(|| format!("one of {ALL}, {KEPT}, {names}"))
}

impl Args {
    /// So many seeds from one on, each in the scenario that falls to it.
    #[must_use]
    pub fn seeds(seeds: u64, from: u64) -> Self {
        let scenario = ALL.to_owned();
        Self { scenario, seed: None, seeds, from, trace: None, here: false }
    }

    fn plan(&self) -> Vec<(Scenario, u64)> {
        if self.scenario == KEPT {
            return seeds::kept().into_iter().map(|kept| (kept.scenario, kept.seed)).collect();
        }
        let (from, count) = self.seed.map_or((self.from, self.seeds), |seed| (seed, 1));
        let of = |seed| Scenario::named(&self.scenario).unwrap_or_else(|| Scenario::of_seed(seed));
        (from..from.saturating_add(count)).map(|seed| (of(seed), seed)).collect()
    }
}

/// Runs one seed in this process and prints its outcome.
#[must_use]
#[allow(clippy::print_stdout)] // what the parent reads
pub fn here(args: &Args) -> ExitCode {
    let Some((scenario, seed)) = args.plan().pop() else { return ExitCode::FAILURE };
    let done = run::run(scenario, seed).and_then(|(outcome, trace)| {
        if let Some(file) = &args.trace {
            std::fs::write(file, trace)?;
        }
        serde_json::to_string(&outcome).map_err(super::SimError::of)
    });
    match done {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one seed in a process of its own, with a bug planted where one is named.
///
/// # Errors
/// [`ChaosError`] when it has no outcome.
pub fn one(
    scenario: Scenario,
    seed: u64,
    trace: Option<&PathBuf>,
    mutant: Option<&str>,
) -> Result<Outcome, ChaosError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["sim", scenario.name(), "--here", "--seed", &seed.to_string()]);
    command.env_remove(VARIABLE);
    command.envs(mutant.map(|name| (VARIABLE, name)));
    if let Some(file) = trace {
        command.arg("--trace").arg(file);
    }
    let done = command.output()?;
    serde_json::from_slice(&done.stdout).map_err(|_| ChaosError::Seed {
        scenario: scenario.name().to_owned(),
        seed,
        said: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
    })
}

/// Runs the seeds. One that could not be run counts as a violation.
///
/// # Errors
/// [`ChaosError`] when processes can't be started.
pub fn run(args: &Args) -> Result<Vec<Run>, ChaosError> {
    let mut sums: Vec<Sum> = Vec::new();
    for (scenario, seed) in args.plan() {
        let outcome = one(scenario, seed, args.trace.as_ref(), None);
        let at = sums.iter().position(|sum| sum.scenario == scenario);
        let at = at.unwrap_or_else(|| {
            sums.push(Sum::new(scenario, seed));
            sums.len() - 1
        });
        if let Some(sum) = sums.get_mut(at) {
            sum.add(seed, outcome);
        }
    }
    sums.sort_by_key(|sum| sum.scenario.name());
    Ok(sums.into_iter().map(Sum::told).collect())
}

/// The seeds of one scenario.
struct Sum {
    scenario: Scenario,
    run: Run,
    seeds: u64,
    cpu_s: f64,
    virtual_s: f64,
}

impl Sum {
    fn new(scenario: Scenario, seed: u64) -> Self {
        let run = Run::new(&format!("sim {}", scenario.name()), seed);
        Self { scenario, run, seeds: 0, cpu_s: 0.0, virtual_s: 0.0 }
    }

    fn add(&mut self, seed: u64, outcome: Result<Outcome, ChaosError>) {
        self.seeds += 1;
        match outcome {
            Ok(outcome) => {
                self.cpu_s += outcome.cpu_s;
                self.virtual_s += outcome.virtual_s;
                self.run.simulated(&outcome);
                for (promise, words) in &outcome.violations {
                    eprintln!("{} {seed}: {promise}: {words}", self.scenario.name());
                }
            }
            Err(error) => {
                eprintln!("{error}");
                self.run.violations.push((seed, format!("not run: {error}")));
            }
        }
    }

    fn told(mut self) -> Run {
        #[allow(clippy::cast_precision_loss)] // a mean of few seeds
        let each = self.cpu_s / self.seeds.max(1) as f64;
        let virtual_s = self.virtual_s;
        let note =
            format!("{} seeds, {virtual_s:.0} s simulated, {each:.2} CPU-s each", self.seeds);
        self.run.notes.push(note);
        self.run
    }
}

/// Runs each seed twice; traces that differ are violations.
///
/// # Errors
/// As [`run()`].
pub fn meta(args: &Args) -> Result<Vec<Run>, ChaosError> {
    let folder = tempfile::tempdir()?;
    let files = ["one", "other"].map(|name| folder.path().join(name));
    let mut told = Run::new("meta", args.seed.unwrap_or(args.from));
    for (scenario, seed) in args.plan() {
        let mut texts = Vec::new();
        for file in &files {
            told.simulated(&one(scenario, seed, Some(file), None)?);
            texts.push(std::fs::read_to_string(file)?);
        }
        told.notes.push(format!("{} {seed}: {} lines", scenario.name(), lines(&texts)));
        if let Some(words) = difference(&texts) {
            told.violations.push((seed, format!("{}: {words}", scenario.name())));
        }
    }
    Ok(vec![told])
}

fn lines(texts: &[String]) -> usize {
    texts.first().map_or(0, |text| text.lines().count())
}

/// The first lines that differ.
fn difference(texts: &[String]) -> Option<String> {
    let [one, other] = texts else { return None };
    if one == other {
        return None;
    }
    let mut pairs = (1..).zip(one.lines().zip(other.lines()));
    let first = pairs.find(|(_, (a, b))| a != b);
    Some(first.map_or_else(
        || "one trace goes on".to_owned(),
        |(line, (a, b))| format!("line {line} is `{a}` and then `{b}`"),
    ))
}
