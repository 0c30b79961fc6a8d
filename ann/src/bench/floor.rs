//! What memory alone would cost a search: the cache lines that it touches, times the cost of a line.

use std::hint::black_box;

use cpu_time::ThreadTime;

use crate::error::AnnError;
use crate::frozen::Frozen;
use crate::live::Answer;
use crate::memory::Huge;
use crate::plan::Plan;
use crate::sift::prefetch;
use crate::walk::Map;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Lines asked for before the first of them is read, as a walk does for the links of two nodes.
const AHEAD: usize = 48;
/// Lines read in a round.
const READ: usize = 1 << 18;
const ROUNDS: usize = 15;

/// Processor time of reading a line of `run` consecutive ones at a random place in a table of
/// `bytes`, asked for ahead, in ns: the least of several rounds.
///
/// # Errors
/// [`AnnError::Memory`] when the table can't be had.
fn line_ns(bytes: usize, run: usize) -> Result<f64, AnnError> {
    let run = run.max(1);
    let table = Huge::<u8>::zeros(bytes.max(LINE * run * AHEAD))?;
    let places = table.len() / (LINE * run);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut at = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % places as u64).unwrap_or_default() * LINE * run
    };
    let starts: Vec<usize> = (0..READ / run).map(|_| at()).collect();
    let round = |_| {
        let began = ThreadTime::now();
        starts.chunks((AHEAD / run).max(1)).for_each(|some| read(&table, some, run));
        began.elapsed().as_secs_f64() * 1e9 / (starts.len() * run) as f64
    };
    Ok((0..ROUNDS).map(round).fold(f64::INFINITY, f64::min))
}

fn read(table: &[u8], starts: &[usize], run: usize) {
    let lines = || starts.iter().flat_map(|&start| (0..run).map(move |line| start + line * LINE));
    lines().for_each(|at| prefetch(table, at));
    let sum: u64 = lines().map(|at| u64::from(table.get(at).copied().unwrap_or_default())).sum();
    black_box(sum);
}

/// The least that searches of an index can cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    code_ns: f64,
    links_ns: f64,
    vector_ns: f64,
    /// Codes of a walk that lie together, in the nearest cache: they cost next to nothing.
    pivots: usize,
}

impl Floor {
    /// Measures what codes, links and vectors of `frozen` cost to read.
    pub(crate) fn of(frozen: &Frozen) -> Result<Self, AnnError> {
        let Map { codes, graph, .. } = &frozen.map;
        let vector_bytes = frozen.vectors.bytes() / frozen.nodes().max(1);
        let bytes = codes.bytes().len() + graph.bytes();
        let run = |lines: usize| line_ns(bytes, lines).map(|ns| ns * lines as f64);
        Ok(Self {
            code_ns: run(codes.lines())?,
            links_ns: run(graph.lines())?,
            vector_ns: run(vector_bytes.div_ceil(LINE))?,
            pivots: frozen.map.pivots().len(),
        })
    }

    /// What the memory that this search touched costs at least, µs.
    pub(crate) fn us(&self, answer: &Answer) -> f64 {
        let pivots = if answer.plan == Some(Plan::Scan) { 0 } else { self.pivots };
        let codes = answer.compared.saturating_sub(pivots) as f64 * self.code_ns;
        let links = answer.expanded as f64 * self.links_ns;
        (codes + links + answer.rescored as f64 * self.vector_ns) / 1e3
    }
}
