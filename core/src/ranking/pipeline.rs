//! The stages in order: the whole of a recommendation on one screen.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::SignalSet;

use super::floors::comes_from;
use super::slate::compose;
use super::{
    Aims, Candidate, Exploration, Explored, Filter, Floor, Floors, Part, Row, Scorer, Shelf,
    Source, SourceError, Weight,
};

/// Candidates each source may bring for one item shown.
const OVERSAMPLE: usize = 4;
/// Candidates each source may bring at least.
const CANDIDATES_MIN: usize = 100;

/// What the decision and the request ask of a slate.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The signals granted.
    pub granted: SignalSet,
    /// Items wanted.
    pub limit: usize,
    /// The packs' floors.
    pub floors: Floors,
    /// What else the slate is composed for.
    pub aims: Aims,
    /// What chance may bring.
    pub exploration: Exploration,
}

/// What was brought, by row.
type Found = BTreeMap<Row, Vec<Part>>;

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
    /// Best first under floors and objectives; by score where the objectives weigh nothing.
    pub items: Vec<Ranked>,
    /// The weights of the sources that brought what is shown and of the objectives that counted beside them, largest
    /// first, which sum to one; then, with 0, the limits.
    pub parameters: Vec<Weight>,
    /// The sources that were asked.
    pub asked: Vec<&'static str>,
    /// The sources that could not answer.
    pub faults: Vec<Fault>,
    /// Floors that could not be kept.
    pub unmet: Vec<Floor>,
    /// What chance brought, and how likely that was: kept at home, and not told in an answer.
    pub explored: Vec<Explored>,
}

impl Ranking {
    /// The signals that some item shown rests on.
    #[must_use]
    pub fn signals_used(&self) -> SignalSet {
        let parts = self.items.iter().flat_map(|item| item.why.iter());
        parts.filter_map(|(part, _)| part.signal).collect()
    }
}

/// Ranks: asks every source whose signals are granted, drops what a filter drops, asks every source of what
/// the others brought, scores, and composes.
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
    let mut found = Found::new();
    let asked = sources.iter().map(|source| &**source);
    let asked: Vec<&dyn Source> = asked.filter(|s| s.needs().is_subset(rules.granted)).collect();
    for source in &asked {
        ranking.asked.push(source.name());
        if let Err(fault) = bring(*source, wanted, &keep, &mut found) {
            ranking.faults.push(fault);
        }
    }
    bring_local(rules, &asked, shelf, &keep, &mut found);
    found.iter_mut().for_each(|(row, parts)| complete(&asked, *row, parts));
    finish(&Stage { rules, asked, scorer, shelf, keep: &keep }, found, ranking)
}

/// Asks a source, and notes what it brings.
fn bring(
    source: &dyn Source,
    wanted: usize,
    keep: &dyn Fn(Row) -> bool,
    found: &mut Found,
) -> Result<(), Fault> {
    // A source that forgot `keep` must not get past the filters.
    for (row, part) in source.candidates(wanted, keep)?.into_iter().filter(|(row, _)| keep(*row)) {
        let parts = found.entry(row).or_default();
        // A source that is asked twice brings some rows twice.
        if parts.iter().all(|known| known.source != part.source) {
            parts.push(part);
        }
    }
    Ok(())
}

/// Where too few candidates are from a place that the floors name, asks for such alone. A source that fails has
/// said so before.
fn bring_local(
    rules: &Rules,
    asked: &[&dyn Source],
    shelf: &dyn Shelf,
    keep: &dyn Fn(Row) -> bool,
    found: &mut Found,
) {
    for (place, share) in &rules.floors.local.0 {
        let wanted = share.of(rules.limit);
        let local = |row: Row| comes_from(shelf, row, place);
        let there = found.keys().filter(|row| local(**row)).count();
        // Sources look through the whole catalogue for what is rare: not where there is no more to be found.
        if there < wanted.min(shelf.place_rows_max(place)) {
            for source in asked {
                let _ = bring(*source, wanted, &|row| local(row) && keep(row), found);
            }
        }
    }
}

