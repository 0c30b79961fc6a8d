//! What is known of a row besides its vector: keywords and numbers, by named columns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::AnnError;

/// Columns of an index, at most.
pub const COLUMNS_MAX: usize = 64;
/// Bytes of a column's name, at most.
pub const COLUMN_BYTES_MAX: usize = 64;
/// Keywords of one row in one column, at most.
pub const KEYWORDS_MAX: usize = 64;
/// Bytes of a keyword, at most.
pub const KEYWORD_BYTES_MAX: usize = 256;
/// The least number that a column takes; the one below says that a row has none.
pub const NUMBER_MIN: i64 = i64::MIN + 1;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// Any number of words a row.
    Keywords,
    /// At most one number a row.
    Numbers,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keywords => "keywords",
            Self::Numbers => "numbers",
        })
    }
}

/// What is known of one row, by columns.
///
/// ```
/// # use bailiwick_ann::Attributes;
/// let film = Attributes::new().with_keyword("genre", "noir").with_number("year", 1944);
/// assert_eq!(film.number("year"), Some(1944));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    keywords: BTreeMap<String, BTreeSet<String>>,
    numbers: BTreeMap<String, i64>,
}

impl Attributes {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One keyword more.
    #[must_use]
    pub fn with_keyword(mut self, column: impl Into<String>, keyword: impl Into<String>) -> Self {
        self.keywords.entry(column.into()).or_default().insert(keyword.into());
        self
    }

    /// With this number in place of the one that the column had.
    #[must_use]
    pub fn with_number(mut self, column: impl Into<String>, number: i64) -> Self {
        self.numbers.insert(column.into(), number);
        self
    }

    /// The keywords in a column, in the order of their bytes.
    pub fn keywords(&self, column: &str) -> impl Iterator<Item = &str> {
        self.keywords.get(column).into_iter().flatten().map(String::as_str)
    }

    /// The number in a column.
    #[must_use]
    pub fn number(&self, column: &str) -> Option<i64> {
        self.numbers.get(column).copied()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keywords.is_empty() && self.numbers.is_empty()
    }

    pub(crate) fn has(&self, column: &str, keyword: &str) -> bool {
        self.keywords.get(column).is_some_and(|keywords| keywords.contains(keyword))
    }

    /// Every column with a keyword.
    pub(crate) fn all_keywords(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keywords.iter().flat_map(|(column, keywords)| each_of(column, keywords))
    }

    /// Every column with its number.
    pub(crate) fn all_numbers(&self) -> impl Iterator<Item = (&str, i64)> {
        self.numbers.iter().map(|(column, number)| (column.as_str(), *number))
    }

    fn columns(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        let keywords = self.keywords.keys().map(|name| (name.as_str(), ColumnKind::Keywords));
        keywords.chain(self.numbers.keys().map(|name| (name.as_str(), ColumnKind::Numbers)))
    }

    /// Refuses keywords that are too long or too many, and the number that means none.
    fn check(&self) -> Result<(), AnnError> {
        for (column, keywords) in &self.keywords {
            if keywords.len() > KEYWORDS_MAX {
                let why = format!("{} keywords, at most {KEYWORDS_MAX} are taken", keywords.len());
                return Err(unfit(column, why));
            }
            if let Some(long) = keywords.iter().find(|word| word.len() > KEYWORD_BYTES_MAX) {
                let bytes = long.len();
                let why =
                    format!("a keyword of {bytes} bytes, at most {KEYWORD_BYTES_MAX} are taken");
                return Err(unfit(column, why));
            }
        }
        match self.numbers.iter().find(|(_, number)| **number < NUMBER_MIN) {
            Some((column, number)) => Err(unfit(column, format!("{number} is no number it takes"))),
            None => Ok(()),
        }
    }
}

fn each_of<'a>(
    column: &'a str,
    keywords: &'a BTreeSet<String>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    keywords.iter().map(move |keyword| (column, keyword.as_str()))
}

fn unfit(column: &str, why: String) -> AnnError {
    AnnError::Column { column: column.chars().take(COLUMN_BYTES_MAX).collect(), why }
}

/// The columns that an index has. A column comes with the first row that has it, and stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kinds(BTreeMap<String, ColumnKind>);

impl Kinds {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Refuses a column that is not there or not of this kind.
    pub(crate) fn require(&self, column: &str, kind: ColumnKind) -> Result<(), AnnError> {
        match self.0.get(column) {
            Some(&found) if found == kind => Ok(()),
            Some(found) => Err(unfit(column, format!("it holds {found}, not {kind}"))),
            None => Err(unfit(column, "there is no such column".to_owned())),
        }
    }

    /// These and one more; none if it is among them.
    pub(crate) fn with(&self, column: &str, kind: ColumnKind) -> Result<Option<Self>, AnnError> {
        if self.0.contains_key(column) {
            return self.require(column, kind).map(|()| None);
        }
        if column.is_empty() || column.len() > COLUMN_BYTES_MAX {
            let why = format!("a name has 1 to {COLUMN_BYTES_MAX} bytes, not {}", column.len());
            return Err(unfit(column, why));
        }
        if self.0.len() >= COLUMNS_MAX {
            return Err(unfit(column, format!("there are {COLUMNS_MAX} columns already")));
        }
        let mut more = self.clone();
        more.0.insert(column.to_owned(), kind);
        Ok(Some(more))
    }

    /// These and those that a row has; none if they are among them. Refuses attributes that are none.
    pub(crate) fn admitting(&self, attributes: &Attributes) -> Result<Option<Self>, AnnError> {
        attributes.check()?;
        self.and(attributes.columns())
    }

    /// These and some more; none if they are among them.
    pub(crate) fn and<'a>(
        &self,
        mut others: impl Iterator<Item = (&'a str, ColumnKind)>,
    ) -> Result<Option<Self>, AnnError> {
        others.try_fold(None, |more: Option<Self>, (column, kind)| {
            let further = more.as_ref().unwrap_or(self).with(column, kind)?;
            Ok(further.or(more))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_its_kind_and_bounds_hold() {
        let film = Attributes::new().with_keyword("genre", "noir").with_number("year", 1944);
        let kinds = Kinds::default().admitting(&film).unwrap().unwrap();
        assert!(kinds.admitting(&film).unwrap().is_none());
        let refused = |attributes: Attributes, named: &str| {
            let error = kinds.admitting(&attributes).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        };
        refused(Attributes::new().with_keyword("year", "1944"), "column year: it holds numbers");
        refused(Attributes::new().with_number("genre", 3), "column genre: it holds keywords");
        refused(Attributes::new().with_number("", 3), "1 to 64 bytes");
        refused(Attributes::new().with_number("x".repeat(65), 3), "1 to 64 bytes");
        refused(Attributes::new().with_number("year", i64::MIN), "column year");
        refused(Attributes::new().with_keyword("genre", "x".repeat(257)), "257 bytes");
        let many = (0..65).fold(Attributes::new(), |a, n| a.with_keyword("genre", n.to_string()));
        refused(many, "65 keywords");
        let both = Attributes::new().with_number("both", 1).with_keyword("both", "1");
        refused(both, "column both");
        let columns = (0..63).fold(Attributes::new(), |a, n| a.with_number(format!("c{n}"), 1));
        refused(columns, "64 columns already");
    }
}
