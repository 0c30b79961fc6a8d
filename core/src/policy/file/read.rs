//! From TOML to a checked pack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::canonical::canonical;
use super::error::{PackError, PackErrors};
use super::reader::{Reader, Section, expected};
use super::rules::{AgeRule, Delegated, FromAge, LegalBasis, Transfer};
use super::{Applies, PACK_BYTES_MAX, PackFile, PackHash, STRICT_ID, checks, sections, value};
use crate::ids::{DomainId, Jurisdiction};
use crate::policy::cells::Cell;
use crate::policy::effective::Fields;
use crate::policy::signal::SignalSet;
use crate::policy::vocabulary::Service;

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
        fields: sections::fields(reader, root),
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

pub(super) fn signals(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    key: &str,
) -> Option<SignalSet> {
    reader.list(section, key, value::word).map(|list| list.into_iter().collect())
}

fn transfer(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<Transfer> {
    let to = reader.required(section, "to", value::domains);
    let mechanism = reader.required(section, "mechanism", value::word);
    let cite = reader.required(section, "cite", value::text);
    let valid_until = reader.optional(section, "valid_until", value::date);
    Some(Transfer { to: to?, mechanism: mechanism?, cite: cite?, valid_until })
}