/// The best, and as many from each place as the floors may want of it; best first.
fn shortlist(rules: &Rules, shelf: &dyn Shelf, mut scored: Vec<(Row, f32)>) -> Vec<(Row, f32)> {
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let most = rules.limit.saturating_mul(OVERSAMPLE).max(CANDIDATES_MIN);
    let mut listed: BTreeSet<Row> = scored.iter().take(most).map(|(row, _)| *row).collect();
    for (place, share) in &rules.floors.local.0 {
        let local = scored.iter().map(|(row, _)| *row);
        let local = local.filter(|row| comes_from(shelf, *row, place));
        listed.extend(local.take(share.of(rules.limit)));
    }
    scored.retain(|(row, _)| listed.contains(row));
    scored
}

/// Adds what the sources say of a row that others brought.
fn complete(asked: &[&dyn Source], row: Row, parts: &mut Vec<Part>) {
    for source in asked {
        if parts.iter().all(|part| part.source != source.name()) {
            parts.extend(source.opinion(row));
        }
    }
}

/// What the last stages look at.
struct Stage<'a> {
    rules: &'a Rules,
    asked: Vec<&'a dyn Source>,
    scorer: &'a dyn Scorer,
    shelf: &'a dyn Shelf,
    keep: &'a dyn Fn(Row) -> bool,
}

fn finish(stage: &Stage<'_>, found: Found, mut ranking: Ranking) -> Ranking {
    let Stage { rules, shelf, .. } = stage;
    let mut candidates: BTreeMap<Row, Candidate> =
        found.into_iter().map(|(row, parts)| (row, Candidate { row, parts })).collect();
    let scored = candidates.values().map(|c| (c.row, stage.scorer.score(c))).collect();
    let scored = shortlist(rules, *shelf, scored);
    let slate = compose(*shelf, &scored, rules.limit, &rules.floors, &rules.aims);
    let mut rows: Vec<Row> = slate.items.iter().map(|(row, _)| *row).collect();
    ranking.explored = rules.exploration.explore(*shelf, &rules.floors, stage.keep, &mut rows);
    ranking.unmet = match ranking.explored.is_empty() {
        true => slate.unmet,
        false => rules.floors.unmet(*shelf, &rows),
    };
    let by_chance: BTreeSet<Row> = ranking.explored.iter().map(|known| known.row).collect();
    for row in rows {
        let mut parts = candidates.remove(&row).map(|c| c.parts).unwrap_or_default();
        if by_chance.contains(&row) {
            complete(&stage.asked, row, &mut parts);
            parts.push(Exploration::part());
        }
        ranking.items.push(stage.ranked(Candidate { row, parts }));
    }
    ranking.parameters = parameters(stage, &ranking);
    ranking
}

impl Stage<'_> {
    fn ranked(&self, candidate: Candidate) -> Ranked {
        let (row, score) = (candidate.row, self.scorer.score(&candidate));
        let parts = candidate.parts.into_iter();
        let explained = parts.map(|part| explain(&self.asked, row, part));
        let mut why: Vec<(Part, f32)> =
            explained.map(|part| (self.scorer.share(&part), part)).map(|(s, p)| (p, s)).collect();
        why.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ranked { row, score, why }
    }
}

/// What decided, with its weight: sources, objectives, chance.
fn parameters(stage: &Stage<'_>, ranking: &Ranking) -> Vec<Weight> {
    let parts = ranking.items.iter().flat_map(|item| &item.why);
    let used: Vec<&'static str> = parts.map(|(part, _)| part.source).collect();
    let told = stage.rules.aims.told(stage.scorer.main_parameters(&used));
    let share = ranking.explored.len() as f32 / ranking.items.len().max(1) as f32;
    Exploration::told(told, share)
}

/// The part with the row that explains it, looked for only now that its item is shown.
fn explain(asked: &[&dyn Source], row: Row, part: Part) -> Part {
    let source = asked.iter().find(|source| source.name() == part.source);
    let from = part.from.or_else(|| source?.reason(row));
    Part { from, ..part }
}
