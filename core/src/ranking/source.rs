//! Where candidates come from.

use crate::policy::SignalSet;

use super::{Part, Row};

/// A source could not answer. It is reported with the slate, never swallowed: lost recall nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name} failed: {reason}")]
pub struct SourceError {
    /// The source's name.
    pub source_name: &'static str,
    /// Why; carries no personal value.
    pub reason: String,
}

/// Brings candidates, using only the signals it declares.
pub trait Source {
    /// Its name in weights, metrics and explanations.
    fn name(&self) -> &'static str;

    /// The signals it reads: it is asked only where all are granted.
    fn needs(&self) -> SignalSet;

    /// At most `wanted` rows that pass `keep`, best first, each with its part.
    ///
    /// # Errors
    /// [`SourceError`] when it can't answer; no candidate at all is not an error.
    fn candidates(
        &self,
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError>;

    /// What it says of a row that another source brought; nothing of most rows for a source that only brings.
    /// A score is then the same whichever source brought the row.
    fn opinion(&self, _row: Row) -> Option<Part> {
        None
    }

    /// The row that explains its part of a row that is shown, where the part names none.
    fn reason(&self, _row: Row) -> Option<Row> {
        None
    }
}
