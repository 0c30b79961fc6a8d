//! The catalogue's rows, and their two other forms: the public message and ranking's facts.

use bailiwick_ann::{AnnError, Metric, Space};
use bailiwick_core::ids::{ItemId, Jurisdiction, UnixMillis};
use bailiwick_core::ranking::ItemFacts;
use bailiwick_proto::store::{ItemRow, SpaceRow};
use bailiwick_proto::v1;

/// The version of the catalogue's commands and rows.
pub const FORMAT: u32 = 1;

/// Scores are cosines.
const METRIC: &str = "cosine";

/// The rows of the group's tree, by the first byte of their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// `i` + item id -> [`ItemRow`]
    Item,
    /// `s` -> the space of the vectors
    Space,
    /// `g` -> the latest generation of the index
    Generation,
}

impl RowKind {
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        match key.first() {
            Some(b'i') => Some(Self::Item),
            Some(b's') => Some(Self::Space),
            Some(b'g') => Some(Self::Generation),
            _ => None,
        }
    }
}

/// The key of an item's row.
pub(super) fn item_key(item: &str) -> Vec<u8> {
    [b"i", item.as_bytes()].concat()
}

/// The key of the space's row.
pub(super) const SPACE_KEY: &[u8] = b"s";
/// The key of the generation's row.
pub(super) const GENERATION_KEY: &[u8] = b"g";

/// The row of a space.
#[must_use]
pub fn row_of_space(space: &Space) -> SpaceRow {
    let dimensions = u32::try_from(space.dimensions).unwrap_or(u32::MAX);
    SpaceRow { format: FORMAT, model: space.model.clone(), dimensions, metric: METRIC.into() }
}

/// The space that a row describes.
///
/// # Errors
/// [`AnnError::Dimensions`] when there is no such space.
pub(super) fn space_of(row: SpaceRow) -> Result<Space, AnnError> {
    let dimensions = usize::try_from(row.dimensions).unwrap_or(usize::MAX);
    Space::new(row.model, dimensions, Metric::Cosine)
}

/// The item of an item row's key.
pub(super) fn item_of(key: &[u8]) -> Option<ItemId> {
    let text = std::str::from_utf8(key.get(1..)?).ok()?;
    ItemId::new(text).ok()
}

fn moment(text: Option<&String>) -> i64 {
    text.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_millisecond)
}

fn text_of(ms: i64) -> Option<String> {
    (ms != 0).then(|| jiff::Timestamp::from_millisecond(ms).ok()).flatten().map(|t| t.to_string())
}

/// The row of an item that has been validated.
#[must_use]
pub fn row_of(item: v1::Item) -> ItemRow {
    ItemRow {
        format: FORMAT,
        published_ms: moment(item.published_at.as_ref()),
        expires_ms: moment(item.expires_at.as_ref()),
        item: item.item,
        title: item.title,
        category: item.category,
        language: item.language.unwrap_or_default(),
        creator: item.creator.unwrap_or_default(),
        origin: item.origin.unwrap_or_default(),
        min_age: item.min_age,
        barred_in: item.barred_in,
        hidden: !item.available.unwrap_or(true),
        vector: item.vector,
        attributes: item.attributes,
        editorial_rank: item.editorial_rank.unwrap_or(0),
    }
}

fn named(text: String) -> Option<String> {
    Some(text).filter(|t| !t.is_empty())
}

/// The public form of a row.
pub(super) fn public(row: ItemRow) -> v1::Item {
    v1::Item {
        published_at: text_of(row.published_ms),
        expires_at: text_of(row.expires_ms),
        item: row.item,
        title: row.title,
        category: row.category,
        language: named(row.language),
        creator: named(row.creator),
        origin: named(row.origin),
        min_age: row.min_age,
        barred_in: row.barred_in,
        available: Some(!row.hidden),
        vector: row.vector,
        attributes: row.attributes,
        editorial_rank: (row.editorial_rank > 0).then_some(row.editorial_rank),
    }
}

/// What ranking knows of a row; none when it is not well-formed, which a leader never proposes.
#[must_use]
pub fn facts_of(row: &ItemRow) -> Option<ItemFacts> {
    let barred: Result<Vec<_>, _> = row.barred_in.iter().map(Jurisdiction::new).collect();
    Some(ItemFacts {
        id: ItemId::new(row.item.as_str()).ok()?,
        title: row.title.clone(),
        category: row.category.clone(),
        language: named(row.language.clone()),
        creator: named(row.creator.clone()),
        origin: named(row.origin.clone()),
        published: (row.published_ms != 0).then_some(UnixMillis(row.published_ms)),
        expires: (row.expires_ms != 0).then_some(UnixMillis(row.expires_ms)),
        min_age: u8::try_from(row.min_age).ok()?,
        barred_in: barred.ok()?,
        available: !row.hidden,
        editorial_rank: (row.editorial_rank > 0).then_some(row.editorial_rank),
    })
}
