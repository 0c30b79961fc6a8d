//! What may not be shown. Filters hold in every path: sources are handed their conjunction.

use std::collections::BTreeSet;

use crate::ids::{Jurisdiction, UnixMillis};

use super::{ItemFacts, Row};

/// Keeps or drops an item.
pub trait Filter {
    /// Its name in metrics.
    fn name(&self) -> &'static str;

    /// Whether the item may be shown.
    fn keep(&self, row: Row, item: &ItemFacts) -> bool;
}

/// Drops what is hidden or out of stock.
#[derive(Debug, Clone, Copy)]
pub struct Hidden;

impl Filter for Hidden {
    fn name(&self) -> &'static str {
        "hidden"
    }
    fn keep(&self, _: Row, item: &ItemFacts) -> bool {
        item.available
    }
}

/// Drops what has expired.
#[derive(Debug, Clone, Copy)]
pub struct Expired {
    /// The moment of the request.
    pub now: UnixMillis,
}

impl Filter for Expired {
    fn name(&self) -> &'static str {
        "expired"
    }
    fn keep(&self, _: Row, item: &ItemFacts) -> bool {
        item.expires.is_none_or(|at| self.now < at)
    }
}

/// Drops what is barred in the request's location or in a place that holds it.
#[derive(Debug, Clone)]
pub struct Barred {
    /// The request's location.
    pub location: Jurisdiction,
}

impl Filter for Barred {
    fn name(&self) -> &'static str {
        "barred"
    }
    fn keep(&self, _: Row, item: &ItemFacts) -> bool {
        !self.location.prefixes().any(|place| item.barred_in.iter().any(|b| b.as_str() == place))
    }
}

/// Drops what is not for this age.
#[derive(Debug, Clone, Copy)]
pub struct AgeFloor {
    /// The youngest the person can be, in years.
    pub age: u8,
}

impl Filter for AgeFloor {
    fn name(&self) -> &'static str {
        "age"
    }
    fn keep(&self, _: Row, item: &ItemFacts) -> bool {
        item.min_age <= self.age
    }
}

/// Drops named rows: seen, blocked, or excluded by the app.
#[derive(Debug, Clone)]
pub struct Excluded {
    /// Why they go.
    pub reason: &'static str,
    /// The rows.
    pub rows: BTreeSet<Row>,
}

impl Filter for Excluded {
    fn name(&self) -> &'static str {
        self.reason
    }
    fn keep(&self, row: Row, _: &ItemFacts) -> bool {
        !self.rows.contains(&row)
    }
}

/// Keeps what the request asks for: one value of each list that is not empty.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Categories.
    pub category: Vec<String>,
    /// Languages.
    pub language: Vec<String>,
    /// Creators.
    pub creator: Vec<String>,
}

impl Filter for Wanted {
    fn name(&self) -> &'static str {
        "wanted"
    }
    fn keep(&self, _: Row, item: &ItemFacts) -> bool {
        let one = |list: &[String], value: &Option<String>| {
            list.is_empty() || value.as_ref().is_some_and(|v| list.contains(v))
        };
        (self.category.is_empty() || item.category.iter().any(|c| self.category.contains(c)))
            && one(&self.language, &item.language)
            && one(&self.creator, &item.creator)
    }
}
