//! What is wrong with a pack file, all of it at once.

use std::fmt;

use crate::kind::Kind;

/// One fault of a pack file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the field, as in `age_rules[2].basis`; empty for the file as a whole.
    pub field: String,
    /// What the field means; empty where there is no such field.
    pub meaning: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            f.write_str(&self.field)?;
            if !self.meaning.is_empty() {
                write!(f, " ({})", self.meaning)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// Every fault of one pack file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackErrors(pub Vec<PackError>);

impl PackErrors {
    /// Always [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl fmt::Display for PackErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(PackError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for PackErrors {}
