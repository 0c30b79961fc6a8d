//! The rules that a pack must satisfy on its own.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Body, Head};
use super::reader::{Reader, Section};
use super::rules::{AgeRule, FromAge, Values, rule_for};
use super::schema::CITED_SECTIONS;
use crate::policy::cells::Cell;
use crate::policy::order::Order;
use crate::policy::vocabulary::{ADULT, Service, ServiceSet};
use crate::policy::word::Word;

pub(super) fn check(
    reader: &mut Reader<'_>,
    root: &Section<'_, '_>,
    head: Option<&Head>,
    body: &Body,
) {
    if let Some(head) = head {
        dates(reader, root, head);
        ancestry(reader, root, head, body);
    }
    let is_root = head.is_some_and(|head| head.inherits.is_none());
    rule_ids(reader, body);
    if body.all_citations_read {
        cited(reader, body);
    }
    if body.all_rules_read {
        citations_name_something(reader, body);
    }
    delegated_names(reader, is_root, body);
    residency(reader, root, body);
    for values in assignments(body) {
        same_from(reader, body, &values);
        age_monotone(reader, body, &values);
        if is_root && body.all_rules_read && !body.age_rules.is_empty() {
            coverage(reader, root, body, &values);
        }
    }
}

/// `without` stands inside `with`.
pub(super) fn cell(reader: &mut Reader<'_>, section: &Section<'_, '_>, cell: &Cell) {
    let beyond = cell.without.without(cell.with);
    if !beyond.is_empty() {
        let message = format!(
            "`without` grants {beyond}, which `with` does not: `with` lists all that is granted, not only more"
        );
        reader.fault_in(section, "with", message);
    }
    if !cell.events_without.within(&cell.events_with) {
        let message =
            format!("is {}, laxer than events_with, {}", cell.events_without, cell.events_with);
        reader.fault_in(section, "events_without", message);
    }
}

fn dates(reader: &mut Reader<'_>, root: &Section<'_, '_>, head: &Head) {
    for (key, day) in [("effective_to", head.effective_to), ("review_by", head.review_by)] {
        if let Some(day) = day.filter(|day| *day < head.effective_from) {
            let message = format!("is {day}, before effective_from {}", head.effective_from);
            reader.fault_in(root, key, message);
        }
    }
}

fn ancestry(reader: &mut Reader<'_>, root: &Section<'_, '_>, head: &Head, body: &Body) {
    if head.inherits.as_ref() == Some(&head.pack) {
        reader.fault_in(root, "inherits", format!("{} can't inherit itself", head.pack));
    }
    if head.inherits.is_some() {
        return;
    }
    if head.domain.is_none() {
        reader.fault_in(root, "domain", "is missing: a root pack must name it".to_owned());
    }
    if body.age_rules.is_empty() && body.all_rules_read {
        let message = "is missing: a root pack must cover every service and age".to_owned();
        reader.fault_in(root, "age_rules", message);
    }
    for name in body.set.keys() {
        let message = format!("`{name}` is delegated by no ancestor: a root has none");
        reader.fault_in(root, "set", message);
    }
}

fn rule_ids(reader: &mut Reader<'_>, body: &Body) {
    let mut seen = BTreeSet::new();
    for rule in &body.age_rules {
        if !seen.insert(&rule.id) {
            rule_fault(reader, rule, "id", format!("`{}` is taken by another rule", rule.id));
        }
    }
}

fn rule_fault(reader: &mut Reader<'_>, rule: &AgeRule, key: &str, message: String) {
    let shown = format!("age_rules `{}`", rule.id);
    reader.fault(rule.at, &shown, &format!("age_rules.{key}"), message);
}

/// Every rule and every set value is cited.
fn cited(reader: &mut Reader<'_>, body: &Body) {
    let cited: BTreeSet<&str> =
        body.legal_basis.iter().flat_map(|basis| basis.rules.iter().map(|r| &**r)).collect();
    for rule in body.age_rules.iter().filter(|rule| !cited.contains(&*rule.id)) {
        rule_fault(reader, rule, "id", format!("`{}` is cited by no legal_basis", rule.id));
    }
    for name in body.set.keys().filter(|name| !cited.contains(&***name)) {
        let message = format!("`{name}` is cited by no legal_basis");
        reader.fault(0, &format!("set.{name}"), "set.*", message);
    }
}

