//! How much better or worse groups of people are served than all: by country and by age, where these are told.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::bootstrap::mean_with_interval;
use super::metrics::{Judged, mean};
use crate::data::Split;

/// Smaller groups are put together.
const PEOPLE_MIN: usize = 20;
const REST: &str = "others";
/// The ends of age bands, in years.
const AGES: [(u8, &str); 5] =
    [(24, "18-24"), (34, "25-34"), (49, "35-49"), (64, "50-64"), (u8::MAX, "65+")];

/// One group's people, under the whole variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupFigures {
    /// People judged.
    pub people: usize,
    #[serde(rename = "recall@20")]
    recall: f64,
    /// Mean over the group.
    #[serde(rename = "ndcg@20")]
    pub ndcg: f64,
    /// 95 of 100 resampled sets of the group's people have their mean in it.
    #[serde(rename = "ndcg@20_interval")]
    ndcg_interval: [f64; 2],
    /// `ndcg / ndcg of all - 1`: below 0 the group is served worse.
    pub gap: f64,
}

/// Groups by what they are formed by.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Groups(pub BTreeMap<&'static str, BTreeMap<String, GroupFigures>>);

/// The groups of the people judged; none where nothing is told of anybody.
pub(super) fn groups(split: &Split, judged: &Judged, seed: u64) -> Groups {
    let country = |person| split.country(person).map(str::to_owned);
    let age = |person| split.age(person).map(|age| band(age).to_owned());
    let by = |of: &dyn Fn(usize) -> Option<String>| grouped(judged, seed, of);
    let found = [("country", by(&country)), ("age", by(&age))];
    Groups(found.into_iter().filter(|(_, groups)| !groups.is_empty()).collect())
}

fn band(age: u8) -> &'static str {
    AGES.iter().find(|(end, _)| age <= *end).map_or(REST, |(_, name)| name)
}

fn grouped(
    judged: &Judged,
    seed: u64,
    of: &dyn Fn(usize) -> Option<String>,
) -> BTreeMap<String, GroupFigures> {
    let mut members: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (person, figures) in &judged.people {
        if let Some(group) = of(*person) {
            members.entry(group).or_default().push((figures.recall, figures.ndcg));
        }
    }
    let (large, small): (BTreeMap<_, _>, BTreeMap<_, _>) =
        members.into_iter().partition(|(_, people)| people.len() >= PEOPLE_MIN);
    let rest: Vec<(f64, f64)> = small.into_values().flatten().collect();
    let rest = (rest.len() >= PEOPLE_MIN).then(|| (REST.to_owned(), rest));
    let all = mean(judged.people.iter().map(|(_, figures)| figures.ndcg));
    let figures = |people: Vec<(f64, f64)>| {
        let values: Vec<f64> = people.iter().map(|(_, ndcg)| *ndcg).collect();
        let (ndcg, ndcg_interval) = mean_with_interval(&values, seed);
        GroupFigures {
            people: people.len(),
            recall: mean(people.iter().map(|(recall, _)| *recall)),
            ndcg,
            ndcg_interval,
            gap: if all > 0.0 { ndcg / all - 1.0 } else { 0.0 },
        }
    };
    large.into_iter().chain(rest).map(|(group, people)| (group, figures(people))).collect()
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (by, groups) in &self.0 {
            writeln!(
                f,
                "\n{by:14}{:>10}{:>11}{:>25}{:>9}",
                "people", "recall@20", "ndcg@20", "gap"
            )?;
            for (name, g) in groups {
                let [low, high] = g.ndcg_interval;
                let ndcg = format!("{:.4} ({low:.4}-{high:.4})", g.ndcg);
                write!(f, "{name:14}{:>10}{:>11.4}{ndcg:>25}", g.people, g.recall)?;
                writeln!(f, "{:>8.1}%", 100.0 * g.gap)?;
            }
        }
        Ok(())
    }
}
