//! What privacy costs: the curve of what is lost by the budget of a run.

use std::fmt;

use bailiwick_core::learning::{Budget, TrainingOptions};
use serde::Serialize;

use super::learned::Learned;
use super::metrics::{Judge, Judged, mean};
use super::plot::Curve;
use super::slates::Slates;
use super::{AT, EvalArgs, EvalError};
use crate::data::Split;

/// The chance that a run tells more than its epsilon says: less than one in the number of people of any split.
const DELTA: f64 = 1e-6;

/// Slates of a run at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrivacyPoint {
    /// Of the run, for a person with all that they took, by the accounting of `bailiwick_core::learning`.
    pub epsilon: f64,
    /// As in the accounting.
    pub delta: f64,
    /// Standard deviation of the noise in every number of a round's sum.
    pub deviation: f64,
    #[serde(rename = "recall@20")]
    recall: f64,
    #[serde(rename = "ndcg@20")]
    ndcg: f64,
    /// Of the learned vectors alone, without the lists, which stay at home and need no noise.
    #[serde(rename = "vectors_ndcg@20")]
    vectors_ndcg: f64,
    /// The part of the NDCG without noise that is lost.
    pub ndcg_loss: f64,
    vectors_ndcg_loss: f64,
    /// Items that stand out from the noise.
    pub items_known: usize,
}

/// The curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Privacy(pub Vec<PrivacyPoint>);

/// NDCG of all that is served and of the vectors alone, recall of all.
struct Worth {
    recall: f64,
    ndcg: f64,
    vectors_ndcg: f64,
}

fn worth(learned: &Learned, split: &Split, judge: &Judge<'_>) -> Result<Worth, EvalError> {
    let [all, vectors] = learned.with_and_without_lists(split);
    let judged = |slates: &dyn Slates| -> Result<Judged, EvalError> {
        Ok(judge.judge(&slates.slates(judge.people(), AT)?))
    };
    let (all, vectors) = (judged(&*all)?, judged(&*vectors)?);
    Ok(Worth {
        recall: mean(all.people.iter().map(|(_, figures)| figures.recall)),
        ndcg: mean(all.people.iter().map(|(_, figures)| figures.ndcg)),
        vectors_ndcg: mean(vectors.people.iter().map(|(_, figures)| figures.ndcg)),
    })
}

/// Learns anew under each budget, and judges beside what was learned without noise.
pub(super) fn curve(
    plain: &Learned,
    split: &Split,
    judge: &Judge<'_>,
    args: &EvalArgs,
    say: &mut impl FnMut(&str),
) -> Result<Privacy, EvalError> {
    let free = worth(plain, split, judge)?;
    let mut points = Vec::new();
    for &epsilon in &args.epsilon {
        let budget = Budget::new(epsilon, DELTA)?;
        let options = args.training().under(budget);
        say(&format!("epsilon {epsilon}"));
        let learned = Learned::under(&options, split, args, say)?;
        points.push(point(budget, &options, &learned, &free, &worth(&learned, split, judge)?));
    }
    Ok(Privacy(points))
}

fn point(
    budget: Budget,
    options: &TrainingOptions,
    learned: &Learned,
    free: &Worth,
    found: &Worth,
) -> PrivacyPoint {
    let loss = |free: f64, found: f64| if free > 0.0 { 1.0 - found / free } else { 0.0 };
    PrivacyPoint {
        epsilon: budget.epsilon(),
        delta: budget.delta(),
        deviation: options.deviation(|whole| whole),
        recall: found.recall,
        ndcg: found.ndcg,
        vectors_ndcg: found.vectors_ndcg,
        ndcg_loss: loss(free.ndcg, found.ndcg),
        vectors_ndcg_loss: loss(free.vectors_ndcg, found.vectors_ndcg),
        items_known: learned.items_known(),
    }
}

impl Privacy {
    /// Loss over the logarithm of epsilon, from 0.1 to 1,000.
    pub(super) fn curves(&self) -> Vec<Curve> {
        let of = |name, colour, loss: fn(&PrivacyPoint) -> f64| Curve {
            name,
            colour,
            points: self.0.iter().map(|p| (place(p.epsilon), loss(p))).collect(),
        };
        vec![
            of("all that is served", "#1b6ca8", |point| point.ndcg_loss),
            of("learned vectors alone", "#c2571a", |point| point.vectors_ndcg_loss),
        ]
    }
}

fn place(epsilon: f64) -> f64 {
    ((epsilon.log10() + 1.0) / 4.0).clamp(0.0, 1.0)
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nprivacy of a person with all that they took, delta {DELTA:e}, one run")?;
        writeln!(
            f,
            "{:>10}{:>12}{:>11}{:>9}{:>8}{:>17}{:>8}{:>13}",
            "epsilon",
            "deviation",
            "recall@20",
            "ndcg@20",
            "loss",
            "vectors' ndcg@20",
            "loss",
            "items known"
        )?;
        for p in &self.0 {
            write!(f, "{:>10}{:>12.2}{:>11.4}{:>9.4}", p.epsilon, p.deviation, p.recall, p.ndcg)?;
            write!(f, "{:>7.1}%{:>17.4}", 100.0 * p.ndcg_loss, p.vectors_ndcg)?;
            writeln!(f, "{:>7.1}%{:>13}", 100.0 * p.vectors_ndcg_loss, p.items_known)?;
        }
        Ok(())
    }
}
