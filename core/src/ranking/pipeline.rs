//! The stages in order: the whole of a recommendation on one screen.

use std::collections::BTreeMap;

use crate::policy::SignalSet;

use super::slate::compose;
use super::{Candidate, Filter, Floor, Part, Row, Scorer, Shelf, Source, SourceError};

/// Candidates each source may bring for one item shown.
const OVERSAMPLE: usize = 4;
/// Candidates each source may bring at least.
const CANDIDATES_MIN: usize = 100;

/// What the decision and the request ask of a slate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The signals granted.
    pub granted: SignalSet,
    /// Items wanted.
    pub limit: usize,
    /// The packs' floor of intra-list diversity, 0 to 1.
    pub diversity_floor: f32,
}

/// A source that failed.
pub type Fault = SourceError;

/// An item as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The item.
    pub row: Row,
    /// The sum of the shares.
    pub score: f32,
    /// What brought it, with its share in the score, largest first.
    pub why: Vec<(Part, f32)>,
}

/// A slate with its reasons.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// Best first under the floors.
    pub items: Vec<Ranked>,
    /// The sources that were asked.
    pub asked: Vec<&'static str>,
    /// The sources that could not answer.
    pub faults: Vec<Fault>,
    /// Floors that could not be kept.
    pub unmet: Vec<Floor>,
}

impl Ranking {
    /// The signals that some item shown rests on.
    #[must_use]
    pub fn signals_used(&self) -> SignalSet {
        let parts = self.items.iter().flat_map(|item| item.why.iter());
        parts.filter_map(|(part, _)| part.signal).collect()
    }
}

/// Ranks: asks every source whose signals are granted, drops what a filter drops, scores, and composes.
pub fn rank(
    rules: &Rules,
    sources: &[Box<dyn Source + '_>],
    filters: &[Box<dyn Filter + '_>],
    scorer: &dyn Scorer,
    shelf: &dyn Shelf,
) -> Ranking {
    let keep = |row: Row| {
        shelf.facts(row).is_some_and(|item| filters.iter().all(|filter| filter.keep(row, item)))
    };
    let wanted = rules.limit.saturating_mul(OVERSAMPLE).max(CANDIDATES_MIN);
    let mut ranking = Ranking::default();
    let mut found: BTreeMap<Row, Vec<Part>> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.needs().is_subset(rules.granted)) {
        ranking.asked.push(source.name());
        match source.candidates(wanted, &keep) {
            // A source that forgot `keep` must not get past the filters.
            Ok(rows) => rows.into_iter().filter(|(row, _)| keep(*row)).for_each(|(row, part)| {
                found.entry(row).or_default().push(part);
            }),
            Err(fault) => ranking.faults.push(fault),
        }
    }
    finish(rules, found, scorer, shelf, ranking)
}

fn finish(
    rules: &Rules,
    found: BTreeMap<Row, Vec<Part>>,
    scorer: &dyn Scorer,
    shelf: &dyn Shelf,
    mut ranking: Ranking,
) -> Ranking {
    let mut candidates: BTreeMap<Row, Candidate> =
        found.into_iter().map(|(row, parts)| (row, Candidate { row, parts })).collect();
    let mut scored: Vec<(Row, f32)> =
        candidates.values().map(|c| (c.row, scorer.score(c))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.truncate(rules.limit.saturating_mul(OVERSAMPLE).max(CANDIDATES_MIN));
    let slate = compose(shelf, &scored, rules.limit, rules.diversity_floor);
    ranking.unmet = slate.unmet;
    for (row, score) in slate.items {
        let parts = candidates.remove(&row).map(|c| c.parts).unwrap_or_default();
        let mut why: Vec<(Part, f32)> = parts
            .into_iter()
            .map(|part| (scorer.share(&part), part))
            .map(|(s, p)| (p, s))
            .collect();
        why.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranking.items.push(Ranked { row, score, why });
    }
    ranking
}
