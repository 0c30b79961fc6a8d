//! A candidate and what brought it.

use crate::policy::Signal;

use super::Row;

/// What one source says for a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The source's name.
    pub source: &'static str,
    /// The signal that the score rests on; none for what the editors chose.
    pub signal: Option<Signal>,
    /// 0 to 1, comparable inside one source.
    pub score: f32,
    /// The row that explains it: an item of the history, the session or the request.
    pub from: Option<Row>,
}

/// An item that may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The item.
    pub row: Row,
    /// One part a source that brought it.
    pub parts: Vec<Part>,
}
