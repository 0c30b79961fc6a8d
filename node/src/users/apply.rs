//! One command, from its bytes to the rows it writes.

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_proto::store::person_body::Change as Body;
use bailiwick_proto::store::users_command::Change;
use bailiwick_proto::store::{
    ConsentChange, ConsentRow, InterestsRow, KeyRow, LinkedEvents, PersonBody, PersonChange,
    SliceNote, SlicesRow, UsersCommand, WrappedKey,
};
use prost::Message as _;

use super::consent::{ConsentPatch, ConsentState, Interests};
use super::draft::{Draft, Writes};
use super::outcome::{Applied, Refused, Stop};
use super::past::{Past, tombstone_key};
use super::schema::{FORMAT, RowKind};
use super::vault::Vault;
use super::{aggregate, erase, linked};
use crate::raft::machine::{AppliedAt, View};
use crate::seal::{DataKey, PersonKey, TENANT};

/// Domains that may hold a slice of one person.
const SLICES_MAX: usize = 256;

/// Reads a command and checks that this version and tenant know it.
pub(crate) fn read(command: &[u8]) -> Result<UsersCommand, Refused> {
    let command = UsersCommand::decode(command)
        .map_err(|_| Refused::malformed("the command could not be read"))?;
    match command.format {
        0 => Err(Refused::malformed("the command has no format")),
        found if found > FORMAT => Err(Refused::newer(found, FORMAT)),
        _ if command.tenant != TENANT => {
            Err(Refused::malformed(format!("tenant {} is not known", command.tenant)))
        }
        _ if command.at_ms < 0 => Err(Refused::malformed("the command's time is before 1970")),
        _ => Ok(command),
    }
}

/// Works out what a command writes and answers. Pure but for reading rows.
pub(super) fn apply(
    vault: &Vault,
    at: AppliedAt,
    command: &[u8],
    view: &View<'_>,
) -> Result<(Writes, Applied), Stop> {
    let command = read(command)?;
    let now = UnixMillis(command.at_ms);
    let mut draft = Draft::new(vault, view, at);
    let applied = match command.change {
        Some(Change::Person(change)) => change_person(&mut draft, &change, now),
        Some(Change::Aggregate(change)) => aggregate::apply(&mut draft, &change, now),
        Some(Change::Erase(change)) => erase::apply(&mut draft, &change, now),
        Some(Change::Erased(change)) => erase::note(&mut draft, &change, now),
        None => Err(Refused::malformed("the command is empty").into()),
    }?;
    Ok((draft.finish(), applied))
}

fn change_person(
    draft: &mut Draft<'_, '_>,
    change: &PersonChange,
    now: UnixMillis,
) -> Result<Applied, Stop> {
    let person = row_key(&change.row_key)?;
    let past = Past::open(draft.vault, &person, draft.get_plain(&tombstone_key(&person))?, now)?;
    past.lets_in(change)?;
    let (offer, body) = unseal(draft.vault, &person, change)?;
    let asked = UnixMillis(change.asked_ms);
    let missing = || Stop::from(Refused::malformed("the change is empty"));
    let body = body.change.ok_or_else(missing)?;
    if let Body::Events(events) = &body {
        return record(draft, &person, offer, events, (&past, asked, now));
    }
    past.heeds(asked)?;
    let key = offer.take(draft, &person)?;
    match body {
        Body::Consent(change) => put_consent(draft, &person, &key, &change, now),
        Body::Interests(row) => put_interests(draft, &person, &key, row),
        Body::Slice(note) => note_slice(draft, &person, &key, &note),
        Body::Events(_) => Ok(Applied::default()),
    }
}

pub(super) fn row_key(bytes: &[u8]) -> Result<PersonKey, Refused> {
    let bytes: Result<[u8; 32], _> = bytes.try_into();
    bytes.map(PersonKey::from_bytes).map_err(|_| Refused::malformed("a row key has 32 bytes"))
}

/// The key that a command comes with.
struct Offer {
    wrapped: WrappedKey,
    key: DataKey,
}

