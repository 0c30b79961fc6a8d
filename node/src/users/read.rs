//! Reading a person at a local replica. What comes out is pinned.

use bailiwick_core::ids::{DomainId, EventId, IdError, ItemId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Pinned;
use bailiwick_core::policy::WordError;
use bailiwick_proto::store::{
    self, BlocksRow, ConsentRow, ErasedLearning, ErasureRow, EventRow, FactsRow, InterestsRow,
    ProfileRow, SaltRow, SlicesRow, WrappedKey,
};
use bytes::Bytes;

use super::consent::{ConsentState, Interests};
use super::erase::receipt_key;
use super::event::NewEvent;
use super::facts::Facts;
use super::outcome::Refused;
use super::past::{self, Past, tombstone_key};
use super::schema::{Root, RowKind};
use super::vault::{Vault, decode};
use crate::seal::{DataKey, PersonKey, SealError, TENANT};
use crate::store::StoreError;
use crate::store::reader::Reader;

/// Rows read at once.
const PAGE: usize = 1024;

/// Why a person could not be read. It is never taken for "there is nothing".
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row could not be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A row holds a word that this version doesn't know.
    #[error("a stored choice is not understood: {0}")]
    Word(#[from] WordError),
    /// A row holds a name that is not valid.
    #[error("a stored name is not valid: {0}")]
    Name(#[from] IdError),
    /// A stored event makes no sense.
    #[error("a stored event is not understood: {0}")]
    Event(#[from] Refused),
}

impl ReadError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Word(_) | Self::Name(_) | Self::Event(_) => Kind::Broken,
        }
    }
}

/// One entry of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// The item.
    pub item: ItemId,
    /// -1 to 1.
    pub weight: f32,
    /// When.
    pub at: UnixMillis,
    /// The kind of event it came from.
    pub kind: String,
}

/// What recommending reads of a person, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// Explicit opinions: rate, like, dislike, follow, block.
    pub explicit: Vec<Interaction>,
    /// Observed behaviour: view, play, purchase.
    pub behaviour: Vec<Interaction>,
    /// Items that newer ones have pushed out of both.
    pub older: Vec<ItemId>,
}

/// An item that is never to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The item.
    pub item: ItemId,
    /// Since when.
    pub at: UnixMillis,
}

/// A person, as the group knows them. Comes pinned, and so does not show in logs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Person {
    /// Consent and switches.
    pub consent: ConsentState,
    /// Declared interests.
    pub interests: Interests,
    /// What recommending reads.
    pub profile: Profile,
    /// Domains that hold a visitor's slice.
    pub slices: Vec<DomainId>,
    /// Items never to be shown, newest first.
    pub blocked: Vec<Block>,
}

/// What learning reads of a person. Comes pinned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnable {
    /// Consent and switches.
    pub consent: ConsentState,
    /// What the app last said of them.
    pub facts: Facts,
    /// What they liked and did.
    pub profile: Profile,
}

/// The keys of all whom the group knows, after the key `after`, in their order; at most `limit`.
///
/// # Errors
/// [`ReadError`].
pub fn people(
    reader: &Reader,
    after: Option<&PersonKey>,
    limit: usize,
) -> Result<Vec<PersonKey>, ReadError> {
    let prefix = RowKind::Key.key(TENANT, &[]);
    let after = after.map(|person| RowKind::Key.of_person(TENANT, person));
    let rows = reader.scan_prefix(&prefix, after.as_deref(), limit)?;
    let key = |row: &crate::store::rows::Row| {
        row.key.get(prefix.len()..)?.try_into().ok().map(PersonKey::from_bytes)
    };
    Ok(rows.iter().filter_map(key).collect())
}

/// What learning reads of a person; none of somebody unknown, or of whom no app said what decides it.
///
/// # Errors
/// [`ReadError`]: what could not be read is not taken for absent.
pub fn learnable(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
) -> Result<Option<Pinned<Learnable>>, ReadError> {
    let Some(rows) = Rows::open(reader, vault, person)? else { return Ok(None) };
    let Some(facts) = rows.facts()? else { return Ok(None) };
    let profile = rows.one::<ProfileRow>(RowKind::Profile)?.unwrap_or_default().try_into()?;
    let found = Learnable { consent: rows.consent()?, facts, profile };
    Ok(Some(Pinned::new(vault.home().clone(), found)))
}

/// What the app last said of the person; none where it said nothing.
///
/// # Errors
/// [`ReadError`].
pub fn facts(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
) -> Result<Option<Pinned<Facts>>, ReadError> {
    let Some(rows) = Rows::open(reader, vault, person)? else { return Ok(None) };
    Ok(rows.facts()?.map(|facts| Pinned::new(vault.home().clone(), facts)))
}

