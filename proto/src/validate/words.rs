//! The vocabularies of messages that are not the policy's.

use std::str::FromStr;

use bailiwick_core::policy::WordError;

/// What a person did with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// It was shown.
    Impression,
    /// It was opened.
    View,
    /// It was liked.
    Like,
    /// It was disliked.
    Dislike,
    /// It was rated; `value` says how highly.
    Rate,
    /// It was bought.
    Purchase,
    /// It was played.
    Play,
    /// Its maker is followed.
    Follow,
    /// It is never to be shown again.
    Block,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Impression,
        Self::View,
        Self::Like,
        Self::Dislike,
        Self::Rate,
        Self::Purchase,
        Self::Play,
        Self::Follow,
        Self::Block,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::View => "view",
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Rate => "rate",
            Self::Purchase => "purchase",
            Self::Play => "play",
            Self::Follow => "follow",
            Self::Block => "block",
        }
    }
}

impl FromStr for EventKind {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| WordError {
            field: "kind",
            value: super::text::short(text),
            allowed: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}
