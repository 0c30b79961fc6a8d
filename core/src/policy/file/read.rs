//! From TOML to a checked pack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::canonical::canonical;
use super::error::{PackError, PackErrors};
use super::reader::{Reader, Section, expected};
use super::rules::{AgeRule, Delegated, FromAge, LegalBasis, Transfer};
use super::{Applies, PACK_BYTES_MAX, PackFile, PackHash, STRICT_ID, checks, value};
use crate::ids::{DomainId, Jurisdiction};
use crate::policy::cells::{Cell, PerService};
use crate::policy::effective::Fields;
use crate::policy::order::{AtLeast, AtMost, Copies, Duties, LogDays, Order, Removes, Shares};
use crate::policy::signal::SignalSet;
use crate::policy::vocabulary::{Service, UnknownAge};
use crate::policy::word::Word;

const DAYS_MAX: u32 = 36_500;

pub(super) fn id_in(text: &str) -> Option<Jurisdiction> {
    let (table, _) = DeTable::parse_recoverable(text.get(..PACK_BYTES_MAX).unwrap_or(text));
    value::id(table.get_ref().get("pack")?.get_ref()).ok()
}

pub(super) fn read(text: &str) -> Result<PackFile, PackErrors> {
    let original: Arc<str> = text.into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > PACK_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {PACK_BYTES_MAX}", text.len());
        let (field, meaning) = (String::new(), "");
        return Err(PackErrors(vec![PackError { line: 1, column: 1, field, meaning, message }]));
    }
    let (mut reader, document) = Reader::open(text);
    let table = document.get_ref();
    let root = reader.section(String::new(), String::new(), table, 0..0);
    let head = head(&mut reader, &root);
    let body = body(&mut reader, &root);
    checks::check(&mut reader, &root, head.as_ref(), &body);
    match head {
        Some(head) if reader.is_clean() => {
            Ok(assemble(head, body, PackHash::of(&canonical(table)), named(table), original))
        }
        _ => Err(PackErrors(reader.close())),
    }
}

/// Who the pack is, and when it holds.
pub(super) struct Head {
    pub(super) pack: Jurisdiction,
    version: u32,
    title: String,
    pub(super) inherits: Option<Jurisdiction>,
    pub(super) domain: Option<DomainId>,
    applies: Applies,
    pub(super) effective_from: Date,
    pub(super) effective_to: Option<Date>,
    pub(super) review_by: Option<Date>,
}

/// What the pack says.
pub(super) struct Body {
    pub(super) set: BTreeMap<Box<str>, u8>,
    pub(super) delegated: BTreeMap<Box<str>, Delegated>,
    pub(super) legal_basis: Vec<LegalBasis>,
    pub(super) all_citations_read: bool,
    pub(super) age_rules: Vec<AgeRule>,
    pub(super) all_rules_read: bool,
    transfers: Vec<Transfer>,
    pub(super) fields: Fields,
}

fn assemble(
    head: Head,
    body: Body,
    hash: PackHash,
    named: BTreeSet<String>,
    text: Arc<str>,
) -> PackFile {
    PackFile {
        pack: head.pack,
        version: head.version,
        title: head.title,
        inherits: head.inherits,
        domain: head.domain,
        applies: head.applies,
        effective_from: head.effective_from,
        effective_to: head.effective_to,
        review_by: head.review_by,
        set: body.set,
        delegated: body.delegated,
        legal_basis: body.legal_basis,
        age_rules: body.age_rules,
        transfers: body.transfers,
        fields: body.fields,
        named,
        hash,
        text,
    }
}

/// The paths that the file names, one level of tables deep.
fn named(table: &DeTable<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (key, value) in table.iter() {
        found.insert(key.get_ref().to_string());
        for (inner, _) in value.get_ref().as_table().into_iter().flatten() {
            found.insert(format!("{}.{}", key.get_ref(), inner.get_ref()));
        }
    }
    found
}