/// The person's rows; none when the group knows nobody under that key.
///
/// # Errors
/// [`ReadError`]: what could not be read is not taken for absent.
pub fn person(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
) -> Result<Option<Pinned<Person>>, ReadError> {
    let Some(rows) = Rows::open(reader, vault, person)? else { return Ok(None) };
    let found = Person {
        consent: rows.consent()?,
        interests: rows.one::<InterestsRow>(RowKind::Interests)?.unwrap_or_default().into(),
        profile: rows.one::<ProfileRow>(RowKind::Profile)?.unwrap_or_default().try_into()?,
        slices: rows.slices()?,
        blocked: rows.blocked()?,
    };
    Ok(Some(Pinned::new(vault.home().clone(), found)))
}

/// The person's consent and switches alone; the default for somebody unknown.
///
/// # Errors
/// [`ReadError`]: what could not be read is not taken for absent.
pub fn consent(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
) -> Result<ConsentState, ReadError> {
    Rows::open(reader, vault, person)?.map_or_else(|| Ok(ConsentState::default()), |r| r.consent())
}

/// Every event kept of the person, oldest first.
///
/// # Errors
/// [`ReadError`].
pub fn events(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
) -> Result<Pinned<Vec<NewEvent>>, ReadError> {
    let mut found = Vec::new();
    if let Some(rows) = Rows::open(reader, vault, person)? {
        for (key, value) in rows.all(RowKind::Event)? {
            found.push(NewEvent::of(&vault.open::<EventRow>(&rows.key, &key, &value)?)?);
        }
    }
    found.sort_by(|a, b| (a.at, a.id.as_str()).cmp(&(b.at, b.id.as_str())));
    Ok(Pinned::new(vault.home().clone(), found))
}

/// The person's wrapped data key, where there is one.
pub(super) fn held_key(
    reader: &Reader,
    person: &PersonKey,
) -> Result<Option<WrappedKey>, ReadError> {
    let row = reader.get(&RowKind::Key.of_person(TENANT, person))?;
    Ok(row.map(|row| Vault::wrapped_in(&row)).transpose()?)
}

/// What is left of lives of the person that were erased.
pub(super) fn held_past(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
    now: UnixMillis,
) -> Result<Past, ReadError> {
    let row = reader.get(&tombstone_key(person))?;
    let row = row.map(|row| decode(&row)).transpose()?;
    Ok(Past::open(vault, person, row, now)?)
}

/// What became of an erasure. Names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// When it was asked for.
    pub asked: UnixMillis,
    /// When it was applied, by the leader's clock.
    pub erased: UnixMillis,
    /// Where it stands in the group's log.
    pub log_index: u64,
    /// The newest epoch that a wrapping of the person's data key may be under.
    pub epoch: u32,
    /// Other domains that held a slice, and when they erased it.
    pub slices: Vec<(DomainId, Option<UnixMillis>)>,
    /// Whose it is: the hash of the receipt's id and the person's key.
    pub holder: Vec<u8>,
}

/// The erasure with a receipt's hash; none when the group knows none.
///
/// # Errors
/// [`ReadError`].
pub fn erasure(reader: &Reader, receipt: &[u8; 32]) -> Result<Option<Erasure>, ReadError> {
    let Some(row) = reader.get(&receipt_key(receipt))? else { return Ok(None) };
    let row: ErasureRow = decode(&row)?;
    let slice = |slice: store::SliceErasure| {
        let erased = Some(UnixMillis(slice.erased_ms)).filter(|at| at.0 > 0);
        Ok::<_, IdError>((DomainId::new(slice.domain)?, erased))
    };
    Ok(Some(Erasure {
        asked: UnixMillis(row.asked_ms),
        erased: UnixMillis(row.erased_ms),
        log_index: row.log_index,
        epoch: row.epoch,
        slices: row.slices.into_iter().map(slice).collect::<Result<_, _>>()?,
        holder: row.holder,
    }))
}

/// How many people of the group were erased since a moment who may have been in sums of learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// They could be learned from when they asked for it.
    pub learned: u32,
    /// They took something, but were not to be learned from when they asked.
    pub perhaps: u32,
}

/// Counts the erasures since a moment.
///
/// # Errors
/// [`ReadError`].
pub fn erased_since(reader: &Reader, since: UnixMillis) -> Result<Erased, ReadError> {
    let mut found = Erased::default();
    for (_, value) in all_under(reader, &RowKind::Erasure.key(TENANT, &[]))? {
        let row: ErasureRow = decode(&value)?;
        let count = match row.learning() {
            _ if row.erased_ms <= since.0 => continue,
            ErasedLearning::No => continue,
            ErasedLearning::Perhaps => &mut found.perhaps,
            ErasedLearning::Yes => &mut found.learned,
        };
        *count = count.saturating_add(1);
    }
    Ok(found)
}

