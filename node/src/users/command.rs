//! Making commands: everything personal is sealed before it reaches the log.

use std::fmt;
use std::sync::Arc;

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Pinned;
use bailiwick_proto::store::person_body::Change as Body;
use bailiwick_proto::store::users_command::Change;
use bailiwick_proto::store::{
    AggregateBody, AggregateEvent, AggregateEvents, ErasePerson, LinkedEvents, NoteErased,
    PersonBody, PersonChange, SliceNote, UsersCommand, WrappedKey,
};
use bytes::Bytes;
use prost::Message as _;
use ring::rand::SystemRandom;

use super::aggregate::marks;
use super::apply::{read, row_key};
use super::consent::{ConsentPatch, Interests};
use super::counters::{Counting, day_of};
use super::event::{NewEvent, check_events};
use super::facts::Facts;
use super::outcome::Refused;
use super::read::{ReadError, held_key, held_past, held_salt};
use super::schema::FORMAT;
use super::vault::Vault;
use crate::seal::{DataKey, Entropy, PersonKey, SealError, TENANT};
use crate::store::reader::Reader;

/// Why a command could not be made. Nothing was proposed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What is to be stored makes no sense.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The person's key could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Keys are missing, or sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl BuildError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Seal(error) => error.kind(),
        }
    }
}

/// When something was asked for, and when it is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// By the clock of the edge that was asked; 0: unknown.
    pub asked: UnixMillis,
    /// By the clock of whoever proposes.
    pub now: UnixMillis,
}

impl From<UnixMillis> for When {
    fn from(now: UnixMillis) -> Self {
        Self { asked: UnixMillis(0), now }
    }
}

/// A wish to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erase {
    /// The hash of the receipt's id.
    pub receipt: [u8; 32],
    /// The hash of that id and the person's key.
    pub holder: [u8; 32],
    /// They could be learned from until now.
    pub learnable: bool,
}

/// Makes the commands of one group, reading keys and salts at its local replica.
///
/// `now` is the leader's or proposer's clock: nothing that applies a command reads one.
pub struct Builder {
    vault: Arc<Vault>,
    entropy: Box<dyn Entropy>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({})", self.vault.group())
    }
}

