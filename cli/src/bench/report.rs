//! What a run showed, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::drive::{Measured, Tally};
use super::prepare::Cast;
use super::{BenchArgs, Over, Workload};

/// One side of a run: load or floor.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// Requests that were answered.
    pub answered: u64,
    /// Answers a second, over the seconds that this side was driven.
    pub per_second: f64,
    /// Milliseconds from when a request was due to its answer: half are below.
    pub p50_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// 999 of 1000 are below.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// Requests that failed, by kind.
    pub errors: BTreeMap<&'static str, u64>,
}

/// Load over floor. None where the floor was not answered.
#[derive(Debug, Clone, Serialize)]
pub struct Ratios {
    /// Of the medians.
    pub p50: Option<f64>,
    /// Of the 99th percentiles.
    pub p99: Option<f64>,
    /// Of the 99.9th percentiles.
    pub p999: Option<f64>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The router.
    pub target: String,
    /// The interface.
    pub over: Over,
    /// What was asked.
    pub workload: Workload,
    /// Requests a second that were due.
    pub rate: u32,
    /// Seconds of load; the floor took as many.
    pub duration_s: u32,
    /// Seconds that the whole run took.
    pub took_s: f64,
    /// People who asked.
    pub people: usize,
    /// Made-up items that were put first; 0: the items are those that the cluster had.
    pub items_put: u32,
    /// The load.
    pub load: Series,
    /// The echo over the same hops, with the same byte counts.
    pub floor: Series,
    /// One over the other.
    pub ratios: Ratios,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, cast: &Cast, measured: Measured) -> Self {
        // Where answers came late, both sides are driven for longer than planned.
        let seconds = (measured.took.as_secs_f64() / 2.0).max(f64::from(args.duration_s));
        let load = Series::new(&measured.load, args, seconds);
        let floor = Series::new(&measured.floor, args, seconds);
        let over = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        let ratios = Ratios {
            p50: over(load.p50_ms, floor.p50_ms),
            p99: over(load.p99_ms, floor.p99_ms),
            p999: over(load.p999_ms, floor.p999_ms),
        };
        Self {
            target: args.target.clone(),
            over: args.over,
            workload: args.workload,
            rate: args.rate,
            duration_s: args.duration_s,
            took_s: measured.took.as_secs_f64(),
            people: cast.people.len(),
            items_put: args.items,
            load,
            floor,
            ratios,
        }
    }
}

impl Series {
    fn new(tally: &Tally, args: &BenchArgs, seconds: f64) -> Self {
        let at = |quantile| tally.micros.value_at_quantile(quantile) as f64 / 1000.0;
        let answered = tally.micros.len();
        let mut errors = tally.errors.clone();
        let due = u64::from(args.rate).saturating_mul(u64::from(args.duration_s));
        let heard = answered.saturating_add(errors.values().sum());
        if due > heard {
            errors.insert("unfinished", due - heard);
        }
        Self {
            answered,
            per_second: answered as f64 / seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: if answered == 0 { 0.0 } else { tally.micros.max() as f64 / 1000.0 },
            errors,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, duration_s, people, items_put, .. } = self;
        writeln!(f, "{:?} over {:?}, {}", self.workload, self.over, self.target)?;
        writeln!(f, "{rate} a second for {duration_s} s, open loop; {people} people")?;
        match items_put {
            0 => writeln!(f, "items: those that the cluster had")?,
            n => writeln!(f, "items: {n} made-up ones put first, beside what the cluster had")?,
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:8}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "", "a second", "p50 ms", "p99 ms", "p999 ms", "max ms"
        )?;
        for (name, s) in [("load", &self.load), ("floor", &self.floor)] {
            write!(f, "{name:8}{:>12.1}{:>12.2}", s.per_second, s.p50_ms)?;
            writeln!(f, "{:>12.2}{:>12.2}{:>12.2}", s.p99_ms, s.p999_ms, s.max_ms)?;
        }
        let ratio = |r: Option<f64>| r.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}x"));
        let Ratios { p50, p99, p999 } = self.ratios;
        writeln!(f, "{:20}{:>12}{:>12}{:>12}", "ratio", ratio(p50), ratio(p99), ratio(p999))?;
        for (name, series) in [("load", &self.load), ("floor", &self.floor)] {
            for (kind, count) in &series.errors {
                writeln!(f, "{name}: {count} {kind}")?;
            }
        }
        Ok(())
    }
}
