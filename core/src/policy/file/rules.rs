//! The parts of a pack file that are lists.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::policy::cells::{Cell, Cells};
use crate::policy::domains::DomainSet;
use crate::policy::vocabulary::{LegalStatus, Mechanism, Service, ServiceSet};

/// Values of delegated fields, in years.
pub(crate) type Values = BTreeMap<Box<str>, u8>;

/// The age from which a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAge {
    /// In years.
    Age(u8),
    /// The value of a delegated field.
    Delegated(Box<str>),
}

impl FromAge {
    /// The age, with the values of delegated fields; none where the field has no value.
    pub(crate) fn age(&self, values: &Values) -> Option<u8> {
        match self {
            Self::Age(age) => Some(*age),
            Self::Delegated(name) => values.get(name).copied(),
        }
    }
}

/// What holds from an age on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeRule {
    /// The rule's name in citations.
    pub id: Box<str>,
    /// The first age.
    pub from: FromAge,
    /// The kinds of service it is limited to; none where it names no service.
    pub services: Option<ServiceSet>,
    /// What it says.
    pub cell: Cell,
    /// The line it starts on, from 1.
    pub line: usize,
    pub(crate) at: usize,
}

impl AgeRule {
    /// Whether the rule reaches a kind of service.
    #[must_use]
    pub fn reaches(&self, service: Service) -> bool {
        self.services.is_none_or(|named| named.contains(service))
    }
}

/// The rule that applies: the highest `from` not above the age; of equals, the one that names the service.
pub(crate) fn rule_for<'a>(
    rules: &'a [AgeRule],
    values: &Values,
    service: Service,
    age: u8,
) -> Option<&'a AgeRule> {
    rules
        .iter()
        .filter(|rule| rule.reaches(service))
        .filter_map(|rule| Some((rule.from.age(values)?, rule.services.is_some(), rule)))
        .filter(|(from, ..)| *from <= age)
        .max_by_key(|(from, named, _)| (*from, *named))
        .map(|(.., rule)| rule)
}

/// The rules laid out; where none applies, the laxest cell, which leaves what the parent says.
pub(crate) fn lay_out(rules: &[AgeRule], values: &Values) -> Cells {
    Cells::fill(|service, age| {
        rule_for(rules, values, service, age).map_or_else(Cell::top, |rule| rule.cell)
    })
}

/// A field that children may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegated {
    /// The value where no child sets one, in years.
    pub default: u8,
    /// The least value.
    pub min: u8,
    /// The largest value.
    pub max: u8,
    /// The law that delegates.
    pub cite: String,
}

/// A citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalBasis {
    /// Ids of rules, names of sections or of set values.
    pub rules: Vec<Box<str>>,
    /// The citation.
    pub cite: String,
    /// How settled the reading is.
    pub status: LegalStatus,
    pub(crate) at: usize,
}

/// What lets data go to other domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The domains.
    pub to: DomainSet,
    /// The kind of mechanism.
    pub mechanism: Mechanism,
    /// The citation.
    pub cite: String,
    /// The last day on which it holds; none: no end is set.
    pub valid_until: Option<Date>,
}

impl Transfer {
    /// Whether it holds on a day.
    #[must_use]
    pub fn holds_on(&self, day: Date) -> bool {
        self.valid_until.is_none_or(|last| day <= last)
    }
}
