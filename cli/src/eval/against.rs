//! Beside what something else recommends to the same people: is the difference more than chance?

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::bootstrap::mean_with_interval;
use super::metrics::{Figures, Judge, Judged, mean};
use super::{AT, EvalArgs, EvalError};
use crate::data::Split;

/// A difference of means over the same people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Ours less theirs.
    pub mean: f64,
    /// 95 of 100 resampled sets of people have their mean difference in it (paired bootstrap): when 0 is in it, the
    /// two are level.
    pub interval: [f64; 2],
}

/// How a variant does beside other slates, person by person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The mean of the others.
    #[serde(rename = "recall@20")]
    pub recall: f64,
    /// As above.
    #[serde(rename = "ndcg@20")]
    pub ndcg: f64,
    /// Ours less theirs.
    #[serde(rename = "recall@20_difference")]
    pub recall_difference: Difference,
    /// As above.
    #[serde(rename = "ndcg@20_difference")]
    pub ndcg_difference: Difference,
}

/// By the file of slates.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Against(pub BTreeMap<String, Beside>);

/// Judges each of the files of slates by the same people, and compares.
pub(super) fn against(
    args: &EvalArgs,
    split: &Split,
    judge: &Judge<'_>,
    ours: &Judged,
) -> Result<Against, EvalError> {
    let beside = |file: &std::path::PathBuf| {
        let slates = split.read_slates(file, AT)?;
        let of = |person: &usize| slates.get(*person).cloned().unwrap_or_default();
        let theirs = judge.judge(&judge.people().iter().map(of).collect::<Vec<_>>());
        Ok((file.display().to_string(), beside(ours, &theirs, args.seed)))
    };
    Ok(Against(args.against.iter().map(beside).collect::<Result<_, EvalError>>()?))
}

fn beside(ours: &Judged, theirs: &Judged, seed: u64) -> Beside {
    let difference = |value: fn(&Figures) -> f64| {
        let pairs = ours.people.iter().zip(&theirs.people);
        let each: Vec<f64> =
            pairs.map(|((_, ours), (_, theirs))| value(ours) - value(theirs)).collect();
        let (mean, interval) = mean_with_interval(&each, seed);
        Difference { mean, interval }
    };
    let their = |value: fn(&Figures) -> f64| mean(theirs.people.iter().map(|(_, f)| value(f)));
    Beside {
        recall: their(|f| f.recall),
        ndcg: their(|f| f.ndcg),
        recall_difference: difference(|f| f.recall),
        ndcg_difference: difference(|f| f.ndcg),
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:>10}{:>32}{:>9}{:>32}  slates of",
            "recall@20", "ours less", "ndcg@20", "ours less"
        )?;
        for (file, beside) in &self.0 {
            let wide = |d: &Difference| {
                let [low, high] = d.interval;
                format!("{:+.4} ({low:+.4} to {high:+.4})", d.mean)
            };
            write!(f, "{:>10.4}{:>32}", beside.recall, wide(&beside.recall_difference))?;
            writeln!(f, "{:>9.4}{:>32}  {file}", beside.ndcg, wide(&beside.ndcg_difference))?;
        }
        Ok(())
    }
}
