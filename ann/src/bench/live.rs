//! What searches cost while vectors come in, beside what they cost in quiet.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde::Serialize;

use super::BenchError;
use super::data::{K, Set};
use crate::error::AnnError;
use crate::filter::Filter;
use crate::live::LiveIndex;
use crate::options::Options;
use crate::space::Row;

/// Of so many writes one is a removal.
const REMOVED_SHARE: usize = 20;
/// Of so many searches one looks for what was written last.
const FRESH_SHARE: usize = 10;
/// The searcher rests this long after a search: it must not be what the writer waits for.
const REST: Duration = Duration::from_micros(500);

/// What to do to the index.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    /// Rows at first; half as many more come in from beyond.
    pub rows: usize,
    /// Values of each.
    pub dimensions: usize,
    /// Writes a second.
    pub rate: u32,
    /// Seconds of writes; there are as many of quiet before.
    pub seconds: u32,
    /// Candidates that a search keeps.
    pub ef: usize,
    /// How the index is built.
    pub options: Options,
}

/// Percentiles of many searches, µs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Searches.
    pub count: usize,
    /// Median of processor time.
    pub cpu_p50_us: f64,
    /// 99th percentile of processor time.
    pub cpu_p99_us: f64,
    /// Median of wall time.
    pub wall_p50_us: f64,
    /// 99th percentile of wall time.
    pub wall_p99_us: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveReport {
    /// Searches before any write.
    pub quiet: Latency,
    /// Searches beside the writes.
    pub loaded: Latency,
    /// Writes taken, removals among them.
    pub writes: usize,
    /// Writes refused since the mutable segment was full.
    pub refused: usize,
    /// How late the latest write was, ms: writes are due at fixed times.
    pub late_ms_max: f64,
    /// Median processor time of a write, µs.
    pub write_cpu_p50_us: f64,
    /// Merges finished.
    pub merges: usize,
    /// Longest merge, seconds of wall time.
    pub merge_s_max: f64,
    /// Most vectors that waited for a merge.
    pub pending_max: usize,
    /// Searches for what was written last that did not find it.
    pub missed: usize,
}

impl fmt::Display for LiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, l) in [("quiet", self.quiet), ("loaded", self.loaded)] {
            writeln!(
                f,
                "{name:<7} {:>8} searches  cpu p50 {:.1} p99 {:.1} µs  wall p50 {:.1} p99 {:.1} µs",
                l.count, l.cpu_p50_us, l.cpu_p99_us, l.wall_p50_us, l.wall_p99_us
            )?;
        }
        writeln!(f, "p99 by processor time: {:.2} times quiet", self.times())?;
        writeln!(
            f,
            "{} writes, {} refused, latest {:.0} ms late, {:.1} µs each; {} merges of at most {:.1} s; \
             at most {} pending; {} fresh ones missed",
            self.writes,
            self.refused,
            self.late_ms_max,
            self.write_cpu_p50_us,
            self.merges,
            self.merge_s_max,
            self.pending_max,
            self.missed
        )
    }
}

impl LiveReport {
    /// How many times the quiet 99th percentile the loaded one is, by processor time.
    #[must_use]
    pub fn times(&self) -> f64 {
        self.loaded.cpu_p99_us / self.quiet.cpu_p99_us.max(f64::MIN_POSITIVE)
    }
}

/// An index under writes, and what is seen of it.
struct Stage<'a> {
    set: &'a Set,
    index: &'a LiveIndex,
    config: &'a LiveConfig,
    over: AtomicBool,
    /// The row written last, and acknowledged.
    last: AtomicU32,
    missed: AtomicUsize,
}

/// Builds the index, measures in quiet, then beside writes and merges.
///
/// # Errors
/// [`BenchError`] when the index refuses what it should take.
pub fn live(config: &LiveConfig, progress: &dyn Fn(&str)) -> Result<LiveReport, BenchError> {
    progress("making the set");
    let mut set = Set::synthetic(config.rows * 3 / 2, config.dimensions, 1000, 1)?;
    set.cases.clear();
    progress("building");
    let options = Options { pending_max: config.rows * 2, ..config.options.clone() };
    let index = LiveIndex::new(set.space.clone(), options)?;
    for (row, vector) in (0..).zip(set.base.iter()).take(config.rows) {
        index.upsert(row, vector)?;
    }
    index.merge()?;
    let stage = Stage {
        set: &set,
        index: &index,
        config,
        over: AtomicBool::new(false),
        last: AtomicU32::new(Row::MAX),
        missed: AtomicUsize::new(0),
    };
    progress("quiet");
    let end = Instant::now() + Duration::from_secs(config.seconds.into());
    let quiet = stage.search(|| Instant::now() >= end)?;
    progress("writes");
    stage.loaded(quiet)
}