impl Offer {
    /// The data key that the person's rows are sealed under: the one they have, or, where they have none, the
    /// command's, which becomes theirs.
    fn take(self, draft: &mut Draft<'_, '_>, person: &PersonKey) -> Result<DataKey, Stop> {
        let at = RowKind::Key.of_person(TENANT, person);
        let held = draft.get(&at).map(|row| Vault::wrapped_in(&row)).transpose()?;
        match held {
            Some(held) if held == self.wrapped => {}
            Some(held) => return Ok(draft.vault.unwrap_person(person, &held)?),
            None => {
                draft.put_plain(at, &KeyRow { format: FORMAT, key: Some(self.wrapped) })?;
            }
        }
        Ok(self.key)
    }
}

/// Opens the body.
fn unseal(
    vault: &Vault,
    person: &PersonKey,
    change: &PersonChange,
) -> Result<(Offer, PersonBody), Stop> {
    let wrapped = change.key.clone().ok_or_else(|| Refused::malformed("there is no key"))?;
    let sealed = change.body.as_ref().ok_or_else(|| Refused::malformed("there is no body"))?;
    let key = vault.unwrap_person(person, &wrapped)?;
    let plain = key.open_body(&vault.body_place(person), sealed)?;
    let body = PersonBody::decode(plain.as_slice())
        .map_err(|_| Refused::malformed("the body could not be read"))?;
    Ok((Offer { wrapped, key }, body))
}

/// Records those of the events that are of the person's life as it is.
fn record(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    offer: Offer,
    events: &LinkedEvents,
    (past, asked, now): (&Past, UnixMillis, UnixMillis),
) -> Result<Applied, Stop> {
    let read = linked::read(events, now)?;
    let sent = read.len();
    let living = linked::living(draft, past, read, asked)?;
    let over = u32::try_from(sent.saturating_sub(living.len())).unwrap_or(u32::MAX);
    // Nobody begins anew by what they did in a life that is over.
    if living.is_empty() && over > 0 {
        return Ok(Applied { past: over, ..Applied::default() });
    }
    let key = offer.take(draft, person)?;
    let said = (events.facts.as_ref(), events.uncounted);
    let applied = linked::apply(draft, person, &key, &living, said, now)?;
    Ok(Applied { past: over, ..applied })
}

fn put_consent(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    change: &ConsentChange,
    now: UnixMillis,
) -> Result<Applied, Stop> {
    let patch = ConsentPatch::of(change)?;
    let at = RowKind::Consent.of_person(TENANT, person);
    let row: Option<ConsentRow> = draft.get_sealed(key, &at)?;
    let before = row.as_ref().map(ConsentState::of).transpose();
    let before = before.map_err(|error| Refused::malformed(error.to_string()))?;
    let before = before.unwrap_or_default();
    let after = before.patched(&patch, draft.log_index(), now)?;
    if after != before {
        draft.put_sealed(key, at, &after.to_row())?;
    }
    Ok(Applied { consent: Some(after), ..Applied::default() })
}

fn put_interests(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    row: InterestsRow,
) -> Result<Applied, Stop> {
    let row = Interests::from(row).to_row()?;
    draft.put_sealed(key, RowKind::Interests.of_person(TENANT, person), &row)?;
    Ok(Applied::default())
}

/// Remembers, once, that a domain holds a slice of the person.
fn note_slice(
    draft: &mut Draft<'_, '_>,
    person: &PersonKey,
    key: &DataKey,
    note: &SliceNote,
) -> Result<Applied, Stop> {
    let domain = DomainId::new(note.domain.as_str())
        .map_err(|error| Refused::malformed(error.to_string()))?;
    if domain == *draft.vault.home() {
        return Err(Refused::malformed("a slice lies in another domain than home").into());
    }
    let at = RowKind::Slices.of_person(TENANT, person);
    let mut row: SlicesRow = draft.get_sealed(key, &at)?.unwrap_or_default();
    if row.domains.contains(&note.domain) {
        return Ok(Applied::default());
    }
    row.format = FORMAT;
    row.domains.push(note.domain.clone());
    row.domains.sort();
    if row.domains.len() > SLICES_MAX {
        return Err(Refused::full(format!("over {SLICES_MAX} domains hold a slice")).into());
    }
    draft.put_sealed(key, at, &row)?;
    Ok(Applied::default())
}
