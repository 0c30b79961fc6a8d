//! The age rules laid out flat: one cell for each kind of service and year of age.

use std::fmt;

use super::order::Order;
use super::signal::SignalSet;
use super::vocabulary::{ADULT, Basis, EventClass, Service, ServiceSet};
use super::word::{Word, WordSet};

/// Years of age told apart: 0 to 17, and 18 for everyone older.
pub(crate) const YEARS: usize = ADULT as usize + 1;
/// Kinds of service.
pub(crate) const SERVICES: usize = 3;

/// What holds for one kind of service at one age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// On what use rests.
    pub basis: Basis,
    /// What is granted without that.
    pub without: SignalSet,
    /// What is granted with it; always a superset of `without`.
    pub with: SignalSet,
    /// What an event may feed without it.
    pub events_without: EventClass,
    /// What an event may feed with it.
    pub events_with: EventClass,
}

impl Cell {
    /// The strictest cell: nothing.
    pub const STRICT: Self = Self {
        basis: Basis::Forbidden,
        without: SignalSet::EMPTY,
        with: SignalSet::EMPTY,
        events_without: EventClass::None,
        events_with: EventClass::None,
    };

    /// The laxest cell: what an absent rule means.
    #[must_use]
    pub fn top() -> Self {
        Self {
            basis: Basis::Free,
            without: SignalSet::all(),
            with: SignalSet::all(),
            events_without: EventClass::Linked,
            events_with: EventClass::Linked,
        }
    }
}

impl Order for Cell {
    fn meet(&self, other: &Self) -> Self {
        Self {
            basis: self.basis.meet(&other.basis),
            without: self.without.meet(&other.without),
            with: self.with.meet(&other.with),
            events_without: self.events_without.meet(&other.events_without),
            events_with: self.events_with.meet(&other.events_with),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, without [{}], with [{}], events {} / {}",
            self.basis, self.without, self.with, self.events_without, self.events_with
        )
    }
}

/// A value for each kind of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerService<T>(pub [T; SERVICES]);

impl<T: Copy> PerService<T> {
    /// The same value for all.
    pub const fn same(value: T) -> Self {
        Self([value; SERVICES])
    }

    /// The value for `service`.
    pub fn get(&self, service: Service) -> T {
        let [general, social, vlop] = self.0;
        match service {
            Service::General => general,
            Service::Social => social,
            Service::Vlop => vlop,
        }
    }
}

impl<T: Order + Copy> Order for PerService<T> {
    fn meet(&self, other: &Self) -> Self {
        let [a, b, c] = &self.0;
        let [x, y, z] = &other.0;
        Self([a.meet(x), b.meet(y), c.meet(z)])
    }
}

impl<T: fmt::Display + Copy> fmt::Display for PerService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = Service::ALL.iter().map(|s| format!("{s} {}", self.get(*s))).collect();
        f.write_str(&shown.join(", "))
    }
}

/// All cells of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells([[Cell; YEARS]; SERVICES]);

impl Cells {
    /// The same cell everywhere.
    #[must_use]
    pub const fn same(cell: Cell) -> Self {
        Self([[cell; YEARS]; SERVICES])
    }

    /// Fills the cells: `cell(service, age)` for each kind of service and year.
    pub fn fill(mut cell: impl FnMut(Service, u8) -> Cell) -> Self {
        let mut row = |service| {
            let mut age = 0;
            [(); YEARS].map(|()| {
                let filled = cell(service, age);
                age += 1;
                filled
            })
        };
        Self([row(Service::General), row(Service::Social), row(Service::Vlop)])
    }

    /// The cell for a kind of service and an age in years.
    #[must_use]
    pub fn at(&self, service: Service, age: u8) -> Cell {
        let [general, social, vlop] = &self.0;
        let row = match service {
            Service::General => general,
            Service::Social => social,
            Service::Vlop => vlop,
        };
        row.get(usize::from(age.min(ADULT))).copied().unwrap_or(Cell::STRICT)
    }

    /// The first year that is laxer than the year after it, or not comparable to it, and where.
    #[must_use]
    pub fn not_monotone(&self) -> Option<(Service, u8)> {
        let years = || (0..ADULT).flat_map(|age| Service::ALL.iter().map(move |s| (*s, age)));
        years().find(|(s, age)| !self.at(*s, *age).within(&self.at(*s, age + 1)))
    }
}

impl Order for Cells {
    fn meet(&self, other: &Self) -> Self {
        Self::fill(|service, age| self.at(service, age).meet(&other.at(service, age)))
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in runs(|service, age| self.at(service, age)) {
            writeln!(f, "{run}: {}", run.value)?;
        }
        Ok(())
    }
}

/// Consecutive years with one value, for kinds of service that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run<T> {
    pub(crate) services: ServiceSet,
    pub(crate) from: u8,
    pub(crate) to: u8,
    pub(crate) value: T,
}

impl<T> fmt::Display for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = match self.services == WordSet::all() {
            true => "every service".to_owned(),
            false => self.services.join("+"),
        };
        match (self.from, self.to) {
            (from, ADULT) => write!(f, "{services} {from}+"),
            (from, to) if from == to => write!(f, "{services} {from}"),
            (from, to) => write!(f, "{services} {from}-{to}"),
        }
    }
}

/// Groups the years of each kind of service into runs of one value.
pub(crate) fn runs<T: PartialEq>(mut at: impl FnMut(Service, u8) -> T) -> Vec<Run<T>> {
    let mut found: Vec<Run<T>> = Vec::new();
    for service in Service::ALL {
        let mut row: Vec<Run<T>> = Vec::new();
        for age in 0..=ADULT {
            let value = at(*service, age);
            match row.last_mut() {
                Some(last) if last.value == value => last.to = age,
                _ => row.push(Run {
                    services: [*service].into_iter().collect(),
                    from: age,
                    to: age,
                    value,
                }),
            }
        }
        for run in row {
            let same =
                |r: &&mut Run<T>| (r.from, r.to) == (run.from, run.to) && r.value == run.value;
            match found.iter_mut().find(same) {
                Some(twin) => twin.services.insert(*service),
                None => found.push(run),
            }
        }
    }
    found
}
