//! A condition on the columns of a row.

use crate::attributes::{Attributes, ColumnKind, Kinds};
use crate::error::AnnError;

/// Levels of a predicate, at most.
pub const PREDICATE_DEPTH_MAX: usize = 16;
/// Parts of a predicate, itself among them, and keywords in it, at most.
pub const PREDICATE_PARTS_MAX: usize = 1024;

/// A condition on the columns of a row. A comparison is false of a row that has no number in the column, and its
/// opposite is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// All of these hold: true if there are none.
    And(Vec<Self>),
    /// Some of these hold: false if there are none.
    Or(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The row has this keyword.
    Is {
        /// Where.
        column: String,
        /// Which.
        keyword: String,
    },
    /// The row has some of these keywords.
    In {
        /// Where.
        column: String,
        /// Which.
        keywords: Vec<String>,
    },
    /// The row's number is so great, or greater.
    AtLeast {
        /// Where.
        column: String,
        /// The bound, included.
        number: i64,
    },
    /// The row's number is so great, or less.
    AtMost {
        /// Where.
        column: String,
        /// The bound, included.
        number: i64,
    },
    /// The row's number is one of these; none is if the first is greater than the last.
    Between {
        /// Where.
        column: String,
        /// The least, included.
        least: i64,
        /// The greatest, included.
        most: i64,
    },
}

impl Predicate {
    /// The row has this keyword.
    pub fn is(column: impl Into<String>, keyword: impl Into<String>) -> Self {
        Self::Is { column: column.into(), keyword: keyword.into() }
    }

    /// The row has some of these keywords.
    pub fn any_of(
        column: impl Into<String>,
        keywords: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let keywords = keywords.into_iter().map(Into::into).collect();
        Self::In { column: column.into(), keywords }
    }

    /// The row's number is at least `least` and at most `most`.
    pub fn between(column: impl Into<String>, least: i64, most: i64) -> Self {
        Self::Between { column: column.into(), least, most }
    }

    /// The row's number is so great, or greater.
    pub fn at_least(column: impl Into<String>, number: i64) -> Self {
        Self::AtLeast { column: column.into(), number }
    }

    /// The row's number is so great, or less.
    pub fn at_most(column: impl Into<String>, number: i64) -> Self {
        Self::AtMost { column: column.into(), number }
    }

    /// Whether it holds of a row with these attributes.
    #[must_use]
    pub fn accepts(&self, attributes: &Attributes) -> bool {
        let number =
            |column: &str, fits: &dyn Fn(i64) -> bool| attributes.number(column).is_some_and(fits);
        match self {
            Self::And(parts) => parts.iter().all(|part| part.accepts(attributes)),
            Self::Or(parts) => parts.iter().any(|part| part.accepts(attributes)),
            Self::Not(part) => !part.accepts(attributes),
            Self::Is { column, keyword } => attributes.has(column, keyword),
            Self::In { column, keywords } => keywords.iter().any(|k| attributes.has(column, k)),
            Self::AtLeast { column, number: least } => number(column, &|n| n >= *least),
            Self::AtMost { column, number: most } => number(column, &|n| n <= *most),
            Self::Between { column, least, most } => {
                number(column, &|n| (*least..=*most).contains(&n))
            }
        }
    }

    /// Refuses a predicate that is too large, or that names a column that is not there or of another kind.
    pub(crate) fn check(&self, kinds: &Kinds) -> Result<(), AnnError> {
        self.check_at(kinds, PREDICATE_DEPTH_MAX, &mut PREDICATE_PARTS_MAX.clone())
    }

    fn check_at(&self, kinds: &Kinds, depth: usize, room: &mut usize) -> Result<(), AnnError> {
        let too = |what: &str| AnnError::Predicate { why: format!("it has {what}") };
        let depth = depth.checked_sub(1).ok_or_else(|| too("too many levels"))?;
        let size = if let Self::In { keywords, .. } = self { 1 + keywords.len() } else { 1 };
        *room = room.checked_sub(size).ok_or_else(|| too("too many parts"))?;
        match self {
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().try_for_each(|part| part.check_at(kinds, depth, room))
            }
            Self::Not(part) => part.check_at(kinds, depth, room),
            Self::Is { column, .. } | Self::In { column, .. } => {
                kinds.require(column, ColumnKind::Keywords)
            }
            Self::AtLeast { column, .. }
            | Self::AtMost { column, .. }
            | Self::Between { column, .. } => kinds.require(column, ColumnKind::Numbers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(predicate: &Predicate, named: &str) {
        let film = Attributes::new().with_keyword("genre", "noir").with_number("year", 1944);
        let kinds = Kinds::default().admitting(&film).unwrap().unwrap();
        let error = predicate.check(&kinds).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }

    #[test]
    fn what_can_not_be_asked_is_refused_by_its_name() {
        refused(&Predicate::is("gender", "noir"), "column gender: there is no such column");
        refused(&Predicate::is("year", "1944"), "column year: it holds numbers, not keywords");
        let nested = Predicate::Not(Box::new(Predicate::And(vec![Predicate::at_most("genre", 3)])));
        refused(&nested, "column genre: it holds keywords, not numbers");
        let deep = (0..16).fold(Predicate::is("genre", "noir"), |p, _| Predicate::Not(Box::new(p)));
        refused(&deep, "too many levels");
        refused(&Predicate::any_of("genre", vec!["x"; 1024]), "too many parts");
        refused(&Predicate::Or(vec![Predicate::And(Vec::new()); 1024]), "too many parts");
    }
}
