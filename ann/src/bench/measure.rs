//! Engines taking turns, and the best of each one's rounds.

use std::collections::BTreeSet;

use super::data::Set;
use super::engine::{Bare, Engine, Ours, Pass, Way, name_of};
use super::peers;
use super::report::{Report, Row};
use super::{BenchError, Config};
use crate::plan::Plan;
use crate::tune::share;

/// A point of an engine's curve.
struct Point {
    engine: usize,
    name: String,
    case: usize,
    ef: usize,
    best: Option<Pass>,
}

/// A curve ends with the first point that finds this share.
const RECALL_ENOUGH: f64 = 0.998;
/// Points that take longer than this are measured once only, µs of processor time.
const SLOW_US: f64 = 4e6;

/// Everyone who takes turns.
struct Ring<'a> {
    ours: Ours,
    others: Vec<Box<dyn Engine + 'a>>,
}

impl<'a> Ring<'a> {
    fn build(set: &'a Set, config: &Config, progress: &dyn Fn(&str)) -> Result<Self, BenchError> {
        progress("building ours");
        let ours = Ours::build(set, &config.options, config.index.as_deref())?;
        let mut others: Vec<Box<dyn Engine + 'a>> = Vec::new();
        if let Some(ef) = config.plain_ef_construction {
            progress("building hnsw_rs alone");
            others.push(Box::new(Bare::build(set, ef, config.options.threads)));
        }
        let peers =
            config.peers.as_ref().map(|script| peers::start(script, set, progress)).transpose()?;
        others.extend(peers.into_iter().flatten().map(|peer| Box::new(peer) as Box<dyn Engine>));
        Ok(Self { ours, others })
    }

    fn pass(&mut self, set: &Set, point: &Point) -> Result<Option<Pass>, BenchError> {
        match point.engine.checked_sub(WAYS.len()) {
            None => {
                WAYS.get(point.engine).into_iter().for_each(|&way| self.ours.set_way(way));
                self.ours.pass(set, point.case, point.ef)
            }
            Some(at) => match self.others.get_mut(at) {
                Some(engine) => engine.pass(set, point.case, point.ef),
                None => Ok(None),
            },
        }
    }

    /// Bytes a vector, and processor seconds of the build.
    fn costs(&self, engine: usize) -> (f64, f64) {
        match engine.checked_sub(WAYS.len()).and_then(|at| self.others.get(at)) {
            Some(engine) => (engine.bytes_per_vector(), engine.build_cpu_s()),
            None => (self.ours.bytes_per_vector(), self.ours.build_cpu_s()),
        }
    }
}

pub(crate) fn measure(
    set: &Set,
    config: &Config,
    progress: &dyn Fn(&str),
) -> Result<Report, BenchError> {
    let mut ring = Ring::build(set, config, progress)?;
    let mut points = points(set, config, &ring.others);
    first_round(set, &mut ring, &mut points, progress)?;
    for round in 2..=config.rounds {
        progress(&format!("round {round} of {}", config.rounds));
        for point in points.iter_mut().filter(|point| !point.slow()) {
            let pass = ring.pass(set, point)?;
            point.keep(pass);
        }
    }
    let rows = points.iter().filter_map(|point| point.row(set, ring.costs(point.engine))).collect();
    Ok(Report { rows })
}

/// Finds out where the curves end.
fn first_round(
    set: &Set,
    ring: &mut Ring<'_>,
    points: &mut Vec<Point>,
    progress: &dyn Fn(&str),
) -> Result<(), BenchError> {
    let mut ended = BTreeSet::new();
    for point in points.iter_mut() {
        let curve = (point.engine, point.case);
        if ended.contains(&curve) {
            continue;
        }
        let pass = ring.pass(set, point)?;
        point.keep(pass);
        if point.recall(set).is_none_or(|recall| recall >= RECALL_ENOUGH) {
            ended.insert(curve);
        }
        if point.slow() {
            progress(&format!("{} is slow under {}", point.name, point.case));
        }
    }
    points.retain(|point| point.best.is_some());
    Ok(())
}

/// Ours as it plans, all at once, and, under filters, made to go each way, and asked by columns.
const WAYS: [Way; 7] = [
    Way::Planned,
    Way::Batch,
    Way::Forced(Plan::Scan),
    Way::Forced(Plan::Through),
    Way::Forced(Plan::TwoHop),
    Way::Keyword,
    Way::Number,
];
/// Of these, the ones that differ without a filter.
const FREE_WAYS: usize = 2;

fn points(set: &Set, config: &Config, others: &[Box<dyn Engine + '_>]) -> Vec<Point> {
    let mut points = Vec::new();
    for (case, asked) in set.cases.iter().enumerate() {
        let ours_ways = if asked.rows.is_some() { WAYS.len() } else { FREE_WAYS };
        for &ef in &config.efs {
            for engine in (0..ours_ways).chain(WAYS.len()..WAYS.len() + others.len()) {
                let other = engine.checked_sub(WAYS.len()).and_then(|at| others.get(at));
                let name = match other {
                    Some(other) => other.name(),
                    None => WAYS.get(engine).copied().map(name_of).unwrap_or_default(),
                };
                points.push(Point { engine, name, case, ef, best: None });
            }
        }
    }
    points
}

impl Point {
    fn keep(&mut self, pass: Option<Pass>) {
        let Some(pass) = pass else { return };
        if self.best.as_ref().is_none_or(|best| pass.cpu_us < best.cpu_us) {
            self.best = Some(pass);
        }
    }

    fn slow(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.cpu_us > SLOW_US)
    }

    /// Share found of what there is; none if never measured.
    fn recall(&self, set: &Set) -> Option<f64> {
        let (pass, case) = (self.best.as_ref()?, set.cases.get(self.case)?);
        Some(share(&case.truth, &pass.found))
    }

    fn row(&self, set: &Set, (bytes_per_vector, build_cpu_s): (f64, f64)) -> Option<Row> {
        let pass = self.best.as_ref()?;
        let case = set.cases.get(self.case)?;
        let queries = case.truth.len().max(1) as f64;
        let mut each = pass.each_us.clone();
        each.sort_unstable_by(f64::total_cmp);
        Some(Row {
            engine: self.name.clone(),
            data: format!("{} {:?}", set.name, set.space.metric),
            filter: case.filter.clone(),
            k: super::data::K,
            ef: self.ef,
            recall: self.recall(set)?,
            qps: queries / (pass.cpu_us * 1e-6),
            mean_us: pass.cpu_us / queries,
            p50_us: each.get(each.len() / 2).copied(),
            p99_us: each.get(each.len() * 99 / 100).copied(),
            bytes_per_vector,
            build_cpu_s,
            compared: pass.compared,
            expanded: pass.expanded,
            floor_us: pass.floor_us,
        })
    }
}
