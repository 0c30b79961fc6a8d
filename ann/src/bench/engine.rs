//! Engines that are measured inside this process.

use std::path::Path;

use cpu_time::{ProcessTime, ThreadTime};

use super::BenchError;
use super::data::{Case, K, Set};
use super::floor::Floor;
use crate::attributes::Attributes;
use crate::build::Plain;
use crate::filter::Filter;
use crate::live::{Hit, LiveIndex, Request};
use crate::options::Options;
use crate::plan::Plan;
use crate::predicate::Predicate;
use crate::space::Row;

/// One run over all queries of a case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pass {
    /// Found rows of each query.
    pub(crate) found: Vec<Vec<Row>>,
    /// Processor time of all queries.
    pub(crate) cpu_us: f64,
    /// Wall time of each query, if measured one by one.
    pub(crate) each_us: Vec<f64>,
    /// Mean vectors compared, and nodes expanded, by a query; 0 if unknown.
    pub(crate) compared: f64,
    /// As above.
    pub(crate) expanded: f64,
    /// What the memory that a query touches costs at least, µs; 0 if unknown.
    pub(crate) floor_us: f64,
}

/// Something that answers queries.
pub(crate) trait Engine {
    fn name(&self) -> String;
    fn bytes_per_vector(&self) -> f64;
    fn build_cpu_s(&self) -> f64;
    /// Answers all queries of the set's case number `case`; none if it can't.
    fn pass(&mut self, set: &Set, case: usize, ef: usize) -> Result<Option<Pass>, BenchError>;
}

/// This crate's index.
pub(crate) struct Ours {
    index: LiveIndex,
    build_cpu_s: f64,
    bytes: f64,
    floor: Floor,
    way: Way,
}

/// How ours is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Query by query, as it plans.
    Planned,
    /// All queries in one call, as the others are asked.
    Batch,
    /// Query by query, made to go one way.
    Forced(Plan),
    /// Query by query, the filter being a keyword.
    Keyword,
    /// Query by query, the filter being a number.
    Number,
}

impl Ours {
    /// Builds the index, or opens the one that an earlier run left in `kept`.
    pub(crate) fn build(
        set: &Set,
        options: &Options,
        kept: Option<&Path>,
    ) -> Result<Self, BenchError> {
        let began = ProcessTime::now();
        let options = Options { pending_max: set.base.rows(), ..options.clone() };
        let index = match kept {
            Some(path) if path.exists() => LiveIndex::open(path, &set.space, options, None)?.0,
            _ => {
                let index = fill(set, options, &|row| known(set, row))?;
                kept.map(|path| index.save(path, 0)).transpose()?;
                index
            }
        };
        // The columns say of each row which filters accept it: no part of an index without them.
        let columns = index.state.load().generation.frozen.columns.bytes().len();
        let bytes = (index.bytes() - columns) as f64 / set.base.rows().max(1) as f64;
        let build_cpu_s = began.elapsed().as_secs_f64();
        let floor = Floor::of(&index.state.load().generation.frozen)?;
        Ok(Self { index, build_cpu_s, bytes, floor, way: Way::Planned })
    }

    /// The same index, asked in another way.
    pub(crate) fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    /// All queries in one call.
    fn batch(
        &self,
        set: &Set,
        case: usize,
        ef: usize,
        filter: Filter<'_>,
    ) -> Result<Pass, BenchError> {
        let queries: Vec<&[f32]> = set.asked(case).collect();
        let began = ThreadTime::now();
        let hits = self.index.search_batch(&queries, K, ef, filter)?;
        let cpu_us = began.elapsed().as_secs_f64() * 1e6;
        let rows = |hits: &Vec<Hit>| hits.iter().map(|hit| hit.row).collect();
        Ok(Pass { found: hits.iter().map(rows).collect(), cpu_us, ..Pass::default() })
    }
}

/// The column whose keywords are the filters that accept a row.
const FILTERS: &str = "filters";

/// What is known of a row: by which of the set's filters it is accepted, once as keywords, once as a number each.
fn known(set: &Set, row: Row) -> Attributes {
    let filters = set.cases.iter().filter_map(|case| Some((&case.filter, case.rows.as_ref()?)));
    filters.fold(Attributes::new(), |known, (name, rows)| {
        let known = known.with_number(name, rows.contains(row).into());
        if rows.contains(row) { known.with_keyword(FILTERS, name) } else { known }
    })
}