fn head(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Option<Head> {
    reader.required(root, "schema", value::integer(1, 1));
    let pack = reader.required(root, "pack", pack_id);
    let version = reader.required(root, "version", value::integer(1, u32::MAX));
    let title = reader.required(root, "title", value::text);
    let inherits = reader.optional(root, "inherits", value::id);
    let domain = reader.optional(root, "domain", value::id);
    let applies = reader.required(root, "applies", |v| match v {
        DeValue::Array(list) if list.is_empty() => Err("is empty".to_owned()),
        DeValue::Array(_) => Ok(()),
        other => Err(expected("a list", other)),
    });
    let factors = applies.and_then(|()| reader.list(root, "applies", value::word));
    let effective_from = reader.required(root, "effective_from", value::date);
    let effective_to = reader.optional(root, "effective_to", value::date);
    let review_by = reader.optional(root, "review_by", value::date);
    Some(Head {
        pack: pack?,
        version: version?,
        title: title?,
        inherits,
        domain,
        applies: factors?.into_iter().collect(),
        effective_from: effective_from?,
        effective_to,
        review_by,
    })
}

fn pack_id(value: &DeValue<'_>) -> Result<Jurisdiction, String> {
    let pack: Jurisdiction = value::id(value)?;
    match pack.as_str() {
        STRICT_ID => Err(format!("`{STRICT_ID}` is built in")),
        id if id.split('-').any(str::is_empty) => Err(format!("`{id}` has an empty part")),
        _ => Ok(pack),
    }
}

fn body(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Body {
    let (legal_basis, all_citations_read) = each(reader, root, "legal_basis", legal_basis);
    let (age_rules, all_rules_read) = each(reader, root, "age_rules", age_rule);
    let (transfers, _) = each(reader, root, "transfer_mechanisms", transfer);
    Body {
        set: set_values(reader, root),
        delegated: delegated(reader, root),
        legal_basis,
        all_citations_read,
        age_rules,
        all_rules_read,
        transfers,
        fields: fields(reader, root),
    }
}

/// Reads each table of a list; also whether all could be read, so that what follows from one that could
/// not is not told as a fault of its own.
fn each<'a, 'i, T>(
    reader: &mut Reader<'_>,
    root: &Section<'a, 'i>,
    key: &str,
    read: fn(&mut Reader<'_>, &Section<'_, '_>) -> Option<T>,
) -> (Vec<T>, bool) {
    let sections = reader.tables(root, key);
    let found: Vec<T> = sections.iter().filter_map(|section| read(reader, section)).collect();
    let all = found.len() == sections.len();
    (found, all)
}

fn set_values(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> BTreeMap<Box<str>, u8> {
    let Some(section) = reader.table(root, "set") else { return BTreeMap::new() };
    let names: Vec<&str> = section.entries().map(|(name, _)| name).collect();
    names
        .into_iter()
        .filter_map(|name| Some((name.into(), reader.optional(&section, name, value::age)?)))
        .collect()
}

fn delegated(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> BTreeMap<Box<str>, Delegated> {
    let Some(section) = reader.table(root, "delegated") else { return BTreeMap::new() };
    let names: Vec<&str> = section.entries().map(|(name, _)| name).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let inner = reader.table_as(&section, name, "delegated.*".to_owned())?;
            let default = reader.required(&inner, "default", value::age);
            let min = reader.required(&inner, "min", value::age);
            let max = reader.required(&inner, "max", value::age);
            let cite = reader.required(&inner, "cite", value::text)?;
            let (default, min, max) = (default?, min?, max?);
            if !(min..=max).contains(&default) {
                let message = format!("is {default}, outside its own bounds {min} to {max}");
                reader.fault_in(&inner, "default", message);
            }
            Some((name.into(), Delegated { default, min, max, cite }))
        })
        .collect()
}

fn legal_basis(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<LegalBasis> {
    let one_or_more = |v: &DeValue<'_>| match v {
        DeValue::Array(list) => list.iter().map(|e| value::name(e.get_ref())).collect(),
        one => value::name(one).map(|name| vec![name]),
    };
    let rules: Option<Vec<Box<str>>> = reader.required(section, "rule", one_or_more);
    let cite = reader.required(section, "cite", value::text);
    let status = reader.required(section, "status", value::word);
    Some(LegalBasis { rules: rules?, cite: cite?, status: status?, at: section.at() })
}

fn age_rule(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<AgeRule> {
    let id = reader.required(section, "id", value::name);
    let from = reader.required(section, "from", from);
    let services = reader.list(section, "svc", value::word::<Service>);
    if services.as_ref().is_some_and(Vec::is_empty) {
        reader.fault_in(section, "svc", "is empty: the rule reaches no service".to_owned());
    }
    let top = Cell::top();
    let basis = reader.optional(section, "basis", value::word);
    let without = signals(reader, section, "without");
    let with = signals(reader, section, "with");
    let events_without = reader.optional(section, "events_without", value::word);
    let events_with = reader.optional(section, "events_with", value::word);
    let cell = Cell {
        basis: basis.unwrap_or(top.basis),
        without: without.unwrap_or(top.without),
        with: with.unwrap_or(top.with),
        events_without: events_without.unwrap_or(top.events_without),
        events_with: events_with.unwrap_or(top.events_with),
    };
    let services = services.map(|list| list.into_iter().collect());
    let (at, line) = (section.at(), reader.line(section.at()));
    checks::cell(reader, section, &cell);
    Some(AgeRule { id: id?, from: from?, services, cell, line, at })
}

fn from(value: &DeValue<'_>) -> Result<FromAge, String> {
    match value {
        DeValue::Table(table) => match (table.len(), table.get("delegated")) {
            (1, Some(name)) => value::name(name.get_ref()).map(FromAge::Delegated),
            _ => Err("expected { delegated = \"name\" } and nothing else".to_owned()),
        },
        DeValue::Integer(_) => value::age(value).map(FromAge::Age),
        other => Err(expected("an age in years, or { delegated = \"name\" }", other)),
    }
}

fn signals(reader: &mut Reader<'_>, section: &Section<'_, '_>, key: &str) -> Option<SignalSet> {
    reader.list(section, key, value::word).map(|list| list.into_iter().collect())
}

fn transfer(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<Transfer> {
    let to = reader.required(section, "to", value::domains);
    let mechanism = reader.required(section, "mechanism", value::word);
    let cite = reader.required(section, "cite", value::text);
    let valid_until = reader.optional(section, "valid_until", value::date);
    Some(Transfer { to: to?, mechanism: mechanism?, cite: cite?, valid_until })
}

fn fields(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Fields {
    let mut fields = Fields::top();
    if let Some(unknown) = unknown_age(reader, root) {
        fields.unknown_age = unknown;
    }
    if let Some(duties) = reader.list(root, "transparency", value::word) {
        fields.transparency = Duties(duties.into_iter().collect());
    }
    if let Some(duties) = reader.list(root, "oversight", value::word) {
        fields.oversight = Duties(duties.into_iter().collect());
    }
    conduct(reader, root, &mut fields);
    keeping(reader, root, &mut fields);
    ranking(reader, root, &mut fields);
    fields
}

fn unknown_age(reader: &mut Reader<'_>, root: &Section<'_, '_>) -> Option<PerService<UnknownAge>> {
    if root.entries().any(|(key, v)| key == "unknown_age" && v.get_ref().as_table().is_none()) {
        return reader.optional(root, "unknown_age", value::word).map(PerService::same);
    }
    let section = reader.table(root, "unknown_age")?;
    let default = reader.optional(&section, "default", value::word).unwrap_or(UnknownAge::Adult);
    let mut named = |service: Service| {
        reader.optional(&section, service.as_str(), value::word).unwrap_or(default)
    };
    Some(PerService([named(Service::General), named(Service::Social), named(Service::Vlop)]))
}

/// Sensitive attributes, signals and residency.
fn conduct(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    if let Some(section) = reader.table(root, "sensitive") {
        put(&mut fields.sensitive_basis, reader.optional(&section, "basis", value::word));
        put(&mut fields.sensitive_exclude, reader.optional(&section, "exclude", value::attributes));
    }
    if let Some(section) = reader.table(root, "signals") {
        put(&mut fields.gpc, signals(reader, &section, "gpc").map(Removes));
        // What the switch always removes stays: a pack can only add.
        if let Some(more) = signals(reader, &section, "toggle_off") {
            fields.toggle_off = fields.toggle_off.meet(&Removes(more));
        }
    }
    if let Some(section) = reader.table(root, "residency") {
        put(&mut fields.store_in, reader.optional(&section, "store_in", value::domains));
        put(&mut fields.process_in, reader.optional(&section, "process_in", value::domains));
        let copies = reader.optional(&section, "primary_copy", value::domains);
        put(&mut fields.primary_copy, copies.map(Copies));
    }
}

/// Rights and retention.
fn keeping(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    let days = |reader: &mut Reader<'_>, section: &Section<'_, '_>, key: &str, min: u32| {
        reader.optional(section, key, value::integer(min, DAYS_MAX)).map(|days| AtMost(Some(days)))
    };
    if let Some(section) = reader.table(root, "rights") {
        put(&mut fields.access_days, days(reader, &section, "access_days", 1));
        put(&mut fields.erasure_days, days(reader, &section, "erasure_days", 1));
    }
    if let Some(section) = reader.table(root, "retention") {
        put(&mut fields.profile_days, days(reader, &section, "profile_days", 0));
        put(&mut fields.events_days, days(reader, &section, "events_days", 0));
        put(
            &mut fields.decision_log_days,
            reader.optional(&section, "decision_log_days", log_days),
        );
    }
}

fn log_days(value: &DeValue<'_>) -> Result<LogDays, String> {
    let list = value.as_array().ok_or_else(|| expected("[min, max] in days", value))?;
    let day = |element: &toml::Spanned<DeValue<'_>>| value::integer(0, DAYS_MAX)(element.get_ref());
    let (min, max) = match list.iter().as_slice() {
        [min, max] => (day(min)?, day(max)?),
        _ => return Err("expected two numbers, [min, max] in days".to_owned()),
    };
    match max < min {
        true => Err(format!("[{min}, {max}] is empty")),
        false => Ok(LogDays { min, max: AtMost(Some(max)) }),
    }
}

fn ranking(reader: &mut Reader<'_>, root: &Section<'_, '_>, fields: &mut Fields) {
    let Some(section) = reader.table(root, "ranking") else { return };
    let k_min = reader.optional(&section, "k_min", value::integer(1, 1_000_000));
    put(&mut fields.k_min, k_min.map(AtLeast));
    let floor = reader.optional(&section, "diversity_floor", value::ratio);
    put(&mut fields.diversity_floor, floor.map(AtLeast));
    let epsilon = reader.optional(&section, "dp_epsilon_max", value::epsilon);
    put(&mut fields.dp_epsilon_max, epsilon.map(|most| AtMost(Some(most))));
    if let Some(inner) = reader.table(&section, "local_share") {
        fields.local_share = local_share(reader, &inner);
        if fields.local_share.infeasible() {
            let message =
                format!("shares that exclude each other sum to {}", fields.local_share.needed());
            reader.fault_in(&section, "local_share", message);
        }
    }
}

fn local_share(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Shares {
    let names: Vec<&str> = section.entries().map(|(name, _)| name).collect();
    let mut shares = Shares::default();
    for name in names {
        if let Err(error) = name.parse::<Jurisdiction>() {
            reader.fault_in(section, name, error.to_string());
        }
        if let Some(share) = reader.optional(section, name, value::share) {
            shares.0.insert(name.into(), share);
        }
    }
    shares
}

fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
