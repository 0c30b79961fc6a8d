//! A policy: every field that takes part in the meet, with STRICT and TOP.

use super::cells::{Cell, Cells, PerService};
use super::domains::DomainSet;
use super::order::{
    AtLeast, AtMost, Attributes, Copies, Duties, Epsilon, LogDays, Order, Ratio, Removes, Shares,
};
use super::signal::{Signal, SignalSet};
use super::vocabulary::{Oversight, SensitiveBasis, Transparency, UnknownAge};
use super::word::WordSet;

/// `k_min` of STRICT, unless a pack in use asks for more.
pub const STRICT_K_MIN: u32 = 1000;

/// Declares the fields once, so that none can be forgotten by the meet or the comparison.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $of:ty = $path:literal, $top:expr, $strict:expr;)+) => {
        /// The fields of a policy. The order of each is its type's.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Fields {
            $($(#[$doc])* pub $name: $of,)+
        }

        impl Fields {
            pub(crate) fn top() -> Self {
                Self { $($name: $top,)+ }
            }

            fn strict() -> Self {
                Self { $($name: $strict,)+ }
            }

            /// Every field: its path in a pack file, and its value as text.
            #[must_use]
            pub fn shown(&self) -> Vec<(&'static str, String)> {
                vec![$(($path, self.$name.to_string()),)+]
            }
        }

        impl Order for Fields {
            fn meet(&self, other: &Self) -> Self {
                Self { $($name: self.$name.meet(&other.$name),)+ }
            }
        }

        /// Calls `visit` for each field of two policies: its path in a pack file, whether new <= old,
        /// whether old <= new, and both as text.
        pub(crate) fn compare(
            old: &Fields,
            new: &Fields,
            mut visit: impl FnMut(&'static str, bool, bool, String, String),
        ) {
            $(visit(
                $path,
                new.$name.within(&old.$name),
                old.$name.within(&new.$name),
                old.$name.to_string(),
                new.$name.to_string(),
            );)+
        }
    };
}

fields! {
    /// The age rules, laid out.
    cells: Cells = "age_rules", Cells::same(Cell::top()), Cells::same(Cell::STRICT);
    /// What an unknown age counts as.
    unknown_age: PerService<UnknownAge> = "unknown_age",
        PerService::same(UnknownAge::Adult), PerService::same(UnknownAge::Minor);
    /// On what sensitive attributes rest.
    sensitive_basis: SensitiveBasis = "sensitive.basis",
        SensitiveBasis::OptOut, SensitiveBasis::Excluded;
    /// Attributes that are never features unless `sen` is granted.
    sensitive_exclude: Attributes = "sensitive.exclude", Attributes::default(), Attributes::All;
    /// What the global privacy control removes.
    gpc: Removes = "signals.gpc", Removes::default(), Removes(SignalSet::SWITCHED);
    /// What the person's switch removes.
    toggle_off: Removes = "signals.toggle_off",
        Removes(SignalSet::SWITCHED), Removes(SignalSet::SWITCHED);
    /// Where linked data may be stored.
    store_in: DomainSet = "residency.store_in", DomainSet::all(), DomainSet::none();
    /// Where it may be read.
    process_in: DomainSet = "residency.process_in", DomainSet::all(), DomainSet::none();
    /// Where a copy must be kept.
    primary_copy: Copies = "residency.primary_copy",
        Copies(DomainSet::none()), Copies(DomainSet::all());
    /// Days to answer a request for access.
    access_days: AtMost<u32> = "rights.access_days", AtMost(None), AtMost(Some(1));
    /// Days to erase.
    erasure_days: AtMost<u32> = "rights.erasure_days", AtMost(None), AtMost(Some(1));
    /// Days that an unused profile is kept.
    profile_days: AtMost<u32> = "retention.profile_days", AtMost(None), AtMost(Some(0));
    /// Days that events are kept.
    events_days: AtMost<u32> = "retention.events_days", AtMost(None), AtMost(Some(0));
    /// Days that decision logs are kept.
    decision_log_days: LogDays = "retention.decision_log_days",
        LogDays::default(), LogDays { min: 1, max: AtMost(Some(30)) };
    /// What people must be told or given.
    transparency: Duties<Transparency> = "transparency",
        Duties(WordSet::EMPTY), Duties(WordSet::all());
    /// What is owed to the authorities.
    oversight: Duties<Oversight> = "oversight", Duties(WordSet::EMPTY), Duties(WordSet::all());
    /// The fewest people behind a released count.
    k_min: AtLeast<u32> = "ranking.k_min", AtLeast(1), AtLeast(STRICT_K_MIN);
    /// The least diversity of a list.
    diversity_floor: AtLeast<Ratio> = "ranking.diversity_floor",
        AtLeast(Ratio::default()), AtLeast(Ratio::default());
    /// Shares that local items must have.
    local_share: Shares = "ranking.local_share", Shares::default(), Shares::default();
    /// The largest privacy budget of released aggregates.
    dp_epsilon_max: AtMost<Epsilon> = "ranking.dp_epsilon_max", AtMost(None), AtMost(None);
}

/// A policy in force: the fields of one pack with its parents, or the meet of several.
///
/// INVARIANT: in every cell `without` is inside `with`, and `toggle_off` holds at least
/// [`SignalSet::SWITCHED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    strict: bool,
    fields: Fields,
}

impl Policy {
    /// The bottom: what an unknown, unreadable or expired pack counts as.
    #[must_use]
    pub fn strict() -> Self {
        Self { strict: true, fields: Fields::strict() }
    }

    /// The top: no rule at all.
    #[must_use]
    pub fn top() -> Self {
        Self { strict: false, fields: Fields::top() }
    }

    pub(crate) fn of(fields: Fields) -> Self {
        Self { strict: false, fields }
    }

    /// STRICT among packs: its `k_min` is the largest in use, its privacy budget the smallest.
    pub(crate) fn strict_among<'a>(packs: impl Iterator<Item = &'a Policy>) -> Self {
        packs.fold(Self::strict(), |mut strict, pack| {
            strict.fields.k_min = strict.fields.k_min.meet(&pack.fields.k_min);
            strict.fields.dp_epsilon_max =
                strict.fields.dp_epsilon_max.meet(&pack.fields.dp_epsilon_max);
            strict
        })
    }

    /// Whether this is the bottom.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The fields. Of STRICT: what it means in use.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Whether an event or profile that must be kept in `primary_copy` can be: `allowed` holds all of it.
    pub(crate) fn copies_kept_in(&self, allowed: &DomainSet) -> bool {
        self.fields.primary_copy.0.is_subset(allowed)
    }

    /// The attributes that are never features of a ranking that was granted `granted`.
    #[must_use]
    pub fn barred_attributes(&self, granted: SignalSet) -> Attributes {
        match granted.contains(Signal::Sen) {
            true => Attributes::default(),
            false => self.fields.sensitive_exclude.clone(),
        }
    }
}

impl Order for Policy {
    fn meet(&self, other: &Self) -> Self {
        match (self.strict, other.strict) {
            (true, false) => self.clone(),
            (false, true) => other.clone(),
            (strict, _) => Self { strict, fields: self.fields.meet(&other.fields) },
        }
    }
}