/// An index of the whole set, merged.
pub(crate) fn fill(
    set: &Set,
    options: Options,
    known: &dyn Fn(Row) -> Attributes,
) -> Result<LiveIndex, BenchError> {
    let index = LiveIndex::new(set.space.clone(), options)?;
    for (row, vector) in (0..).zip(set.base.iter()) {
        index.upsert_with(row, vector, &known(row))?;
    }
    index.merge()?;
    Ok(index)
}

impl Engine for Ours {
    fn name(&self) -> String {
        name_of(self.way)
    }

    fn bytes_per_vector(&self) -> f64 {
        self.bytes
    }

    fn build_cpu_s(&self) -> f64 {
        self.build_cpu_s
    }

    fn pass(&mut self, set: &Set, case: usize, ef: usize) -> Result<Option<Pass>, BenchError> {
        let Some(Case { rows, filter: name, .. }) = set.cases.get(case) else { return Ok(None) };
        let predicate = match self.way {
            Way::Number => Predicate::between(name, 1, 1),
            _ => Predicate::is(FILTERS, name),
        };
        let prepared = rows.clone().map(|rows| self.index.prepare(rows));
        let filter = prepared.as_ref().map_or(Filter::All, Filter::Prepared);
        let plan = match self.way {
            Way::Planned => None,
            Way::Batch => return self.batch(set, case, ef, filter).map(Some),
            Way::Keyword | Way::Number => None,
            Way::Forced(plan) => Some(plan),
        };
        let by_columns = matches!(self.way, Way::Keyword | Way::Number);
        let filter = if by_columns { Filter::Matching(&predicate) } else { filter };
        let mut pass = Pass::default();
        let began = ThreadTime::now();
        for query in set.asked(case) {
            let started = std::time::Instant::now();
            let request = Request { query, k: K, ef, filter, budget: None, plan };
            let answer = self.index.answer(&request)?;
            pass.each_us.push(started.elapsed().as_secs_f64() * 1e6);
            pass.found.push(answer.hits.iter().map(|hit| hit.row).collect());
            pass.compared += answer.compared as f64;
            pass.expanded += answer.expanded as f64;
            pass.floor_us += self.floor.us(&answer);
        }
        pass.cpu_us = began.elapsed().as_secs_f64() * 1e6;
        let queries = pass.found.len().max(1) as f64;
        pass.compared /= queries;
        pass.expanded /= queries;
        pass.floor_us /= queries;
        Ok(Some(pass))
    }
}

/// What ours is called when it is asked in this way.
pub(crate) fn name_of(way: Way) -> String {
    match way {
        Way::Planned => "bailiwick".to_owned(),
        Way::Batch => "bailiwick batch".to_owned(),
        Way::Keyword => "bailiwick keyword".to_owned(),
        Way::Number => "bailiwick number".to_owned(),
        Way::Forced(plan) => format!("bailiwick {plan:?}").to_lowercase(),
    }
}

/// `hnsw_rs` as it comes.
pub(crate) struct Bare<'a> {
    graph: Plain<'a>,
    build_cpu_s: f64,
    bytes: f64,
}

impl<'a> Bare<'a> {
    pub(crate) fn build(set: &'a Set, ef_construction: usize, threads: usize) -> Self {
        let (began, before) = (ProcessTime::now(), resident());
        let graph = Plain::build(set.base.view(), set.space.metric, ef_construction, threads);
        let bytes = resident().saturating_sub(before) as f64 / set.base.rows().max(1) as f64;
        Self { graph, build_cpu_s: began.elapsed().as_secs_f64(), bytes }
    }
}

impl Engine for Bare<'_> {
    fn name(&self) -> String {
        "hnsw_rs".to_owned()
    }

    fn bytes_per_vector(&self) -> f64 {
        self.bytes
    }

    fn build_cpu_s(&self) -> f64 {
        self.build_cpu_s
    }

    fn pass(&mut self, set: &Set, case: usize, ef: usize) -> Result<Option<Pass>, BenchError> {
        let Some(Case { rows, .. }) = set.cases.get(case) else { return Ok(None) };
        let accepts = |row: usize| {
            rows.as_ref().is_none_or(|set| u32::try_from(row).is_ok_and(|row| set.contains(row)))
        };
        let filter: Option<&dyn Fn(usize) -> bool> =
            rows.is_some().then_some(&accepts as &dyn Fn(usize) -> bool);
        let mut pass = Pass::default();
        let began = ThreadTime::now();
        for query in set.asked(case) {
            let started = std::time::Instant::now();
            pass.found.push(self.graph.search(query, K, ef.max(K), filter));
            pass.each_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
        pass.cpu_us = began.elapsed().as_secs_f64() * 1e6;
        Ok(Some(pass))
    }
}

/// Bytes that this process has in memory; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
