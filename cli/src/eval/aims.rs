//! What the operator's objectives cost, each by its own knob: calibration, freshness, the creators' share.

use std::fmt;
use std::num::NonZeroU64;

use bailiwick_core::policy::Ratio;
use bailiwick_core::ranking::{Aims, Floors, Mix, Objectives, Row, compose, divergence};
use serde::Serialize;

use super::metrics::mean;
use super::slates::spread;
use super::stand::SAID;
use super::sweep::Sweeping;
use super::{AT, EvalError};

const WEIGHTS: [f64; 7] = [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9];
/// The greatest shares of one creator, from no limit to one item of twenty.
const SHARES: [f64; 6] = [1.0, 0.5, 0.3, 0.2, 0.1, 0.05];

/// Slates at one setting of one objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AimPoint {
    /// The weight, or for creators the greatest share of one.
    pub setting: f64,
    #[serde(rename = "recall@20")]
    pub(super) recall: f64,
    #[serde(rename = "ndcg@20")]
    pub(super) ndcg: f64,
    /// The part of the NDCG without objectives that is lost.
    pub ndcg_loss: f64,
    /// Mean over the slates of what is aimed at: the divergence from the history's mix in nats, the age as a part of
    /// the oldest, the share of the most frequent creator.
    pub reached: f64,
}

/// The curves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AimCurves {
    /// What stands in for what a split does not say.
    pub stand_ins: &'static str,
    /// By the weight of calibration alone.
    pub calibration: Vec<AimPoint>,
    /// By the weight of freshness alone.
    pub freshness: Vec<AimPoint>,
    /// By the greatest share of a creator alone.
    pub creators: Vec<AimPoint>,
}

/// What a slate of a person with such a history has reached.
type Reached = fn(&Sweeping<'_>, &Mix, &[Row]) -> f64;

impl Sweeping<'_> {
    /// The curves, without floors.
    pub(super) fn aims(&self) -> Result<AimCurves, EvalError> {
        let weighing = |calibration: f64, freshness: f64| {
            let weights = Ratio::new(calibration).zip(Ratio::new(freshness));
            weights.and_then(|(c, f)| Objectives::weighing(c, f)).unwrap_or_default()
        };
        let creators = |share| {
            let share = Ratio::new(share).unwrap_or(Ratio::ONE);
            Objectives::default().with_creator_share_max(share)
        };
        Ok(AimCurves {
            stand_ins: SAID,
            calibration: self.curve(
                &WEIGHTS,
                |c| weighing(c, 0.0),
                |all, taste, rows| divergence(&all.shelf, taste, rows),
            )?,
            freshness: self.curve(
                &WEIGHTS,
                |f| weighing(0.0, f),
                |all, _, rows| all.shelf.age(rows),
            )?,
            creators: self
                .curve(&SHARES, creators, |all, _, rows| all.shelf.creator_share(rows))?,
        })
    }

    fn curve(
        &self,
        settings: &[f64],
        objectives: impl Fn(f64) -> Objectives,
        reached: Reached,
    ) -> Result<Vec<AimPoint>, EvalError> {
        let mut points: Vec<AimPoint> = Vec::with_capacity(settings.len());
        for setting in settings {
            let mut point = self.aim(*setting, objectives(*setting), reached)?;
            let free = points.first().map_or(point.ndcg, |first| first.ndcg);
            point.ndcg_loss = if free > 0.0 { 1.0 - point.ndcg / free } else { 0.0 };
            points.push(point);
        }
        Ok(points)
    }

    /// One setting's slates; the loss is told by who knows the others.
    fn aim(
        &self,
        setting: f64,
        objectives: Objectives,
        reached: Reached,
    ) -> Result<AimPoint, EvalError> {
        // A quarter of the catalogue is half as fresh as what is new.
        let half_life = NonZeroU64::new(u64::try_from(self.shelf.now().0 / 4).unwrap_or(1));
        let objectives = objectives.with_half_life_ms(half_life.unwrap_or(NonZeroU64::MIN));
        let people: Vec<(&Vec<(Row, f32)>, &Mix)> =
            self.candidates.iter().zip(&self.tastes).collect();
        let of = |(ranked, taste): &(&Vec<(Row, f32)>, &Mix)| {
            let aims = Aims { objectives, taste: (*taste).clone(), now: self.shelf.now() };
            let slate = compose(&self.shelf, ranked, AT, &Floors::default(), &aims);
            let rows: Vec<Row> = slate.items.iter().map(|(row, _)| *row).collect();
            let reached = reached(self, taste, &rows);
            (rows, reached)
        };
        let composed = spread(&people, self.threads, of)?;
        let (slates, reached): (Vec<Vec<Row>>, Vec<f64>) = composed.into_iter().unzip();
        let judged = self.judge.judge(&slates);
        Ok(AimPoint {
            setting,
            recall: mean(judged.people.iter().map(|(_, figures)| figures.recall)),
            ndcg: mean(judged.people.iter().map(|(_, figures)| figures.ndcg)),
            ndcg_loss: 0.0,
            reached: mean(reached.into_iter()),
        })
    }
}

impl fmt::Display for AimCurves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nobjectives; {}", self.stand_ins)?;
        writeln!(
            f,
            "{:>20}{:>10}{:>11}{:>9}{:>8}{:>10}",
            "", "setting", "recall@20", "ndcg@20", "loss", "reached"
        )?;
        for (name, points) in [
            ("calibration, nats", &self.calibration),
            ("freshness, age", &self.freshness),
            ("creator's share", &self.creators),
        ] {
            for p in points {
                write!(f, "{name:>20}{:>10.2}{:>11.4}{:>9.4}", p.setting, p.recall, p.ndcg)?;
                writeln!(f, "{:>7.1}%{:>10.3}", 100.0 * p.ndcg_loss, p.reached)?;
            }
        }
        Ok(())
    }
}
