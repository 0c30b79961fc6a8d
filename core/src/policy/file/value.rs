//! Reads single values of a pack file.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::reader::expected;
use crate::ids::DomainId;
use crate::policy::domains::DomainSet;
use crate::policy::order::{Attributes, Epsilon, Ratio};
use crate::policy::word::Word;

/// Characters of a title or a citation.
const TEXT_MAX: usize = 400;

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) if text.trim().is_empty() => Err("is empty".to_owned()),
        Some(text) if text.chars().count() > TEXT_MAX => {
            Err(format!("has more than {TEXT_MAX} characters"))
        }
        Some(text) => Ok(text.to_owned()),
        None => Err(expected("a text", value)),
    }
}

/// A name: lower-case letters, digits, `_` and `-`.
pub(super) fn name(value: &DeValue<'_>) -> Result<Box<str>, String> {
    let text = text(value)?;
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    match text.chars().all(ok) {
        true => Ok(text.into_boxed_str()),
        false => Err(format!("`{text}` is not a name (lower-case letters, digits, `_`, `-`)")),
    }
}

/// A validated id.
pub(super) fn id<T: FromStr<Err: ToString>>(value: &DeValue<'_>) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| expected("a text", value))?;
    text.parse::<T>().map_err(|error| error.to_string())
}

pub(super) fn word<T: Word>(value: &DeValue<'_>) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| expected("a text", value))?;
    T::parse(text).map_err(|error| format!("`{}` is not allowed: {}", error.value, error.allowed))
}

/// An integer within bounds.
pub(super) fn integer(min: u32, max: u32) -> impl Fn(&DeValue<'_>) -> Result<u32, String> {
    move |value| {
        let number = value.as_integer().ok_or_else(|| expected("a whole number", value))?;
        match i64::from_str_radix(number.as_str(), number.radix()).map(u32::try_from) {
            Ok(Ok(number)) if (min..=max).contains(&number) => Ok(number),
            _ => Err(format!("is {number}, allowed: {min} to {max}")),
        }
    }
}

/// An age in years.
pub(super) fn age(value: &DeValue<'_>) -> Result<u8, String> {
    integer(0, 18)(value).map(|age| u8::try_from(age).unwrap_or(18))
}

pub(super) fn date(value: &DeValue<'_>) -> Result<Date, String> {
    let found = value.as_datetime().ok_or_else(|| expected("a date like 2026-11-22", value))?;
    let (Some(date), None) = (found.date, found.time) else {
        return Err(format!("expected a date alone, like 2026-11-22, found {found}"));
    };
    let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
    let (Ok(year), Ok(month), Ok(day)) = parts else {
        return Err(format!("{found} is not a date"));
    };
    Date::new(year, month, day).map_err(|error| format!("{found} is not a date: {error}"))
}

fn number(value: &DeValue<'_>) -> Result<f64, String> {
    let text = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        other => return Err(expected("a number", other)),
    };
    text.parse().map_err(|_| expected("a number", value))
}

pub(super) fn ratio(value: &DeValue<'_>) -> Result<Ratio, String> {
    let number = number(value)?;
    Ratio::new(number).ok_or_else(|| format!("is {number}, allowed: 0 to 1"))
}

pub(super) fn share(value: &DeValue<'_>) -> Result<Ratio, String> {
    match ratio(value)? {
        none if none == Ratio::default() => Err("is 0, allowed: above 0 and up to 1".to_owned()),
        share => Ok(share),
    }
}

pub(super) fn epsilon(value: &DeValue<'_>) -> Result<Epsilon, String> {
    let number = number(value)?;
    Epsilon::new(number).ok_or_else(|| format!("is {number}, allowed: above 0 and up to 1000"))
}

/// A list of domains, `"all"`, or `{ all_except = [...] }`.
pub(super) fn domains(value: &DeValue<'_>) -> Result<DomainSet, String> {
    match value {
        DeValue::String(text) if text == "all" => Ok(DomainSet::all()),
        DeValue::Array(_) => domain_list(value).map(DomainSet::Only),
        DeValue::Table(table) => all_except(table),
        other => Err(expected("a list of domains, \"all\" or { all_except = [..] }", other)),
    }
}

fn all_except(table: &DeTable<'_>) -> Result<DomainSet, String> {
    match (table.len(), table.get("all_except")) {
        (1, Some(list)) => domain_list(list.get_ref()).map(DomainSet::AllExcept),
        _ => Err("expected { all_except = [..] } and nothing else".to_owned()),
    }
}

fn domain_list(value: &DeValue<'_>) -> Result<BTreeSet<DomainId>, String> {
    let list = value.as_array().ok_or_else(|| expected("a list of domains", value))?;
    list.iter().map(|element| id(element.get_ref())).collect()
}

/// A list of attributes, or `"all"`.
pub(super) fn attributes(value: &DeValue<'_>) -> Result<Attributes, String> {
    match value {
        DeValue::String(text) if text == "all" => Ok(Attributes::All),
        DeValue::Array(list) => {
            list.iter().map(|e| name(e.get_ref())).collect::<Result<_, _>>().map(Attributes::Only)
        }
        other => Err(expected("a list of attributes, or \"all\"", other)),
    }
}
