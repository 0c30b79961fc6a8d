//! The rows of a users group's tree: the whole schema.

use bailiwick_core::ids::ItemId;

use crate::seal::PersonKey;

/// The version of the group's commands and rows.
pub const FORMAT: u32 = 1;
/// Bytes of a row's value that a message may fill; the rest of the limit is for sealing.
pub const ROW_BYTES_MAX: usize = 60 << 10;
/// Parts that a person's blocks are spread over by a keyed hash of the item, so that each fits a row.
pub const BLOCK_PARTS: u8 = 32;

/// The kinds of row, by the first byte of their key. After it comes the tenant (4 bytes), and for a
/// person's rows the person's key (32 bytes). `*` marks values that are sealed under the person's
/// data key; an id is a hash keyed with that data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RowKind {
    /// person -> `KeyRow`: the wrapped data key.
    Key = b'k',
    /// person -> `ConsentRow`*
    Consent = b'c',
    /// person -> `FactsRow`*: by which it is decided whether they may be learned from.
    Facts = b'a',
    /// person -> `InterestsRow`*
    Interests = b'i',
    /// person -> `ProfileRow`*
    Profile = b'p',
    /// person, part -> `BlocksRow`*
    Blocks = b'b',
    /// person -> `SlicesRow`*
    Slices = b'v',
    /// person, id of an event -> `EventRow`*
    Event = b'e',
    /// person, id of an item -> nothing: the person counts among the item's people.
    Touch = b'f',
    /// item -> `CounterRow`, in the clear: it counts people and names none.
    Counter = b'n',
    /// -> `SaltRow`: the wrapped salt of the newest day with aggregate events.
    Salt = b's',
    /// day, mark keyed with the day's salt -> nothing: seen that day. Or keyed with a tombstone's key: an event's id
    /// that was erased the day before.
    Mark = b'm',
    /// person -> `TombstoneRow`, in the clear: somebody was erased, and when.
    Tombstone = b't',
    /// hash of a receipt's id -> `ErasureRow`, in the clear: what became of an erasure. Names nobody.
    Erasure = b'r',
}

impl RowKind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Key,
        Self::Consent,
        Self::Facts,
        Self::Interests,
        Self::Profile,
        Self::Blocks,
        Self::Slices,
        Self::Event,
        Self::Touch,
        Self::Counter,
        Self::Salt,
        Self::Mark,
        Self::Tombstone,
        Self::Erasure,
    ];

    /// Whether rows of this kind are a person's, and go when the person is erased.
    #[must_use]
    pub fn goes_with_its_person(self) -> bool {
        match self {
            Self::Key
            | Self::Consent
            | Self::Facts
            | Self::Interests
            | Self::Profile
            | Self::Blocks
            | Self::Slices
            | Self::Event
            | Self::Touch => true,
            Self::Counter | Self::Salt | Self::Mark | Self::Tombstone | Self::Erasure => false,
        }
    }

    /// The kind of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.into_iter().find(|kind| *kind as u8 == first)
    }

    /// The key of a row of this kind.
    #[must_use]
    pub fn key(self, tenant: u32, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.push(self as u8);
        key.extend(tenant.to_be_bytes());
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The key, or the beginning of the keys, of a person's rows of this kind.
    #[must_use]
    pub fn of_person(self, tenant: u32, person: &PersonKey) -> Vec<u8> {
        self.key(tenant, &[person.as_bytes()])
    }
}

/// The item of a counter's key.
pub(super) fn counted_item(key: &[u8]) -> Option<ItemId> {
    let text = std::str::from_utf8(key.get(5..)?).ok()?;
    (RowKind::of(key)? == RowKind::Counter).then(|| ItemId::new(text).ok())?
}

/// Messages that are a row's root and say their version.
pub(super) trait Root: prost::Message + Default {
    /// In words.
    const WHAT: &'static str;
    /// The version they were written with.
    fn format(&self) -> u32;
}

macro_rules! roots {
    ($($name:ident: $what:literal),* $(,)?) => {$(
        impl Root for bailiwick_proto::store::$name {
            const WHAT: &'static str = $what;
            fn format(&self) -> u32 {
                self.format
            }
        }
    )*};
}
roots! {
    KeyRow: "a key row",
    SealedRow: "a sealed row",
    ConsentRow: "a consent row",
    FactsRow: "a facts row",
    InterestsRow: "an interests row",
    ProfileRow: "a profile row",
    BlocksRow: "a blocks row",
    SlicesRow: "a slices row",
    EventRow: "an event row",
    CounterRow: "a counter row",
    SaltRow: "a salt row",
    TombstoneRow: "a tombstone",
    ErasureRow: "an erasure's row",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_letters_of_their_own() {
        let letters: BTreeSet<u8> = RowKind::ALL.iter().map(|kind| *kind as u8).collect();
        assert_eq!(letters.len(), RowKind::ALL.len());
        for kind in RowKind::ALL {
            assert_eq!(RowKind::of(&kind.key(0, &[b"x"])), Some(kind));
        }
        assert_eq!(RowKind::of(b"z"), None);
    }

    #[test]
    fn a_counter_key_names_its_item() {
        let key = RowKind::Counter.key(0, &[b"318"]);
        assert_eq!(counted_item(&key).map(|i| i.as_str().to_owned()).as_deref(), Some("318"));
        assert_eq!(counted_item(&RowKind::Touch.key(0, &[b"318"])), None);
    }
}