impl Builder {
    /// A builder that draws from the system's entropy.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self::with_entropy(vault, Box::new(SystemRandom::new()))
    }

    /// A builder that draws from `entropy`.
    #[must_use]
    pub fn with_entropy(vault: Arc<Vault>, entropy: Box<dyn Entropy>) -> Self {
        Self { vault, entropy }
    }

    /// Changes consent and switches; absent fields stay.
    ///
    /// # Errors
    /// [`BuildError`], here and in the methods below.
    pub fn put_consent(
        &self,
        reader: &Reader,
        person: &PersonKey,
        patch: ConsentPatch,
        now: UnixMillis,
    ) -> Result<Pinned<Bytes>, BuildError> {
        let change = Body::Consent(patch.check()?.to_change());
        let when = When { asked: patch.asked, now };
        self.person(reader, person, change, when)
    }

    /// Replaces the declared interests.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn put_interests(
        &self,
        reader: &Reader,
        person: &PersonKey,
        interests: &Interests,
        when: impl Into<When>,
    ) -> Result<Pinned<Bytes>, BuildError> {
        self.person(reader, person, Body::Interests(interests.to_row()?), when.into())
    }

    /// Records events that are linked to their person, and what their storing was decided from.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn linked_events(
        &self,
        reader: &Reader,
        person: &PersonKey,
        events: &[NewEvent],
        facts: Option<&Facts>,
        counting: Counting,
        when: impl Into<When>,
    ) -> Result<Pinned<Bytes>, BuildError> {
        check_events(events)?;
        let events = events.iter().map(NewEvent::to_row).collect();
        let facts = facts.map(Facts::to_message);
        let uncounted = counting == Counting::Uncounted;
        let change = Body::Events(LinkedEvents { events, facts, uncounted });
        self.person(reader, person, change, when.into())
    }

    /// Notes that `domain` holds a visitor's slice of the person.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn note_slice(
        &self,
        reader: &Reader,
        person: &PersonKey,
        domain: &DomainId,
        now: UnixMillis,
    ) -> Result<Pinned<Bytes>, BuildError> {
        let note = SliceNote { domain: domain.as_str().to_owned() };
        self.person(reader, person, Body::Slice(note), now.into())
    }

    /// Erases everything of the person. Reads nothing: whatever is there when it is applied goes.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn erase(
        &self,
        person: &PersonKey,
        erase: &Erase,
        when: impl Into<When>,
    ) -> Result<Pinned<Bytes>, BuildError> {
        let When { asked, now } = when.into();
        let marks = DataKey::generate(self.entropy.as_ref())?;
        let change = ErasePerson {
            row_key: person.as_bytes().to_vec(),
            receipt: erase.receipt.to_vec(),
            holder: erase.holder.to_vec(),
            asked_ms: asked.0,
            marks: Some(self.vault.wrap_marks(person, &marks)?),
            learnable: erase.learnable,
        };
        Ok(self.command(Change::Erase(change), now))
    }

    /// Notes that `domain` has erased its slice of whom the receipt is of.
    #[must_use]
    pub fn note_erased(
        &self,
        receipt: &[u8; 32],
        domain: &DomainId,
        now: UnixMillis,
    ) -> Pinned<Bytes> {
        let change = NoteErased { receipt: receipt.to_vec(), domain: domain.as_str().to_owned() };
        self.command(Change::Erased(change), now)
    }

    /// Counts events without a link to their person. Without events it only opens the day of `now`,
    /// which destroys the salt of the day before. Events of a life that was erased are left out.
    ///
    /// The outcome may be a refusal of code `Salt`: another command opened the day first, or the
    /// local replica was behind. Then build it anew once the replica has caught up.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn aggregate_events(
        &self,
        reader: &Reader,
        person: &PersonKey,
        events: &[NewEvent],
        counting: Counting,
        when: impl Into<When>,
    ) -> Result<Pinned<Bytes>, BuildError> {
        let When { asked, now } = when.into();
        check_events(events)?;
        let past = held_past(reader, &self.vault, person, now)?;
        let has = |key: &[u8]| reader.get(key).is_ok_and(|row| row.is_some());
        let over = |event: &NewEvent| past.was_over_since(asked) || past.holds(event, has);
        let day = day_of(now).ok_or_else(|| Refused::malformed("the time is before 1970"))?;
        let (salt, wrapped) = self.salt(reader, day)?;
        let living = events.iter().filter(|event| !over(event));
        let events = living.map(|event| aggregated(&salt, person, event, counting)).collect();
        let plain = AggregateBody { events }.encode_to_vec();
        let place = self.vault.day_place(day);
        let body = salt.seal_body(self.entropy.as_ref(), &place, &plain)?;
        let change = AggregateEvents { day, salt: Some(wrapped), body: Some(body) };
        Ok(self.command(Change::Aggregate(change), now))
    }

    fn person(
        &self,
        reader: &Reader,
        person: &PersonKey,
        change: Body,
        when: When,
    ) -> Result<Pinned<Bytes>, BuildError> {
        // INVARIANT: the life is read before the key. An erasure between the two leaves a command of the old life,
        // which is refused; the other way round it would carry the old key into the new one.
        let life = held_past(reader, &self.vault, person, when.now)?.life();
        let (key, wrapped) = self.key(reader, person)?;
        let plain = PersonBody { change: Some(change) }.encode_to_vec();
        let place = self.vault.body_place(person);
        let body = key.seal_body(self.entropy.as_ref(), &place, &plain)?;
        let change = PersonChange {
            row_key: person.as_bytes().to_vec(),
            key: Some(wrapped),
            body: Some(body),
            life,
            asked_ms: when.asked.0,
        };
        Ok(self.command(Change::Person(change), when.now))
    }

    /// The person's data key, or a fresh one for somebody new.
    fn key(
        &self,
        reader: &Reader,
        person: &PersonKey,
    ) -> Result<(DataKey, WrappedKey), BuildError> {
        if let Some(wrapped) = held_key(reader, person)? {
            return Ok((self.vault.unwrap_person(person, &wrapped)?, wrapped));
        }
        let key = DataKey::generate(self.entropy.as_ref())?;
        let wrapped = self.vault.wrap_person(person, &key)?;
        Ok((key, wrapped))
    }

    fn salt(&self, reader: &Reader, day: u32) -> Result<(DataKey, WrappedKey), BuildError> {
        let held = held_salt(reader)?.filter(|row| row.day == day);
        if let Some(wrapped) = held.and_then(|row| row.salt) {
            return Ok((self.vault.unwrap_day(day, &wrapped)?, wrapped));
        }
        let salt = DataKey::generate(self.entropy.as_ref())?;
        let wrapped = self.vault.wrap_day(day, &salt)?;
        Ok((salt, wrapped))
    }

    fn command(&self, change: Change, now: UnixMillis) -> Pinned<Bytes> {
        let command =
            UsersCommand { format: FORMAT, at_ms: now.0, tenant: TENANT, change: Some(change) };
        Pinned::new(self.vault.home().clone(), command.encode_to_vec().into())
    }
}

fn aggregated(
    salt: &DataKey,
    person: &PersonKey,
    event: &NewEvent,
    counting: Counting,
) -> AggregateEvent {
    let (item, id) = (event.item.as_str(), event.id.as_str());
    let [person_mark, event_mark] = marks(salt, person.as_bytes(), item, id);
    AggregateEvent {
        item: item.to_owned(),
        weight: if event.counts() && counting == Counting::Counted { 1.0 } else { 0.0 },
        person_mark: person_mark.to_vec(),
        event_mark: event_mark.to_vec(),
    }
}

/// Checks a command before it is proposed: well-formed, of this version, and under keys that this
/// node has. A leader that lets a command under an unknown key into the log would stop every replica
/// that lacks the key.
///
/// # Errors
/// [`BuildError`].
pub fn admit(vault: &Vault, command: &[u8]) -> Result<(), BuildError> {
    match read(command)?.change {
        Some(Change::Person(change)) => {
            let person = row_key(&change.row_key)?;
            let key = change.key.ok_or_else(|| Refused::malformed("there is no key"))?;
            vault.unwrap_person(&person, &key)?;
        }
        Some(Change::Aggregate(change)) => {
            let salt = change.salt.ok_or_else(|| Refused::malformed("there is no salt"))?;
            vault.unwrap_day(change.day, &salt)?;
        }
        Some(Change::Erase(change)) => {
            let person = super::erase::check(&change)?;
            let marks = change.marks.ok_or_else(|| Refused::malformed("there is no key"))?;
            vault.unwrap_marks(&person, &marks)?;
        }
        Some(Change::Erased(_)) => {}
        None => return Err(Refused::malformed("the command is empty").into()),
    }
    Ok(())
}
