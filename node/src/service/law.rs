//! Whose law applies, on a lease.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::{Jurisdiction, UnixMillis};
use bailiwick_core::policy::{Applicable, PackSet};
use jiff::civil::Date;

use crate::cluster::Group;
use crate::control::ControlState;

/// Pairs of places that are kept compiled.
const PAIRS_MAX: usize = 4096;

/// The law between a home and a location, kept as long as packs and day stay the same.
pub struct Law {
    control: Arc<ControlState>,
    group: Arc<Group>,
    lease: Duration,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    packs: Option<Arc<PackSet>>,
    day: Option<Date>,
    pairs: HashMap<(Jurisdiction, Jurisdiction), Arc<Applicable>>,
}

impl Law {
    /// The law as `control` has it, for at most `lease` after its group last confirmed it.
    #[must_use]
    pub fn new(control: Arc<ControlState>, group: Arc<Group>, lease: Duration) -> Self {
        Self { control, group, lease, cache: Mutex::default() }
    }

    /// What is left of the lease; nothing when it has run out.
    #[must_use]
    pub fn lease_left(&self) -> Duration {
        self.group.age().map_or(Duration::ZERO, |age| self.lease.saturating_sub(age))
    }

    /// Whose law applies. With the lease run out, or without a day, everything counts as STRICT.
    #[must_use]
    pub fn applicable(
        &self,
        home: &Jurisdiction,
        location: &Jurisdiction,
        now: UnixMillis,
    ) -> Arc<Applicable> {
        let (Some(day), false) = (now.day(), self.lease_left().is_zero()) else {
            return Arc::new(PackSet::empty().applicable(home, location, Date::ZERO));
        };
        let packs = Arc::clone(&self.control.view().packs);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.hold(&packs, day);
        let pair = (home.clone(), location.clone());
        let law = cache.pairs.entry(pair);
        Arc::clone(law.or_insert_with(|| Arc::new(packs.applicable(home, location, day))))
    }
}

impl Cache {
    fn hold(&mut self, packs: &Arc<PackSet>, day: Date) {
        let same = self.packs.as_ref().is_some_and(|held| Arc::ptr_eq(held, packs));
        if !same || self.day != Some(day) || self.pairs.len() >= PAIRS_MAX {
            *self = Self { packs: Some(Arc::clone(packs)), day: Some(day), pairs: HashMap::new() };
        }
    }
}
