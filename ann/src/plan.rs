//! How a search goes about it: chosen by what each way is expected to cost.

use crate::find::SPARE_MIN;
use crate::matrix::Rows;
use crate::prune::measured;
use crate::spread::Spread;
use crate::walk::{Map, Scratch, Stride, Walk};

/// The ways of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Every row that matches is compared.
    Scan,
    /// A walk through the graph that also leads through rows which do not match.
    Through,
    /// A walk that compares matching rows only, and steps over others to their neighbours.
    TwoHop,
}

/// Cost of a comparison in a scan, where one in a walk costs 1: no order to keep, no links to fetch.
const SCANNED: f32 = 0.4;
/// Cost of a two-hop walk, where one without a filter costs 1.
const TWO_HOPS: f32 = 9.0;
/// Share of matches below which two hops no longer hold together.
const TWO_HOPS_SHARE_MIN: f32 = 0.002;
/// Walks that the costs are measured by.
const SAMPLED: usize = 16;
/// Rows sought by them.
const SOUGHT: usize = 10;
const EF_LOW: usize = 24;
const EF_HIGH: usize = 96;

/// Fewer nodes than this are always scanned, so nothing needs measuring.
const WALKED_MIN: usize = 1024;
/// Nodes by which the codes are judged.
const JUDGED: usize = 256;
/// Codes are too coarse if they are off by more than this share of a neighbourhood's extent.
const OFF_MAX: f32 = 0.25;

/// Comparisons of a walk, measured: `base + per_ef * ef`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Costs {
    base: f32,
    per_ef: f32,
}

impl Costs {
    /// Measures walks to some of the map's own vectors.
    pub(crate) fn measure(map: &Map, vectors: Rows<'_>, spread: &Spread) -> Self {
        if vectors.len() < WALKED_MIN {
            return Self { base: f32::INFINITY, per_ef: 1.0 };
        }
        let step = (vectors.len() / SAMPLED).max(1);
        let mut scratch = Scratch::default();
        let mut compared = |ef: usize| {
            let (ef, stop) = spread.extent((SOUGHT, SOUGHT + SPARE_MIN), ef, 1.0);
            let how = Walk { ef, budget: usize::MAX, stride: Stride::Through, stop, starts: &[] };
            let queries = vectors.iter().step_by(step).map(|v| map.coder.query(v));
            let works = queries.map(|q| map.walk(&q, how, &|_| true, &mut scratch).compared);
            works.sum::<usize>() as f32 / vectors.len().div_ceil(step).max(1) as f32
        };
        let (low, high) = (compared(EF_LOW), compared(EF_HIGH));
        let per_ef = ((high - low) / (EF_HIGH - EF_LOW) as f32).max(1.0);
        Self { base: (low - per_ef * EF_LOW as f32).max(1.0), per_ef }
    }

    /// The two numbers, as a file has them.
    pub(crate) fn numbers(&self) -> [f32; 2] {
        [self.base, self.per_ef]
    }

    /// Costs of such numbers; none if they were never measured.
    pub(crate) fn of_numbers([base, per_ef]: [f32; 2]) -> Option<Self> {
        (base >= 1.0 && per_ef >= 1.0 && per_ef.is_finite()).then_some(Self { base, per_ef })
    }

    /// The cheapest way to the best `ef` of `matches` among `nodes`.
    pub(crate) fn choose(&self, matches: usize, nodes: usize, ef: usize) -> Plan {
        let share = (matches as f32 / nodes.max(1) as f32).clamp(f32::MIN_POSITIVE, 1.0);
        let walk = |ef: f32| self.base + self.per_ef * ef;
        let two_hop =
            if share < TWO_HOPS_SHARE_MIN { f32::INFINITY } else { walk(ef as f32) * TWO_HOPS };
        let ways = [
            (matches as f32 * SCANNED, Plan::Scan),
            (walk(ef as f32 / share), Plan::Through),
            (two_hop, Plan::TwoHop),
        ];
        ways.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(Plan::Scan, |(_, plan)| plan)
    }
}

/// Whether codes fail to tell neighbours apart: where vectors are of very different extent, one scale
/// can't fit all.
pub(crate) fn coarse(map: &Map, vectors: Rows<'_>) -> bool {
    let step = vectors.len().div_ceil(JUDGED).max(1);
    let nodes = (0u32..).take(vectors.len()).step_by(step);
    let mut shares: Vec<f32> = nodes
        .map(|node| {
            let near = map.graph.links(node).to_vec();
            let links = measured(vectors, node, &near);
            let extent = links.map(|(distance, _)| distance).fold(0.0, f32::max).sqrt();
            map.coder.off(vectors.row(node as usize)) / extent.max(f32::MIN_POSITIVE)
        })
        .collect();
    shares.sort_unstable_by(f32::total_cmp);
    // The worst tenth decides, not the middle: a part of the rows must not be lost either.
    shares.get(shares.len() * 9 / 10).is_some_and(|&share| share > OFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_matches_are_scanned_and_many_walked_to() {
        let costs = Costs { base: 800.0, per_ef: 25.0 };
        let check = |matches, nodes, plan| assert_eq!(costs.choose(matches, nodes, 40), plan);
        check(0, 0, Plan::Scan);
        check(300, 300, Plan::Scan);
        check(200, 200_000, Plan::Scan);
        check(2_000, 200_000, Plan::Scan);
        check(200_000, 200_000, Plan::Through);
        check(100_000, 200_000, Plan::Through);
        check(5_000_000, 10_000_000, Plan::Through);
        check(300_000, 10_000_000, Plan::TwoHop);
        check(10_000, 10_000_000, Plan::Scan);
    }
}
