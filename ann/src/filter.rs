//! Which rows a search may return.

use crate::bitmap::Bitmap;
use crate::space::Row;

/// Which rows a search may return.
#[derive(Clone, Copy)]
pub enum Filter<'a> {
    /// Every live row.
    All,
    /// The rows of a set.
    Rows(&'a Bitmap),
    /// The rows that a predicate accepts. It is called for rows that the search meets, in any order,
    /// as often as the budget allows; it must not call back into a search that waits for it.
    Where(&'a (dyn Fn(Row) -> bool + 'a)),
}

impl Filter<'_> {
    #[inline]
    pub(crate) fn accepts(&self, row: Row) -> bool {
        match self {
            Self::All => true,
            Self::Rows(set) => set.contains(row),
            Self::Where(accepts) => accepts(row),
        }
    }
}

impl<'a> From<&'a Bitmap> for Filter<'a> {
    fn from(set: &'a Bitmap) -> Self {
        Self::Rows(set)
    }
}

impl<'a> From<Option<&'a Bitmap>> for Filter<'a> {
    fn from(set: Option<&'a Bitmap>) -> Self {
        set.map_or(Self::All, Self::Rows)
    }
}

impl std::fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Rows(set) => write!(f, "Rows({} rows)", set.len()),
            Self::Where(_) => f.write_str("Where(..)"),
        }
    }
}
