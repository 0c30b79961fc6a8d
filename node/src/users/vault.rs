//! One group's rows, opened and sealed: the group's name, its domain and the key ring in one hand.

use std::fmt;
use std::sync::Arc;

use bailiwick_core::ids::{DomainId, GroupId};
use bailiwick_core::kind::Kind;
use bailiwick_proto::store::{KeyRow, SealedRow, WrappedKey};
use prost::Message as _;

use super::schema::{FORMAT, Root, RowKind};
use crate::seal::{DataKey, KeyRing, PersonKey, Place, RowMoment, SealError, TENANT};

/// A group without people was named where a users group is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group {group} holds no people")]
pub struct NotUsers {
    /// The group.
    pub group: GroupId,
}

impl NotUsers {
    /// Always [`Kind::Invalid`].
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// What it takes to open and seal the rows of one users group.
#[derive(Clone)]
pub struct Vault {
    group: GroupId,
    home: DomainId,
    ring: Arc<dyn KeyRing>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.group)
    }
}

impl Vault {
    /// The vault of `group`.
    ///
    /// # Errors
    /// [`NotUsers`] for a group that is not pinned to a domain.
    pub fn new(group: GroupId, ring: Arc<dyn KeyRing>) -> Result<Self, NotUsers> {
        match group.pinned_to().cloned() {
            Some(home) => Ok(Self { group, home, ring }),
            None => Err(NotUsers { group }),
        }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupId {
        &self.group
    }

    /// The domain that the group is pinned to.
    #[must_use]
    pub fn home(&self) -> &DomainId {
        &self.home
    }

    /// Where a person's wrapped key belongs.
    fn key_place(&self, person: &PersonKey) -> Place {
        Place::row(&self.group, &RowKind::Key.of_person(TENANT, person))
    }

    /// Where the body of a person's command belongs.
    pub(super) fn body_place(&self, person: &PersonKey) -> Place {
        Place::new(&self.group, "person change", person.as_bytes())
    }

    /// Where the body of a person's buffered events belongs.
    pub(crate) fn buffer_place(&self, person: &PersonKey) -> Place {
        Place::new(&self.group, "buffered events", person.as_bytes())
    }

    /// Where the key of the marks of a person's erased ids belongs.
    fn marks_place(&self, person: &PersonKey) -> Place {
        Place::new(&self.group, "erased marks", person.as_bytes())
    }

    /// Where a day's salt and what is sealed under it belong.
    pub(super) fn day_place(&self, day: u32) -> Place {
        Place::new(&self.group, "day", &day.to_be_bytes())
    }

    /// Wraps a person's data key under the current epoch.
    pub(crate) fn wrap_person(
        &self,
        person: &PersonKey,
        key: &DataKey,
    ) -> Result<WrappedKey, SealError> {
        self.ring.wrap(key, &self.key_place(person))
    }

    /// Unwraps a person's data key.
    pub(crate) fn unwrap_person(
        &self,
        person: &PersonKey,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, SealError> {
        self.ring.unwrap_key(wrapped, &self.key_place(person))
    }

    /// Wraps the key of the marks of a person's erased ids under the current epoch.
    pub(super) fn wrap_marks(
        &self,
        person: &PersonKey,
        key: &DataKey,
    ) -> Result<WrappedKey, SealError> {
        self.ring.wrap(key, &self.marks_place(person))
    }

    /// Unwraps the key of the marks of a person's erased ids.
    pub(super) fn unwrap_marks(
        &self,
        person: &PersonKey,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, SealError> {
        self.ring.unwrap_key(wrapped, &self.marks_place(person))
    }

    /// The oldest epoch that this node has a key of: what is wrapped under an older one can't be opened.
    #[must_use]
    pub fn oldest_epoch(&self) -> u32 {
        self.ring.oldest_epoch()
    }

    /// Wraps a day's salt under the current epoch.
    pub(super) fn wrap_day(&self, day: u32, salt: &DataKey) -> Result<WrappedKey, SealError> {
        self.ring.wrap(salt, &self.day_place(day))
    }

    /// Unwraps a day's salt.
    pub(super) fn unwrap_day(&self, day: u32, wrapped: &WrappedKey) -> Result<DataKey, SealError> {
        self.ring.unwrap_key(wrapped, &self.day_place(day))
    }

    /// The wrapped key in a key row.
    pub(super) fn wrapped_in(row: &[u8]) -> Result<WrappedKey, SealError> {
        let row: KeyRow = decode(row)?;
        row.key.ok_or(SealError::Malformed { what: KeyRow::WHAT })
    }

    /// Opens the sealed value of the row under `at`.
    pub(super) fn open<M: Root>(
        &self,
        key: &DataKey,
        at: &[u8],
        value: &[u8],
    ) -> Result<M, SealError> {
        let row: SealedRow = decode(value)?;
        let body = row.body.ok_or(SealError::Malformed { what: SealedRow::WHAT })?;
        decode(&key.open_row(&Place::row(&self.group, at), &body)?)
    }

    /// Seals the value of the row under `at`.
    pub(super) fn seal<M: Root>(
        &self,
        key: &DataKey,
        moment: RowMoment,
        at: &[u8],
        message: &M,
    ) -> Result<Vec<u8>, SealError> {
        let place = Place::row(&self.group, at);
        let body = key.seal_row(moment, &place, &message.encode_to_vec())?;
        Ok(SealedRow { format: FORMAT, body: Some(body) }.encode_to_vec())
    }
}

/// Decodes a row and checks its version.
pub(super) fn decode<M: Root>(bytes: &[u8]) -> Result<M, SealError> {
    let message = M::decode(bytes).map_err(|_| SealError::Malformed { what: M::WHAT })?;
    match message.format() {
        0 => Err(SealError::Malformed { what: M::WHAT }),
        found if found > FORMAT => Err(SealError::Newer { what: M::WHAT, found, known: FORMAT }),
        _ => Ok(message),
    }
}
