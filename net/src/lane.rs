//! What a call or stream is about: its kind, and the group it belongs to.

use std::fmt;

use bailiwick_core::ids::GroupId;

/// What travels in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKind {
    /// Raft log entries.
    Append,
    /// Raft votes.
    Vote,
    /// Raft votes that only ask.
    PreVote,
    /// Raft snapshots.
    Snapshot,
    /// Raft leadership handed over.
    Transfer,
    /// A command for a group's leader.
    Propose,
    /// The index that a linearizable read waits for.
    ReadIndex,
    /// Who a node is and what it has.
    Hello,
    /// Another use, numbered by the caller.
    Custom(u8),
}

impl LaneKind {
    /// Every kind that has a name; all custom kinds count as one.
    pub const NAMES: [&'static str; 9] = [
        "append",
        "vote",
        "pre_vote",
        "snapshot",
        "transfer",
        "propose",
        "read_index",
        "hello",
        "custom",
    ];

    /// The number on the wire. Numbers are never given to another kind.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Append => 1,
            Self::Vote => 2,
            Self::PreVote => 3,
            Self::Snapshot => 4,
            Self::Transfer => 5,
            Self::Propose => 6,
            Self::ReadIndex => 7,
            Self::Hello => 8,
            Self::Custom(n) => 256 + u32::from(n),
        }
    }

    /// The kind of a number on the wire; none when this version does not know it.
    pub(crate) fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Append,
            2 => Self::Vote,
            3 => Self::PreVote,
            4 => Self::Snapshot,
            5 => Self::Transfer,
            6 => Self::Propose,
            7 => Self::ReadIndex,
            8 => Self::Hello,
            n => Self::Custom(u8::try_from(n.checked_sub(256)?).ok()?),
        })
    }

    /// Its place in [`Self::NAMES`].
    pub(crate) fn ordinal(self) -> usize {
        match self {
            Self::Append => 0,
            Self::Vote => 1,
            Self::PreVote => 2,
            Self::Snapshot => 3,
            Self::Transfer => 4,
            Self::Propose => 5,
            Self::ReadIndex => 6,
            Self::Hello => 7,
            Self::Custom(_) => 8,
        }
    }

    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.get(self.ordinal()).copied().unwrap_or("custom")
    }
}

/// What a call or stream is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// What travels.
    pub kind: LaneKind,
    /// The group it belongs to; placement is checked against it on both sides.
    pub group: Option<GroupId>,
}

impl Lane {
    /// A lane of a group.
    #[must_use]
    pub fn of(kind: LaneKind, group: GroupId) -> Self {
        Self { kind, group: Some(group) }
    }

    /// A lane that belongs to no group.
    #[must_use]
    pub fn plain(kind: LaneKind) -> Self {
        Self { kind, group: None }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{} of {group}", self.kind.as_str()),
            None => f.write_str(self.kind.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_survives_the_wire() {
        let custom = (0..=255).map(LaneKind::Custom);
        for kind in (1..=8).filter_map(LaneKind::of_code).chain(custom) {
            assert_eq!(LaneKind::of_code(kind.code()), Some(kind));
        }
        for unknown in [0, 9, 255, 512, u32::MAX] {
            assert_eq!(LaneKind::of_code(unknown), None);
        }
    }
}
