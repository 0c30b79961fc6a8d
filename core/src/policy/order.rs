//! The order of strictness, field type by field type.
//!
//! `a <= b` reads *a is at least as strict as b*. Every type here is a chain, a powerset one way round, or
//! a product of those, so [`Order::meet`] is commutative, associative and idempotent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::domains::DomainSet;
use super::signal::SignalSet;
use super::vocabulary::{Basis, EventClass, SensitiveBasis, UnknownAge};
use super::word::{Word, WordSet};

/// A semilattice: the stricter of two, field by field.
pub trait Order: Clone + PartialEq {
    /// The laxest value that is at least as strict as both.
    #[must_use]
    fn meet(&self, other: &Self) -> Self;

    /// Whether this is at least as strict as `other`.
    fn within(&self, other: &Self) -> bool {
        self.meet(other) == *self
    }
}

macro_rules! chain {
    ($($word:ty),*) => {$(
        impl Order for $word {
            fn meet(&self, other: &Self) -> Self {
                (*self).min(*other)
            }
        }
    )*};
}
chain!(Basis, EventClass, UnknownAge, SensitiveBasis);

/// What is granted: less is stricter.
impl Order for SignalSet {
    fn meet(&self, other: &Self) -> Self {
        self.intersection(*other)
    }
}

/// Where data may be: less is stricter.
impl Order for DomainSet {
    fn meet(&self, other: &Self) -> Self {
        self.intersection(other)
    }
}

/// Signals that are taken away: more is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removes(pub SignalSet);

impl Order for Removes {
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.union(other.0))
    }
}

impl fmt::Display for Removes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Duties: more is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duties<T: Word>(pub WordSet<T>);

impl<T: Word> Order for Duties<T> {
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.union(other.0))
    }
}

impl<T: Word> fmt::Display for Duties<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Domains that must hold a copy: more is stricter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies(pub DomainSet);

impl Order for Copies {
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Attributes that are never features: more is stricter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    /// Every attribute.
    All,
    /// These.
    Only(BTreeSet<Box<str>>),
}

impl Attributes {
    /// Whether the attribute is excluded.
    #[must_use]
    pub fn contains(&self, attribute: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(named) => named.contains(attribute),
        }
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Order for Attributes {
    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a | b),
            _ => Self::All,
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(named) if named.is_empty() => f.write_str("none"),
            Self::Only(named) => {
                f.write_str(&named.iter().map(|n| &**n).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// A floor: larger is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtLeast<T>(pub T);

impl<T: Ord + Copy> Order for AtLeast<T> {
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl<T: fmt::Display> fmt::Display for AtLeast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A ceiling: smaller is stricter, none is the laxest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtMost<T>(pub Option<T>);

impl<T: Ord + Copy> Order for AtMost<T> {
    fn meet(&self, other: &Self) -> Self {
        Self(match (self.0, other.0) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }
}

impl<T: fmt::Display> fmt::Display for AtMost<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(most) => most.fmt(f),
            None => f.write_str("no limit"),
        }
    }
}

/// How long decision logs are kept, in days. A sub-interval is stricter.
///
/// The two bounds are kept as they were met, so that the meet stays a product of two chains;
/// [`LogDays::in_use`] is what applies when they cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogDays {
    /// At least so long.
    pub min: u32,
    /// At most so long.
    pub max: AtMost<u32>,
}

impl LogDays {
    /// Whether no length satisfies both bounds.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.max.0.is_some_and(|max| max < self.min)
    }

    /// The bounds that apply: where they cross, the lower one alone.
    #[must_use]
    pub fn in_use(self) -> (u32, Option<u32>) {
        (self.min, self.max.0.map(|max| max.max(self.min)))
    }
}

impl Order for LogDays {
    fn meet(&self, other: &Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.meet(&other.max) }
    }
}

impl fmt::Display for LogDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = self.in_use();
        write!(f, "[{min}, {}]", AtMost(max))
    }
}

/// A share between 0 and 1, in millionths: exact, so that orders are total and hashes agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ratio(u32);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(1_000_000);

    /// The nearest millionth; none outside 0..=1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then(|| Self((value * 1e6).round() as u32))
    }

    /// As a float.
    #[must_use]
    pub fn get(self) -> f32 {
        (f64::from(self.0) / 1e6) as f32
    }

    /// The fewest of `count` that are this part of them.
    #[must_use]
    pub fn of(self, count: usize) -> usize {
        let parts = (count as u64).saturating_mul(self.0.into());
        usize::try_from(parts.div_ceil(Self::ONE.0.into())).unwrap_or(usize::MAX)
    }

    /// The most of `count` that are no more than this part of them.
    #[must_use]
    pub fn within(self, count: usize) -> usize {
        let parts = (count as u64).saturating_mul(self.0.into());
        usize::try_from(parts / u64::from(Self::ONE.0)).unwrap_or(usize::MAX)
    }

    /// The sum; it may exceed one.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.0) / 1e6).fmt(f)
    }
}

/// A privacy budget in millionths of epsilon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epsilon(u64);

impl Epsilon {
    /// The nearest millionth; none at 0 and below, or above 1000.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0 && value <= 1000.0).then(|| Self(((value * 1e6).round() as u64).max(1)))
    }

    /// As a float.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Shares of a list that local items must have, by the jurisdiction of the items' origin. Larger is
/// stricter. `EU` counts items whose origin is `EU`, `EU-FR` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shares(pub BTreeMap<Box<str>, Ratio>);

impl Shares {
    /// The least part of a list that satisfies all shares at once: one item counts for each name that
    /// is a prefix of its origin, so shares nest, and disjoint ones add up.
    #[must_use]
    pub fn needed(&self) -> Ratio {
        let roots = self.0.keys().filter(|name| self.enclosing(name).is_none());
        roots.fold(Ratio::default(), |sum, name| sum.plus(self.needed_within(name)))
    }

    fn needed_within(&self, name: &str) -> Ratio {
        let inner = self.0.keys().filter(|inner| self.enclosing(inner) == Some(name));
        let inside = inner.fold(Ratio::default(), |sum, i| sum.plus(self.needed_within(i)));
        self.0.get(name).copied().unwrap_or_default().max(inside)
    }

    fn enclosing(&self, name: &str) -> Option<&str> {
        std::iter::successors(Some(name), |text| text.rfind('-').and_then(|at| text.get(..at)))
            .skip(1)
            .find_map(|prefix| self.0.get_key_value(prefix).map(|(key, _)| &**key))
    }

    /// Whether no list can satisfy them all.
    #[must_use]
    pub fn infeasible(&self) -> bool {
        self.needed() > Ratio::ONE
    }
}

impl Order for Shares {
    fn meet(&self, other: &Self) -> Self {
        let mut met = self.0.clone();
        for (name, share) in &other.0 {
            let mine = met.entry(name.clone()).or_default();
            *mine = (*mine).max(*share);
        }
        Self(met)
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let shown: Vec<_> = self.0.iter().map(|(name, share)| format!("{name} {share}")).collect();
        f.write_str(&shown.join(", "))
    }
}
