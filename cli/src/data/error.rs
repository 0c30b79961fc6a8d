//! What can be wrong with a file of data.

use bailiwick_core::kind::Kind;

/// Why a data set could not be loaded; says where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No such data set.
    #[error("`{found}` is no data set: take movielens, bookcrossing or events:FILE")]
    Choice {
        /// What was asked for, shortened.
        found: String,
    },
    /// Book-Crossing is not inside this program.
    #[error("bookcrossing needs the directory of its tables: add --path DIR")]
    NoPath,
    /// A file could not be opened.
    #[error("{file} can't be opened ({source}): check the path and the permissions")]
    Open {
        /// The file.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Reading stopped inside a file.
    #[error("{file}, line {line}: {problem}; {mend}")]
    Read {
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// What happened.
        problem: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// The header lacks a column.
    #[error("{file}, line 1: no column `{column}` (found: {found}); name it in the header line")]
    Column {
        /// The file.
        file: String,
        /// The column that is missing.
        column: &'static str,
        /// The columns there are, shortened.
        found: String,
    },
    /// A value can't be taken.
    #[error("{file}, line {line}: {column} is `{value}`; {mend}")]
    Value {
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// The value, shortened.
        value: String,
        /// What it should be.
        mend: String,
    },
    /// More rows than a run can hold.
    #[error("{file} has more than {max} rows: cut it")]
    TooLong {
        /// The file.
        file: String,
        /// Rows allowed.
        max: usize,
    },
    /// A file without a single row.
    #[error("{file} has no rows below its header: nothing to load")]
    Empty {
        /// The file.
        file: String,
    },
    /// The rule that deals out made-up facts is itself wrong.
    #[error("{file}: {problem}")]
    Rule {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl DataError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Open { .. } => Kind::NotFound,
            Self::Rule { .. } => Kind::Broken,
            _ => Kind::Invalid,
        }
    }
}
