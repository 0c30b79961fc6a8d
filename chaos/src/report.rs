//! What a run showed: scenario, faults, operations checked, violations, slowest heal, seeds.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::sim::command;
use crate::sim::run::Outcome;
use crate::spaces::Spaces;
use crate::{ChaosError, live, power};

/// One scenario's run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its name.
    pub scenario: String,
    /// Of its draws.
    pub seed: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Acknowledgements and answers that were checked.
    pub operations: u64,
    /// What was found against the promises, with the number of the fault.
    pub violations: Vec<(u64, String)>,
    /// The longest time from the end of a fault until the cluster was whole again, in seconds.
    pub slowest_heal_s: f64,
    /// Seconds that the run took.
    pub took_s: f64,
    /// Figures of the scenario's own.
    pub notes: Vec<String>,
    #[serde(skip)]
    began: Option<Instant>,
}

impl Run {
    /// A run that begins now.
    #[must_use]
    pub fn new(scenario: &str, seed: u64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            seed,
            faults: 0,
            operations: 0,
            violations: Vec::new(),
            slowest_heal_s: 0.0,
            took_s: 0.0,
            notes: Vec::new(),
            began: Some(Instant::now()),
        }
    }

    /// Notes a fault and what was found after it. `operations` counts from the run's start.
    pub fn fault(&mut self, number: u64, operations: u64, found: Vec<String>) {
        self.faults += 1;
        self.operations = operations;
        eprintln!(
            "{} {number}: {operations} operations, {} violations, healed in {:.1} s",
            self.scenario,
            found.len(),
            self.slowest_heal_s
        );
        for violation in found {
            eprintln!("  {violation}");
            self.violations.push((number, violation));
        }
        self.took_s = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
    }

    /// Adds a simulated seed: its number stands for that of the fault.
    pub fn simulated(&mut self, outcome: &Outcome) {
        self.faults += outcome.faults;
        self.operations += outcome.operations;
        self.slowest_heal_s = self.slowest_heal_s.max(outcome.heal_s);
        for (promise, words) in &outcome.violations {
            self.violations.push((outcome.seed, format!("{promise}: {words}")));
        }
        self.took_s = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
    }

    /// Notes how long healing took.
    pub fn healed(&mut self, took: Duration) {
        self.slowest_heal_s = self.slowest_heal_s.max(took.as_secs_f64());
    }

    /// Promises that did not hold.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.violations.len()
    }
}

/// All runs on one page.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    runs: Vec<Run>,
}

impl Page {
    /// A page of these runs.
    #[must_use]
    pub fn of(runs: Vec<Run>) -> Self {
        Self { runs }
    }

    /// Promises that did not hold, over all runs.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.runs.iter().map(Run::violations).sum()
    }

    /// Prints it.
    #[allow(clippy::print_stdout)] // what a command is for goes to standard output
    pub fn print(&self, json: bool) {
        match json {
            true => println!("{}", serde_json::to_string(self).unwrap_or_default()),
            false => print!("{}", self.table()),
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:18}{:>6}{:>8}{:>12}{:>12}{:>14}{:>9}\n",
            "scenario", "seed", "faults", "operations", "violations", "slowest heal", "took"
        );
        for run in &self.runs {
            let Run { scenario, seed, faults, operations, slowest_heal_s, took_s, .. } = run;
            let violations = run.violations();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{scenario:18}{seed:>6}{faults:>8}{operations:>12}{violations:>12}{slowest_heal_s:>12.1} s{took_s:>7.0} s"
            );
            for note in &run.notes {
                let _ = writeln!(text, "  {note}");
            }
            for (fault, violation) in &run.violations {
                let _ = writeln!(text, "  VIOLATION after fault {fault}: {violation}");
            }
        }
        text
    }
}

/// How much of each a short run does.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Power cuts.
    #[arg(long, default_value_t = 3)]
    pub cuts: u64,
    /// Faults on processes.
    #[arg(long, default_value_t = 6)]
    pub faults: u64,
    /// Simulated seeds.
    #[arg(long, default_value_t = 30)]
    pub seeds: u64,
    /// Of all draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A short run of each scenario.
///
/// # Errors
/// [`ChaosError`] when one can't be run at all.
pub async fn run(args: &Args, spaces: Option<&Spaces>) -> Result<Page, ChaosError> {
    let live = live::Args { faults: args.faults, seed: args.seed, only: None, loopback: false };
    let mut runs = command::run(&command::Args::seeds(args.seeds, args.seed))?;
    runs.push(live::run(&live, spaces).await?);
    let power = power::Args { cuts: args.cuts, seed: args.seed, disk_mib: 2048, folder: None };
    match power::run(&power).await {
        Ok(run) => runs.push(run),
        // Said, not hidden.
        Err(why @ ChaosError::NoDisk(_)) => {
            let mut skipped = Run::new("power", args.seed);
            skipped.notes.push(format!("SKIP chaos_power: {why}"));
            runs.push(skipped);
        }
        Err(error) => return Err(error),
    }
    Ok(Page::of(runs))
}