impl Stage<'_> {
    fn loaded(&self, quiet: Latency) -> Result<LiveReport, BenchError> {
        std::thread::scope(|scope| {
            let merging = scope.spawn(|| self.merge());
            let searching = scope.spawn(|| self.search(|| self.over.load(Ordering::Acquire)));
            let written = self.write();
            self.over.store(true, Ordering::Release);
            let gone =
                || BenchError::Peers { why: "a thread of the measurement panicked".to_owned() };
            let (merges, merge_s_max, pending_max) = merging.join().map_err(|_| gone())??;
            let loaded = searching.join().map_err(|_| gone())??;
            let Written { writes, refused, late_ms_max, cpu_p50_us } = written?;
            Ok(LiveReport {
                quiet,
                loaded,
                writes,
                refused,
                late_ms_max,
                write_cpu_p50_us: cpu_p50_us,
                merges,
                merge_s_max,
                pending_max,
                missed: self.missed.load(Ordering::Relaxed),
            })
        })
    }

    /// Searches until told to stop.
    fn search(&self, stop: impl Fn() -> bool) -> Result<Latency, BenchError> {
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for (number, query) in (1..).zip(self.set.queries.iter().cycle()) {
            if stop() {
                break;
            }
            let (began, started) = (ThreadTime::now(), Instant::now());
            self.index.search(query, K, self.config.ef, Filter::All)?;
            wall.push(started.elapsed().as_secs_f64() * 1e6);
            cpu.push(began.elapsed().as_secs_f64() * 1e6);
            if number % FRESH_SHARE == 0 {
                self.look_for_the_last()?;
            }
            std::thread::sleep(REST);
        }
        Ok(Latency {
            count: cpu.len(),
            cpu_p50_us: percentile(&mut cpu, 50),
            cpu_p99_us: percentile(&mut cpu, 99),
            wall_p50_us: percentile(&mut wall, 50),
            wall_p99_us: percentile(&mut wall, 99),
        })
    }

    /// An acknowledged row must be found: at its own vector nothing is nearer.
    fn look_for_the_last(&self) -> Result<(), BenchError> {
        let row = self.last.load(Ordering::Acquire);
        if row == Row::MAX {
            return Ok(());
        }
        let hits = self.index.search(self.set.base.row(row as usize), 1, 16, Filter::All)?;
        let found = hits.first().is_some_and(|hit| hit.row == row);
        // It may have been removed since.
        if !found && self.last.load(Ordering::Acquire) == row {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes at the given rate: new rows, rows again, and a few removals.
    fn write(&self) -> Result<Written, BenchError> {
        let all = self.config.rate as usize * self.config.seconds as usize;
        let (began, gap) = (Instant::now(), 1.0 / f64::from(self.config.rate.max(1)));
        let mut written = Written::default();
        let mut cpu = Vec::with_capacity(all);
        for number in 0..all {
            let due = began + Duration::from_secs_f64(number as f64 * gap);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let late = due.elapsed().as_secs_f64() * 1e3;
            written.late_ms_max = written.late_ms_max.max(late);
            let at = number.wrapping_mul(7919) % self.set.base.rows();
            let row = Row::try_from(at).unwrap_or_default();
            let started = ThreadTime::now();
            let outcome = if number % REMOVED_SHARE == 1 {
                self.last.store(Row::MAX, Ordering::Release);
                self.index.remove(row);
                Ok(())
            } else {
                self.index
                    .upsert(row, self.set.base.row(at))
                    .inspect(|()| self.last.store(row, Ordering::Release))
            };
            cpu.push(started.elapsed().as_secs_f64() * 1e6);
            match outcome {
                Ok(()) => written.writes += 1,
                Err(AnnError::Full { .. }) => written.refused += 1,
                Err(error) => return Err(error.into()),
            }
        }
        written.cpu_p50_us = percentile(&mut cpu, 50);
        Ok(written)
    }

    /// Merges when due: how often, the longest one's seconds, the most vectors that waited.
    fn merge(&self) -> Result<(usize, f64, usize), BenchError> {
        let (mut merges, mut longest, mut pending) = (0, 0.0_f64, 0);
        while !self.over.load(Ordering::Acquire) {
            pending = pending.max(self.index.pending());
            if self.index.needs_merge() {
                let merged = self.index.merge()?;
                merges += 1;
                longest = longest.max(merged.took.as_secs_f64());
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok((merges, longest, pending.max(self.index.pending())))
    }
}

#[derive(Debug, Default)]
struct Written {
    writes: usize,
    refused: usize,
    late_ms_max: f64,
    cpu_p50_us: f64,
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}
