//! How long an index takes to open, read or mapped, and how both are searched, in turns in one run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cpu_time::ThreadTime;
use serde::Serialize;

use super::BenchError;
use super::data::{K, Set};
use super::engine::fill;
use crate::attributes::Attributes;
use crate::filter::Filter;
use crate::live::LiveIndex;
use crate::options::Options;
use crate::space::Row;

/// What to open.
#[derive(Debug, Clone)]
pub struct OpenConfig {
    /// Rows of the index.
    pub rows: usize,
    /// Values of each.
    pub dimensions: usize,
    /// Where its file is: opened if it is there, else written after the build.
    pub file: PathBuf,
    /// Rounds, of which the best counts.
    pub rounds: usize,
    /// Candidates that a search keeps.
    pub ef: usize,
    /// Whether rows have attributes.
    pub columns: bool,
    /// How the index is built.
    pub options: Options,
}

/// What one way of opening costs: the least of all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Opening {
    /// Wall time until the first search may come, ms.
    pub open_ms: f64,
    /// Processor time of a search thereafter, µs.
    pub search_us: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// Wall time of writing it, ms; 0 if it was there.
    pub save_ms: f64,
    /// Wall time of the first mapping, ms: from the disk, unless the system had the file in memory.
    pub first_ms: f64,
    /// Read into memory: the baseline.
    pub read: Opening,
    /// Mapped.
    pub mapped: Opening,
    /// Queries whose answers differ in any bit: none, if all is well.
    pub differ: usize,
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, mapped, .. } = self;
        let Self { bytes, save_ms, first_ms, .. } = self;
        writeln!(f, "{bytes} bytes, written in {save_ms:.0} ms, first mapped in {first_ms:.1} ms")?;
        for (name, opening) in [("read", read), ("mapped", mapped)] {
            let Opening { open_ms, search_us } = opening;
            writeln!(f, "{name:<7} {open_ms:>8.1} ms to open  {search_us:>7.1} µs a search")?;
        }
        let (open, search) = (mapped.open_ms / read.open_ms, mapped.search_us / read.search_us);
        writeln!(
            f,
            "mapped / read: {open:.3} to open, {search:.3} to search; {} answers differ",
            self.differ
        )
    }
}

/// Opens in both ways, in turns. The file is mapped once before, so that what the system has yet to read of it
/// comes as a mapping asks for it.
///
/// # Errors
/// [`BenchError`] when the index refuses what it should take.
pub fn open(config: &OpenConfig, progress: &dyn Fn(&str)) -> Result<OpenReport, BenchError> {
    progress("making the set");
    let mut set = Set::synthetic(config.rows, config.dimensions, 1000, 1)?;
    set.cases.clear();
    let save_ms = write(&set, config, progress)?;
    let least = Opening { open_ms: f64::INFINITY, search_us: f64::INFINITY };
    let bytes = std::fs::metadata(&config.file).map_or(0, |about| about.len());
    let mut report =
        OpenReport { bytes, save_ms, first_ms: 0.0, read: least, mapped: least, differ: 0 };
    let map = || LiveIndex::map(&config.file, &set.space, config.options.clone(), None);
    let (_, first_ms) = timed(map)?;
    report.first_ms = first_ms;
    for round in 0..config.rounds.max(1) {
        progress(&format!("round {round}"));
        let (read, read_ms) =
            timed(|| LiveIndex::open(&config.file, &set.space, config.options.clone(), None))?;
        let (mapped, mapped_ms) = timed(map)?;
        report.read.open_ms = report.read.open_ms.min(read_ms);
        report.mapped.open_ms = report.mapped.open_ms.min(mapped_ms);
        // Twice: the first pass brings tables into the caches.
        for _ in 0..2 {
            report.pass(&set, config.ef, &read.0, &mapped.index)?;
        }
    }
    Ok(report)
}

impl OpenReport {
    fn pass(
        &mut self,
        set: &Set,
        ef: usize,
        read: &LiveIndex,
        mapped: &LiveIndex,
    ) -> Result<(), BenchError> {
        let search = |index: &LiveIndex| -> Result<_, BenchError> {
            let began = ThreadTime::now();
            let hits: Result<Vec<_>, _> =
                set.queries.iter().map(|query| index.search(query, K, ef, Filter::All)).collect();
            let us = began.elapsed().as_secs_f64() * 1e6 / set.queries.rows().max(1) as f64;
            Ok((hits?, us))
        };
        let ((read, read_us), (mapped, mapped_us)) = (search(read)?, search(mapped)?);
        self.read.search_us = self.read.search_us.min(read_us);
        self.mapped.search_us = self.mapped.search_us.min(mapped_us);
        self.differ = read.iter().zip(&mapped).filter(|(read, mapped)| read != mapped).count();
        Ok(())
    }
}

/// Sees to it that there is a file. How long writing it took, ms.
fn write(set: &Set, config: &OpenConfig, progress: &dyn Fn(&str)) -> Result<f64, BenchError> {
    let path: &Path = &config.file;
    if path.exists() {
        return Ok(0.0);
    }
    progress("building");
    let options = Options { pending_max: config.rows, ..config.options.clone() };
    let known: fn(Row) -> Attributes =
        if config.columns { some_attributes } else { |_| Attributes::new() };
    let index = fill(set, options, &known)?;
    timed(|| index.save(path, 0)).map(|(_, ms)| ms)
}

/// One of a thousand keywords, one of twenty, and a number.
fn some_attributes(row: Row) -> Attributes {
    let mixed = row.wrapping_mul(0x9E37_79B1) >> 8;
    Attributes::new()
        .with_keyword("category", format!("category {}", mixed % 1000))
        .with_keyword("language", format!("language {}", mixed % 20))
        .with_number("published", mixed.into())
}

fn timed<T>(work: impl FnOnce() -> Result<T, crate::AnnError>) -> Result<(T, f64), BenchError> {
    let began = Instant::now();
    let done = work()?;
    Ok((done, began.elapsed().as_secs_f64() * 1e3))
}
