//! Engines taking turns, and the best of each one's rounds.

use super::data::Set;
use super::engine::{Bare, Engine, Ours, Pass, name_of};
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

pub(crate) fn measure(
    set: &Set,
    config: &Config,
    progress: &dyn Fn(&str),
) -> Result<Report, BenchError> {
    progress("building ours");
    let mut ours = Ours::build(set, &config.options)?;
    let mut others: Vec<Box<dyn Engine + '_>> = Vec::new();
    if let Some(ef) = config.plain_ef_construction {
        progress("building hnsw_rs alone");
        others.push(Box::new(Bare::build(set, ef, config.options.threads)));
    }
    let peers =
        config.peers.as_ref().map(|script| peers::start(script, set, progress)).transpose()?;
    others.extend(peers.into_iter().flatten().map(|peer| Box::new(peer) as Box<dyn Engine>));
    let mut points = points(set, config, &others);
    for round in 0..config.rounds.max(1) {
        progress(&format!("round {} of {}", round + 1, config.rounds.max(1)));
        for point in &mut points {
            let pass = match point.engine.checked_sub(PLANS.len()) {
                None => {
                    ours.set_plan(PLANS.get(point.engine).copied().flatten());
                    ours.pass(set, point.case, point.ef)?
                }
                Some(at) => match others.get_mut(at) {
                    Some(engine) => engine.pass(set, point.case, point.ef)?,
                    None => None,
                },
            };
            point.keep(pass);
        }
    }
    let costs = |engine: usize| match engine.checked_sub(PLANS.len()).and_then(|at| others.get(at))
    {
        Some(engine) => (engine.bytes_per_vector(), engine.build_cpu_s()),
        None => (ours.bytes_per_vector(), ours.build_cpu_s()),
    };
    let rows = points.iter().filter_map(|point| point.row(set, costs(point.engine))).collect();
    Ok(Report { rows })
}

/// Ours as it plans, and, under filters, made to go each way.
const PLANS: [Option<Plan>; 4] = [None, Some(Plan::Scan), Some(Plan::Through), Some(Plan::TwoHop)];

fn points(set: &Set, config: &Config, others: &[Box<dyn Engine + '_>]) -> Vec<Point> {
    let mut points = Vec::new();
    for (case, asked) in set.cases.iter().enumerate() {
        let ours_ways = if asked.rows.is_some() { PLANS.len() } else { 1 };
        for &ef in &config.efs {
            for engine in (0..ours_ways).chain(PLANS.len()..PLANS.len() + others.len()) {
                let other = engine.checked_sub(PLANS.len()).and_then(|at| others.get(at));
                let name = match other {
                    Some(other) => other.name(),
                    None => name_of(PLANS.get(engine).copied().flatten()),
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

    fn row(&self, set: &Set, (bytes_per_vector, build_cpu_s): (f64, f64)) -> Option<Row> {
        let pass = self.best.as_ref()?;
        let case = set.cases.get(self.case)?;
        let queries = set.queries.rows().max(1) as f64;
        let mut each = pass.each_us.clone();
        each.sort_unstable_by(f64::total_cmp);
        Some(Row {
            engine: self.name.clone(),
            data: format!("{} {:?}", set.name, set.space.metric),
            filter: case.filter.clone(),
            k: super::data::K,
            ef: self.ef,
            recall: share(&case.truth, &pass.found),
            qps: queries / (pass.cpu_us * 1e-6),
            mean_us: pass.cpu_us / queries,
            p50_us: each.get(each.len() / 2).copied(),
            p99_us: each.get(each.len() * 99 / 100).copied(),
            bytes_per_vector,
            build_cpu_s,
            compared: pass.compared,
            expanded: pass.expanded,
        })
    }
}
