//! Lays one pack flat: delegated values first, then the meet of the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::error::{Fault, SetError};
use super::flat::{Flat, PackRef};
use crate::ids::DomainId;
use crate::policy::domains::DomainSet;
use crate::policy::effective::{Fields, Policy};
use crate::policy::file::{FromAge, PackFile, Values, lay_out};
use crate::policy::order::Order;
use crate::policy::vocabulary::Service;
use crate::policy::word::Word;

/// Puts a fault to a pack's name.
pub(super) trait Faulty {
    fn fault(&self, fault: Fault) -> SetError;

    fn faults(&self, faults: &[Fault]) -> Vec<SetError> {
        faults.iter().map(|fault| self.fault(fault.clone())).collect()
    }
}

impl Faulty for PackFile {
    fn fault(&self, fault: Fault) -> SetError {
        SetError { pack: self.pack.to_string(), version: self.version, fault }
    }
}

/// The meet of a chain on a day.
pub(super) fn flat(
    chain: &[Arc<PackFile>],
    refs: Vec<PackRef>,
    parent: Option<Arc<Flat>>,
    day: Date,
) -> Result<Flat, Vec<Fault>> {
    let mut faults = Vec::new();
    let values = values(chain, &mut faults);
    for file in chain {
        rules_start_apart(file, &values, &mut faults);
    }
    let domain = chain.iter().find_map(|file| file.domain.clone());
    let mut fields = chain.iter().fold(Fields::top(), |met, file| {
        let cells = lay_out(&file.age_rules, &values);
        met.meet(&Fields { cells, ..file.fields.clone() })
    });
    let ended = ended(chain, domain.as_ref(), day);
    feasible(&fields, &mut faults);
    fields.store_in = fields.store_in.meet(&ended.complement());
    fields.process_in = fields.process_in.meet(&ended.complement());
    let (Some(leaf), true) = (chain.first(), faults.is_empty()) else { return Err(faults) };
    let (pack, applies) = (leaf.pack.clone(), leaf.applies);
    let policy = Arc::new(Policy::of(fields));
    Ok(Flat { chain: chain.to_vec(), refs, values, domain, policy, parent, pack, applies })
}

/// The values of delegated fields: the nearest to the leaf that is set, else the default.
fn values(chain: &[Arc<PackFile>], faults: &mut Vec<Fault>) -> Values {
    let mut values = BTreeMap::new();
    for (depth, file) in chain.iter().enumerate() {
        let above = chain.get(depth + 1..).unwrap_or_default();
        for (name, value) in &file.set {
            match above.iter().find(|ancestor| ancestor.delegated.contains_key(name)) {
                Some(ancestor) => faults.extend(out_of_bounds(ancestor, name, *value)),
                None => faults.push(Fault::NotDelegated { name: name.to_string() }),
            }
            values.entry(name.clone()).or_insert(*value);
        }
        for (name, field) in &file.delegated {
            let twice = above.iter().find(|ancestor| ancestor.delegated.contains_key(name));
            faults.extend(twice.map(|ancestor| Fault::DelegatedTwice {
                name: name.to_string(),
                ancestor: ancestor.pack.to_string(),
            }));
            values.entry(name.clone()).or_insert(field.default);
        }
    }
    values
}

fn out_of_bounds(ancestor: &PackFile, name: &str, value: u8) -> Option<Fault> {
    let field = ancestor.delegated.get(name)?;
    (!(field.min..=field.max).contains(&value)).then(|| Fault::OutOfBounds {
        name: name.to_owned(),
        value,
        min: field.min,
        max: field.max,
        ancestor: ancestor.pack.to_string(),
    })
}

/// With the values in, no two rules of a file start at one age for one service.
fn rules_start_apart(file: &PackFile, values: &Values, faults: &mut Vec<Fault>) {
    let mut taken: BTreeMap<_, &str> = BTreeMap::new();
    for rule in &file.age_rules {
        let Some(from) = rule.from.age(values) else {
            if let FromAge::Delegated(name) = &rule.from {
                let (rule, name) = (rule.id.to_string(), name.to_string());
                faults.push(Fault::NoValue { rule, name });
            }
            continue;
        };
        for service in Service::ALL.iter().filter(|service| rule.reaches(**service)) {
            let place = (*service, from, rule.services.is_some());
            if let Some(other) = taken.insert(place, &rule.id) {
                let (one, other) = (rule.id.to_string(), other.to_owned());
                faults.push(Fault::SameFrom { one, other });
            }
        }
    }
}

fn feasible(fields: &Fields, faults: &mut Vec<Fault>) {
    if let Some((service, age)) = fields.cells.not_monotone() {
        faults.push(Fault::NotMonotone { service: service.to_string(), age });
    }
    let copies = &fields.primary_copy.0;
    if !copies.is_subset(&fields.store_in) {
        let (copies, allowed) = (copies.to_string(), fields.store_in.to_string());
        faults.push(Fault::CopyBarred { copies, allowed });
    }
    if fields.local_share.infeasible() {
        let sum = fields.local_share.needed().to_string();
        faults.push(Fault::Shares { sum, other: "its parents".to_owned() });
    }
}

/// Domains that a mechanism named until it ended, and none does any more.
fn ended(chain: &[Arc<PackFile>], own: Option<&DomainId>, day: Date) -> DomainSet {
    let transfers = || chain.iter().flat_map(|file| &file.transfers);
    let holding = transfers()
        .filter(|transfer| transfer.holds_on(day))
        .fold(DomainSet::none(), |all, transfer| all.union(&transfer.to));
    let past = transfers()
        .filter(|transfer| !transfer.holds_on(day))
        .fold(DomainSet::none(), |all, transfer| all.union(&transfer.to));
    let own: DomainSet = own.into_iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    past.intersection(&holding.union(&own).complement())
}
