//! Rows, and which of them a group may write.

use bailiwick_core::kind::Kind;
use bailiwick_core::limits::VALUE_BYTES_MAX;
use bytes::Bytes;

/// Bytes of one key.
pub const KEY_BYTES_MAX: usize = 1024;

/// Keys that begin with this byte are the store's own.
pub const RESERVED: u8 = 0;

/// The row that holds a group's applied position, membership and hash, written with every batch.
pub(crate) const STATE_KEY: &[u8] = &[RESERVED];

/// The first key that a group may use.
pub(crate) const FIRST_KEY: &[u8] = &[RESERVED + 1];

/// One row.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row([redacted], {} and {} bytes)", self.key.len(), self.value.len())
    }
}

/// Why a row is not taken. The same on every replica, so it may decide a command's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowRefusal {
    /// The key has no bytes.
    #[error("a key is empty")]
    KeyEmpty,
    /// The key is the store's own.
    #[error("a key begins with the reserved byte 0")]
    KeyReserved,
    /// The key is too long.
    #[error("a key has {len} bytes, at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong {
        /// Bytes found.
        len: usize,
    },
    /// The value is too long.
    #[error("a value has {len} bytes, at most {VALUE_BYTES_MAX} are allowed")]
    ValueTooLong {
        /// Bytes found.
        len: usize,
    },
}

impl RowRefusal {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Checks a key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), RowRefusal> {
    match key.first() {
        None => Err(RowRefusal::KeyEmpty),
        Some(&RESERVED) => Err(RowRefusal::KeyReserved),
        Some(_) if key.len() > KEY_BYTES_MAX => Err(RowRefusal::KeyTooLong { len: key.len() }),
        Some(_) => Ok(()),
    }
}

/// Checks a key and its value.
pub(crate) fn check_row(key: &[u8], value: &[u8]) -> Result<(), RowRefusal> {
    check_key(key)?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(RowRefusal::ValueTooLong { len: value.len() });
    }
    Ok(())
}

/// The first key after every key that begins with `prefix`; none when there is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut end = prefix.get(..=keep)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff, 0xff]), None);
        assert_eq!(after_prefix(b""), None);
    }

    #[test]
    fn a_group_cannot_write_the_state_row() {
        assert_eq!(check_row(STATE_KEY, b""), Err(RowRefusal::KeyReserved));
        assert_eq!(check_row(FIRST_KEY, b""), Ok(()));
        assert_eq!(
            check_row(b"k", &vec![0; VALUE_BYTES_MAX + 1]),
            Err(RowRefusal::ValueTooLong { len: VALUE_BYTES_MAX + 1 })
        );
    }
}
