//! Items of the catalogue, one by one and as lines of an upload.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::limits;

use super::text::{bounded, label, optional_text, timestamp};
use super::{Checked, at_most, id, labels, optional};
use crate::failure::Failure;
use crate::v1;

/// Years; more than that is a mistake.
const MIN_AGE_MAX: u32 = 21;

/// A checked item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRecord {
    /// Its id.
    pub item: ItemId,
    /// Its title, possibly empty.
    pub title: String,
    /// Its categories.
    pub category: BTreeSet<String>,
    /// Its language.
    pub language: Option<String>,
    /// Who made it.
    pub creator: Option<String>,
    /// The country it comes from.
    pub origin: Option<Jurisdiction>,
    /// When it came out.
    pub published_at: Option<UnixMillis>,
    /// From when on it is never shown.
    pub expires_at: Option<UnixMillis>,
    /// In years, 0 to 21.
    pub min_age: u8,
    /// Jurisdictions, and their parts, where it may not be shown.
    pub barred_in: BTreeSet<Jurisdiction>,
    /// Whether it may be shown at all.
    pub available: bool,
    /// Finite components, at most [`limits::VECTOR_DIMENSIONS_MAX`]; empty: none was given.
    pub vector: Vec<f32>,
    /// Further facts.
    pub attributes: BTreeMap<String, String>,
    /// Its place in the editorial list, 1 first.
    pub editorial_rank: Option<u32>,
}

/// Checks an item.
///
/// # Errors
/// An invalid [`Failure`] that names the field.
pub fn item(found: v1::Item) -> Checked<ItemRecord> {
    Ok(ItemRecord {
        item: id("item", &found.item)?,
        title: optional_text("title", found.title, limits::TITLE_BYTES_MAX)?,
        category: labels("category", &found.category, limits::CATEGORIES_MAX)?,
        language: optional(found.language, |text| label("language", text))?,
        creator: optional(found.creator, |t| bounded("creator", t, limits::TITLE_BYTES_MAX))?,
        origin: optional(found.origin, |text| id("origin", &text))?,
        published_at: optional(found.published_at, |text| timestamp("published_at", &text))?,
        expires_at: optional(found.expires_at, |text| timestamp("expires_at", &text))?,
        min_age: min_age(found.min_age)?,
        barred_in: barred_in(&found.barred_in)?,
        available: found.available.unwrap_or(true),
        vector: vector(found.vector)?,
        attributes: attributes(found.attributes)?,
        editorial_rank: optional(found.editorial_rank, editorial_rank)?,
    })
}

/// Reads and checks one line of an upload, without its line break.
///
/// # Errors
/// An invalid [`Failure`] that names the field, or the place where the JSON breaks off.
pub fn item_line(line: &[u8]) -> Checked<v1::Item> {
    if line.len() > limits::ITEM_LINE_BYTES_MAX {
        let most = limits::ITEM_LINE_BYTES_MAX;
        let words = format!("the line has {} bytes, at most {most} are allowed", line.len());
        return Err(Failure::invalid("item", words));
    }
    let found = super::read_json::<v1::Item>(line)?;
    item(found.clone())?;
    Ok(found)
}

fn min_age(years: u32) -> Checked<u8> {
    u8::try_from(years).ok().filter(|_| years <= MIN_AGE_MAX).ok_or_else(|| {
        let words = format!("min_age is {years}, it must be 0 to {MIN_AGE_MAX}");
        Failure::invalid("min_age", words)
    })
}

fn editorial_rank(rank: u32) -> Checked<u32> {
    if rank == 0 {
        return Err(Failure::invalid("editorial_rank", "editorial_rank is 0, the first is 1"));
    }
    Ok(rank)
}

fn barred_in(list: &[String]) -> Checked<BTreeSet<Jurisdiction>> {
    // Every jurisdiction of the world with its parts fits in this.
    at_most("barred_in", list.len(), limits::EXCLUDE_ITEMS_MAX)?;
    list.iter().enumerate().map(|(at, text)| id(&format!("barred_in[{at}]"), text)).collect()
}

fn vector(components: Vec<f32>) -> Checked<Vec<f32>> {
    let (len, max) = (components.len(), limits::VECTOR_DIMENSIONS_MAX);
    if len > max {
        let words = format!("vector has {len} dimensions, at most {max} are allowed");
        return Err(Failure::invalid("vector", words));
    }
    if let Some((at, bad)) = components.iter().enumerate().find(|(_, c)| !c.is_finite()) {
        let words = format!("vector[{at}] is {bad}, it must be a finite number");
        return Err(Failure::invalid(format!("vector[{at}]"), words));
    }
    Ok(components)
}

fn attributes(found: BTreeMap<String, String>) -> Checked<BTreeMap<String, String>> {
    at_most("attributes", found.len(), limits::ATTRIBUTES_MAX)?;
    let one = |(key, value): (String, String)| {
        let key = label("attributes", key)?;
        let path = format!("attributes.{key}");
        Ok((key, optional_text(&path, value, limits::ATTRIBUTE_BYTES_MAX)?))
    };
    found.into_iter().map(one).collect()
}
