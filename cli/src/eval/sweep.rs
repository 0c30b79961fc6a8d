//! What the packs' floors and the operator's objectives cost: the trade-off curve of each knob, over slates as a cluster composes them.

use std::fmt;

use bailiwick_core::learning::PooledModel;
use bailiwick_core::policy::{Ratio, Shares};
use bailiwick_core::ranking::{Aims, Floors, Mix, Row, compose, diversity};
use serde::Serialize;

use super::aims::{AimCurves, AimPoint};
use super::metrics::{Judge, mean};
use super::plot::Curve;
use super::slates::{best, spread};
use super::stand::{LOCAL_EVERY, PLACE, Stand, is_local};
use super::{AT, EvalError};
use crate::data::Split;

const DIVERSITY: [f64; 9] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];
const LOCAL: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5];
/// The floors that the default packs have in the European Union.
const BOTH: (f64, f64) = (0.2, 0.3);
/// Candidates that a slate is composed of, besides those that a share may want.
const CANDIDATES: usize = 100;

/// Slates at one setting of the floors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The floor of intra-list diversity.
    pub diversity: f64,
    /// The share of local items.
    pub local: f64,
    #[serde(rename = "recall@20")]
    pub(super) recall: f64,
    #[serde(rename = "ndcg@20")]
    pub(super) ndcg: f64,
    /// The part of the NDCG without floors that is lost.
    pub ndcg_loss: f64,
    /// Means over the slates.
    pub(super) diversity_reached: f64,
    pub(super) local_reached: f64,
    /// The part of the slates that say that a floor is not kept.
    pub unmet: f64,
}

/// The curves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// By the floor of diversity alone.
    pub diversity: Vec<Point>,
    /// By the local share alone.
    pub local: Vec<Point>,
    /// With both floors of the default packs.
    pub both: Point,
    /// By the operator's objectives.
    pub objectives: AimCurves,
}

/// Everybody's candidates, best first, and what slates of them are worth.
pub(super) struct Sweeping<'a> {
    pub(super) judge: &'a Judge<'a>,
    pub(super) shelf: Stand<'a>,
    pub(super) candidates: Vec<Vec<(Row, f32)>>,
    /// The mix of categories of everybody's history.
    pub(super) tastes: Vec<Mix>,
    pub(super) threads: usize,
}

impl<'a> Sweeping<'a> {
    pub(super) fn new(
        split: &Split,
        judge: &'a Judge<'a>,
        model: &'a PooledModel,
        threads: usize,
        scores: impl Fn(usize) -> Vec<f32> + Sync,
    ) -> Result<Self, EvalError> {
        let of = |&person: &usize| candidates(&scores(person), split.train(person));
        let candidates = spread(judge.people(), threads, of)?;
        let shelf = Stand::of(model, split.items());
        let taste = |person: &usize| shelf.taste(split.train(*person));
        let tastes = judge.people().iter().map(taste).collect();
        Ok(Self { judge, shelf, candidates, tastes, threads })
    }

    pub(super) fn sweep(&self) -> Result<Sweep, EvalError> {
        let free = self.point(0.0, 0.0, 0.0)?;
        let at = |diversity, local| self.point(diversity, local, free.ndcg);
        Ok(Sweep {
            diversity: DIVERSITY.iter().map(|floor| at(*floor, 0.0)).collect::<Result<_, _>>()?,
            local: LOCAL.iter().map(|share| at(0.0, *share)).collect::<Result<_, _>>()?,
            both: at(BOTH.0, BOTH.1)?,
            objectives: self.aims()?,
        })
    }

