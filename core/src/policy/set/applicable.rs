//! Whose law applies between a home and a location on a day.

use std::sync::Arc;

use jiff::civil::Date;

use super::compile::PackSet;
use super::flat::{Flat, PackRef};
use super::layer::{Layer, Why};
use crate::ids::{DomainId, Jurisdiction};
use crate::policy::domains::DomainSet;
use crate::policy::effective::Policy;
use crate::policy::order::Order as _;
use crate::policy::vocabulary::Factor;

/// What a home or a location came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// A pack.
    Pack(Arc<Flat>),
    /// The bottom.
    Strict(Why),
}

impl Resolved {
    /// Whether this is the bottom.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        matches!(self, Self::Strict(_))
    }

    /// The pack; none of STRICT.
    #[must_use]
    pub fn flat(&self) -> Option<&Arc<Flat>> {
        match self {
            Self::Pack(flat) => Some(flat),
            Self::Strict(_) => None,
        }
    }
}

/// One side, home or location, under every set that is enforced at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// What it came to, in the newest set.
    pub resolved: Resolved,
    /// Its domain; none of STRICT.
    pub domain: Option<DomainId>,
    /// Where its linked data may be stored.
    pub store_in: DomainSet,
    /// Where its linked data may be read.
    pub process_in: DomainSet,
}

/// Everything about two places on a day that decisions need. Computing it is the dear half of a decision;
/// a caller may keep it as long as it keeps the set and the day.
#[derive(Debug, Clone, PartialEq)]
pub struct Applicable {
    /// The home's side.
    pub home: Side,
    /// The location's side.
    pub location: Side,
    /// The meet of both sides.
    pub policy: Arc<Policy>,
    /// The packs: the home's, the location's, then their ancestors.
    pub packs: Arc<[PackRef]>,
    /// Whether the home's or the location's pack is STRICT.
    pub unknown: bool,
    /// Whether two packs met, neither an ancestor of the other.
    pub strictest: bool,
}

impl PackSet {
    /// Whose law applies. Ill-formed ids can't be asked for; unknown ones count as STRICT.
    #[must_use]
    pub fn applicable(&self, home: &Jurisdiction, location: &Jurisdiction, on: Date) -> Applicable {
        let homes = self.resolve(home, Factor::Resident, on);
        let locations = self.resolve(location, Factor::Present, on);
        let strictest = homes.iter().zip(&locations).any(|(h, l)| unrelated(h, l));
        let policies = homes.iter().chain(&locations).zip(self.layers.iter().cycle());
        let policy = meet_all(policies.map(|(side, layer)| policy_of(side, layer)));
        let packs = references(homes.iter().chain(&locations));
        let (home, location) = (side(homes), side(locations));
        let unknown = home.resolved.is_strict() || location.resolved.is_strict();
        let moving = |side: &Side| matches!(side.resolved, Resolved::Strict(Why::Moving));
        let policy = match moving(&home) || moving(&location) || infeasible(&policy) {
            true => Arc::new(Policy::strict_among([&*policy].into_iter())),
            false => policy,
        };
        Applicable { home, location, policy, packs, unknown, strictest }
    }

    fn resolve(&self, place: &Jurisdiction, factor: Factor, on: Date) -> Vec<Resolved> {
        self.layers.iter().map(|layer| resolve(layer, place, factor, on)).collect()
    }
}

fn resolve(layer: &Layer, place: &Jurisdiction, factor: Factor, on: Date) -> Resolved {
    match layer.find(place, on) {
        Err(why) => Resolved::Strict(why),
        Ok(flat) => match flat.climb(factor) {
            Some(flat) => Resolved::Pack(Arc::clone(flat)),
            None => Resolved::Strict(Why::AppliesToNobody),
        },
    }
}

fn policy_of(side: &Resolved, layer: &Layer) -> Arc<Policy> {
    side.flat().map_or_else(|| Arc::clone(&layer.strict), |flat| Arc::clone(&flat.policy))
}

/// The meet; one policy met with itself is not copied.
fn meet_all(policies: impl Iterator<Item = Arc<Policy>>) -> Arc<Policy> {
    policies
        .reduce(|met, next| match Arc::ptr_eq(&met, &next) {
            true => met,
            false => Arc::new(met.meet(&next)),
        })
        .unwrap_or_else(|| Arc::new(Policy::strict()))
}

/// An infeasible meet serves editorial: it counts as STRICT.
fn infeasible(policy: &Policy) -> bool {
    policy.fields().local_share.infeasible()
}

/// Two packs, neither an ancestor of the other. STRICT counts as a pack that is related to none.
fn unrelated(home: &Resolved, location: &Resolved) -> bool {
    match (home.flat(), location.flat()) {
        (Some(h), Some(l)) => !h.descends_from(l) && !l.descends_from(h),
        (None, None) => false,
        _ => true,
    }
}

fn references<'a>(sides: impl Iterator<Item = &'a Resolved>) -> Arc<[PackRef]> {
    let chains: Vec<Vec<PackRef>> = sides
        .map(|side| side.flat().map_or_else(|| vec![PackRef::strict()], |flat| flat.refs.clone()))
        .collect();
    let leaves = chains.iter().filter_map(|chain| chain.first());
    let ancestors = chains.iter().flat_map(|chain| chain.iter().skip(1));
    let mut found: Vec<PackRef> = Vec::new();
    for reference in leaves.chain(ancestors) {
        if !found.contains(reference) {
            found.push(reference.clone());
        }
    }
    found.into()
}

/// One side from what each set says of it: STRICT if any says so, or if they disagree on the domain.
fn side(resolved: Vec<Resolved>) -> Side {
    let mut flats = Vec::new();
    for one in &resolved {
        match one {
            Resolved::Pack(flat) => flats.push(Arc::clone(flat)),
            Resolved::Strict(why) => return strict_side(*why),
        }
    }
    let Some((newest, older)) = flats.split_first() else { return strict_side(Why::Unknown) };
    if older.iter().any(|flat| flat.domain != newest.domain) {
        return strict_side(Why::Moving);
    }
    let fields = newest.policy.fields();
    let (store_in, process_in) = (fields.store_in.clone(), fields.process_in.clone());
    let met = older.iter().fold((store_in, process_in), |(store, process), flat| {
        let fields = flat.policy.fields();
        (store.meet(&fields.store_in), process.meet(&fields.process_in))
    });
    Side {
        domain: newest.domain.clone(),
        store_in: met.0,
        process_in: met.1,
        resolved: Resolved::Pack(Arc::clone(newest)),
    }
}

fn strict_side(why: Why) -> Side {
    Side {
        resolved: Resolved::Strict(why),
        domain: None,
        store_in: DomainSet::none(),
        process_in: DomainSet::none(),
    }
}