/// Whether the marks of somebody who was erased then are gone with their days.
///
/// # Errors
/// [`ReadError`].
pub fn unmarked(reader: &Reader, erased: UnixMillis) -> Result<bool, ReadError> {
    Ok(held_salt(reader)?.is_none_or(|row| past::unmarked(row.day, erased)))
}

/// Every row under a prefix.
fn all_under(reader: &Reader, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
    let mut found: Vec<(Bytes, Bytes)> = Vec::new();
    loop {
        let after = found.last().map(|(key, _)| key.clone());
        let page = reader.scan_prefix(prefix, after.as_deref(), PAGE)?;
        let last_page = page.len() < PAGE;
        found.extend(page.into_iter().map(|row| (row.key, row.value)));
        if last_page {
            return Ok(found);
        }
    }
}

/// The newest day with a salt, and the salt as it is wrapped.
pub(super) fn held_salt(reader: &Reader) -> Result<Option<SaltRow>, ReadError> {
    let row = reader.get(&RowKind::Salt.key(TENANT, &[]))?;
    Ok(row.map(|row| decode(&row)).transpose()?)
}

/// Whether an event of the person is stored already.
///
/// # Errors
/// [`ReadError`].
pub fn has_event(
    reader: &Reader,
    vault: &Vault,
    person: &PersonKey,
    event: &EventId,
) -> Result<bool, ReadError> {
    let Some(rows) = Rows::open(reader, vault, person)? else { return Ok(false) };
    let id = rows.key.mark("event", &[event.as_str().as_bytes()]);
    Ok(reader.get(&RowKind::Event.key(TENANT, &[person.as_bytes(), &id]))?.is_some())
}

/// One person's rows with the key that opens them.
struct Rows<'a> {
    reader: &'a Reader,
    vault: &'a Vault,
    person: PersonKey,
    key: DataKey,
}

impl<'a> Rows<'a> {
    fn open(
        reader: &'a Reader,
        vault: &'a Vault,
        person: &PersonKey,
    ) -> Result<Option<Self>, ReadError> {
        let Some(wrapped) = held_key(reader, person)? else { return Ok(None) };
        let key = vault.unwrap_person(person, &wrapped)?;
        Ok(Some(Self { reader, vault, person: *person, key }))
    }

    fn one<M: Root>(&self, kind: RowKind) -> Result<Option<M>, ReadError> {
        let at = kind.of_person(TENANT, &self.person);
        let value = self.reader.get(&at)?;
        Ok(value.map(|value| self.vault.open(&self.key, &at, &value)).transpose()?)
    }

    fn all(&self, kind: RowKind) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        all_under(self.reader, &kind.of_person(TENANT, &self.person))
    }

    fn consent(&self) -> Result<ConsentState, ReadError> {
        let row: Option<ConsentRow> = self.one(RowKind::Consent)?;
        Ok(row.as_ref().map(ConsentState::of).transpose()?.unwrap_or_default())
    }

    fn facts(&self) -> Result<Option<Facts>, ReadError> {
        let row: Option<FactsRow> = self.one(RowKind::Facts)?;
        row.and_then(|row| row.facts).as_ref().map(Facts::of).transpose()
    }

    fn slices(&self) -> Result<Vec<DomainId>, ReadError> {
        let row: SlicesRow = self.one(RowKind::Slices)?.unwrap_or_default();
        Ok(row.domains.into_iter().map(DomainId::new).collect::<Result<_, _>>()?)
    }

    fn blocked(&self) -> Result<Vec<Block>, ReadError> {
        let mut found = Vec::new();
        for (key, value) in self.all(RowKind::Blocks)? {
            let row: BlocksRow = self.vault.open(&self.key, &key, &value)?;
            for block in row.blocks {
                found.push(Block { item: ItemId::new(block.item)?, at: UnixMillis(block.at_ms) });
            }
        }
        found.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.item.cmp(&b.item)));
        Ok(found)
    }
}

impl TryFrom<ProfileRow> for Profile {
    type Error = IdError;

    fn try_from(row: ProfileRow) -> Result<Self, IdError> {
        let part = |entries: Vec<store::Interaction>| {
            entries.into_iter().map(Interaction::try_from).collect::<Result<Vec<_>, _>>()
        };
        let older = row.older.into_iter().map(ItemId::new).collect::<Result<_, _>>()?;
        Ok(Self { explicit: part(row.explicit)?, behaviour: part(row.behaviour)?, older })
    }
}

impl TryFrom<store::Interaction> for Interaction {
    type Error = IdError;

    fn try_from(entry: store::Interaction) -> Result<Self, IdError> {
        Ok(Self {
            item: ItemId::new(entry.item)?,
            weight: entry.weight,
            at: UnixMillis(entry.at_ms),
            kind: entry.kind,
        })
    }
}