/// Every citation names a rule, a section, or a value that is set or delegated.
fn citations_name_something(reader: &mut Reader<'_>, body: &Body) {
    let known: BTreeSet<&str> = (body.age_rules.iter().map(|rule| &*rule.id))
        .chain(body.set.keys().chain(body.delegated.keys()).map(|name| &**name))
        .chain(CITED_SECTIONS.iter().copied())
        .collect();
    for basis in &body.legal_basis {
        for name in basis.rules.iter().filter(|name| !known.contains(&***name)) {
            let message = format!("no rule, section or set value is named `{name}`");
            reader.fault(basis.at, "legal_basis.rule", "legal_basis.rule", message);
        }
    }
}

/// In a root, a rule can only start at a field that the root itself delegates.
fn delegated_names(reader: &mut Reader<'_>, is_root: bool, body: &Body) {
    for rule in body.age_rules.iter().filter(|_| is_root) {
        if let FromAge::Delegated(name) = &rule.from
            && !body.delegated.contains_key(name)
        {
            rule_fault(reader, rule, "from", format!("`{name}` is not in [delegated]"));
        }
    }
}

fn residency(reader: &mut Reader<'_>, root: &Section<'_, '_>, body: &Body) {
    let copies = &body.fields.primary_copy.0;
    if !copies.is_subset(&body.fields.store_in) {
        let Some(section) = reader.table(root, "residency") else { return };
        let message = format!("{copies} is not inside store_in: {}", body.fields.store_in);
        reader.fault_in(&section, "primary_copy", message);
    }
}

/// The values that the pack's own delegated fields can take: each field in turn over its bounds, the
/// others at their defaults. A field of an ancestor has no value here; the set it joins checks it.
fn assignments(body: &Body) -> Vec<Values> {
    let defaults: Values =
        body.delegated.iter().map(|(name, field)| (name.clone(), field.default)).collect();
    let mut all = vec![defaults.clone()];
    for (name, field) in &body.delegated {
        all.extend((field.min..=field.max).map(|value| {
            let mut values = defaults.clone();
            values.insert(name.clone(), value);
            values
        }));
    }
    all
}

/// No two rules start at one age for one kind of service, unless just one of them names the service.
fn same_from(reader: &mut Reader<'_>, body: &Body, values: &Values) {
    let mut taken: BTreeMap<(Service, u8, bool), &AgeRule> = BTreeMap::new();
    for rule in &body.age_rules {
        let Some(from) = rule.from.age(values) else { continue };
        let mut clash = None;
        for service in Service::ALL.iter().filter(|service| rule.reaches(**service)) {
            clash = clash.or(taken.insert((*service, from, rule.services.is_some()), rule));
        }
        if let Some(other) = clash {
            let message = format!("is {from}, as in rule `{}` for the same service", other.id);
            rule_fault(reader, rule, "from", message);
        }
    }
}

/// Younger is never laxer, wherever two years in a row both have a rule.
fn age_monotone(reader: &mut Reader<'_>, body: &Body, values: &Values) {
    let mut told = BTreeSet::new();
    for (service, age) in Service::ALL.iter().flat_map(|s| (0..ADULT).map(move |age| (*s, age))) {
        let rule = |age| rule_for(&body.age_rules, values, service, age);
        if let (Some(young), Some(old)) = (rule(age), rule(age + 1))
            && !young.cell.within(&old.cell)
            && told.insert((&young.id, &old.id))
        {
            let (id, next) = (&young.id, age + 1);
            let message = format!(
                "at {next} it must be at least as lax as rule `{id}` at {age} in every field, or the young would be granted more ({service})"
            );
            rule_fault(reader, old, "from", message);
        }
    }
}

fn coverage(reader: &mut Reader<'_>, root: &Section<'_, '_>, body: &Body, values: &Values) {
    let bare = |age: &u8| {
        let covered = |s: &&Service| rule_for(&body.age_rules, values, **s, *age).is_some();
        Service::ALL.iter().filter(|service| !covered(service)).copied().collect::<ServiceSet>()
    };
    if let Some(age) = (0..=ADULT).find(|age| !bare(age).is_empty()) {
        let services = bare(&age).join(", ");
        let message = format!(
            "a root pack must cover every service and age: none covers {services} at {age}"
        );
        reader.fault_in(root, "age_rules", message);
    }
}