    fn point(&self, floor: f64, local: f64, free: f64) -> Result<Point, EvalError> {
        let share = Ratio::new(local).filter(|_| local > 0.0).map(|share| (PLACE.into(), share));
        let floors = Floors { diversity: floor as f32, local: Shares(share.into_iter().collect()) };
        let of =
            |ranked: &Vec<(Row, f32)>| compose(&self.shelf, ranked, AT, &floors, &Aims::default());
        let composed = spread(&self.candidates, self.threads, of)?;
        let rows = |items: &[(Row, f32)]| items.iter().map(|(row, _)| *row).collect::<Vec<Row>>();
        let slates: Vec<Vec<Row>> = composed.iter().map(|slate| rows(&slate.items)).collect();
        let judged = self.judge.judge(&slates);
        let ndcg = mean(judged.people.iter().map(|(_, figures)| figures.ndcg));
        let told = composed.iter().map(|slate| f64::from(u8::from(!slate.unmet.is_empty())));
        Ok(Point {
            diversity: floor,
            local,
            recall: mean(judged.people.iter().map(|(_, figures)| figures.recall)),
            ndcg,
            ndcg_loss: if free > 0.0 { 1.0 - ndcg / free } else { 0.0 },
            diversity_reached: mean(slates.iter().map(|s| diversity(&self.shelf, s).into())),
            local_reached: mean(slates.iter().map(|slate| self.shelf.local_share(slate))),
            unmet: mean(told),
        })
    }
}

/// The best, and the best local ones as far as a share may want them.
fn candidates(scores: &[f32], without: &[u32]) -> Vec<(Row, f32)> {
    let mut local = scores.to_vec();
    for (_, score) in local.iter_mut().enumerate().filter(|(item, _)| !is_local(*item)) {
        *score = f32::NEG_INFINITY;
    }
    let mut rows = best(scores.to_vec(), without, f32::NEG_INFINITY, CANDIDATES);
    rows.extend(best(local, without, f32::NEG_INFINITY, AT));
    rows.sort_unstable();
    rows.dedup();
    let score = |row: u32| scores.get(row as usize).copied().unwrap_or_default();
    let mut found: Vec<(Row, f32)> = rows.into_iter().map(|row| (row, score(row))).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found
}

impl Sweep {
    /// Loss of NDCG over the setting, a line a knob; all go from 0, where they do nothing, to 1.
    pub(super) fn curves(&self) -> Vec<Curve> {
        let Self { diversity, local, objectives: aims, .. } = self;
        let floor = |name, colour, points: &[Point], setting: fn(&Point) -> f64| Curve {
            name,
            colour,
            points: points.iter().map(|point| (setting(point), point.ndcg_loss)).collect(),
        };
        let aim = |name, colour, points: &[AimPoint], setting: fn(f64) -> f64| Curve {
            name,
            colour,
            points: points.iter().map(|p| (setting(p.setting), p.ndcg_loss)).collect(),
        };
        vec![
            floor("intra-list diversity", "#1b6ca8", diversity, |point| point.diversity),
            floor("local share", "#c2571a", local, |point| point.local),
            aim("weight of calibration", "#3a7d34", &aims.calibration, |weight| weight),
            aim("weight of freshness", "#7a4fa3", &aims.freshness, |weight| weight),
            aim("1 - a creator's share", "#5b5b5b", &aims.creators, |share| 1.0 - share),
        ]
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nfloors; one item of {LOCAL_EVERY} stands in for the local ones")?;
        writeln!(
            f,
            "{:>10}{:>10}{:>11}{:>9}{:>8}{:>19}{:>15}{:>8}",
            "diversity",
            "local",
            "recall@20",
            "ndcg@20",
            "loss",
            "diversity reached",
            "local reached",
            "unmet"
        )?;
        for p in self.diversity.iter().chain(&self.local).chain([&self.both]) {
            write!(f, "{:>10.2}{:>10.2}{:>11.4}{:>9.4}", p.diversity, p.local, p.recall, p.ndcg)?;
            write!(f, "{:>7.1}%{:>19.3}", 100.0 * p.ndcg_loss, p.diversity_reached)?;
            writeln!(f, "{:>15.3}{:>7.1}%", p.local_reached, 100.0 * p.unmet)?;
        }
        self.objectives.fmt(f)
    }
}
