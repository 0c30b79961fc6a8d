//! What ranking knows of an item.

use crate::ids::{ItemId, Jurisdiction, UnixMillis};

/// The dense number that one node gives an item; not stable between nodes or restarts.
pub type Row = u32;

/// An item's attributes that filters, floors and explanations read.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFacts {
    /// The item.
    pub id: ItemId,
    /// Shown to people.
    pub title: String,
    /// Categories, as the catalogue spells them.
    pub category: Vec<String>,
    /// Language, where known.
    pub language: Option<String>,
    /// Creator, where known.
    pub creator: Option<String>,
    /// The jurisdiction that it comes from: `US`, `EU-FR`.
    pub origin: Option<String>,
    /// When it was published, where known.
    pub published: Option<UnixMillis>,
    /// Never shown from then on.
    pub expires: Option<UnixMillis>,
    /// Years of age from which it may be shown.
    pub min_age: u8,
    /// Where it may not be shown, parts of the place included.
    pub barred_in: Vec<Jurisdiction>,
    /// In stock and not hidden.
    pub available: bool,
    /// Place in the editorial list, 1 first.
    pub editorial_rank: Option<u32>,
}

impl ItemFacts {
    /// An item in stock of which nothing else is known.
    #[must_use]
    pub const fn new(id: ItemId) -> Self {
        Self {
            id,
            title: String::new(),
            category: Vec::new(),
            language: None,
            creator: None,
            origin: None,
            published: None,
            expires: None,
            min_age: 0,
            barred_in: Vec::new(),
            available: true,
            editorial_rank: None,
        }
    }
}

/// The catalogue as ranking reads it.
pub trait Shelf {
    /// The facts of a row; none when it was deleted.
    fn facts(&self, row: Row) -> Option<&ItemFacts>;

    /// At most so many rows come from a place, or a part of it.
    fn place_rows_max(&self, _place: &str) -> usize {
        usize::MAX
    }

    /// The unit vector of a row; none when it has none.
    fn vector(&self, row: Row) -> Option<&[f32]>;

    /// The unit vector by which rows are told to be alike; the row's own, unless a model tells better.
    fn direction(&self, row: Row) -> Option<&[f32]> {
        self.vector(row)
    }
}
