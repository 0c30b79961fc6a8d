//! Erasing a person: every row of theirs goes, and what they added to counters is taken back.

use std::collections::BTreeSet;

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::limits;
use bailiwick_proto::store::{
    ConsentRow, ErasePerson, ErasedLearning, ErasureRow, EventRow, FactsRow, NoteErased,
    ProfileRow, SliceErasure, SlicesRow,
};

use super::apply::row_key;
use super::counters::{day_of, uncount};
use super::draft::Draft;
use super::event::NewEvent;
use super::linked::touch_key;
use super::outcome::{Applied, Refused, Stop};
use super::past::{Past, Tombstone, tombstone_key};
use super::schema::{FORMAT, Root, RowKind};
use super::vault::Vault;
use crate::seal::{DataKey, PersonKey, SealError, TENANT};

/// Bytes of the hashes in a command.
const HASH_BYTES: usize = 32;

/// The key of a receipt's row, by the hash of its id.
pub(super) fn receipt_key(receipt: &[u8]) -> Vec<u8> {
    RowKind::Erasure.key(TENANT, &[receipt])
}

/// Checks the parts of a command that have a length.
pub(super) fn check(change: &ErasePerson) -> Result<PersonKey, Refused> {
    if change.receipt.len() != HASH_BYTES || change.holder.len() != HASH_BYTES {
        return Err(Refused::malformed(format!("a receipt's hash has {HASH_BYTES} bytes")));
    }
    row_key(&change.row_key)
}

/// Erases everything of a person. The same command again changes nothing.
pub(super) fn apply(
    draft: &mut Draft<'_, '_>,
    change: &ErasePerson,
    now: UnixMillis,
) -> Result<Applied, Stop> {
    let person = check(change)?;
    let receipt = receipt_key(&change.receipt);
    if draft.has(&receipt) {
        return Ok(Applied::default());
    }
    let marks = change.marks.as_ref().ok_or_else(|| Refused::malformed("there is no key"))?;
    // As with consent, an edge whose clock is ahead must not shut out for long what others are asked after it. But what
    // this edge was asked before must not pass because the leader's clock is behind, as far as clocks may differ.
    let latest = now.plus(limits::CLOCK_SKEW_MS_MAX);
    let asked = if change.asked_ms == 0 { now } else { latest.min(UnixMillis(change.asked_ms)) };
    let before = Past::open(draft.vault, &person, draft.get_plain(&tombstone_key(&person))?, now)?;
    before.heeds(asked)?;
    let life = draft.log_index();
    let tombstone = Tombstone::new(draft.vault, &person, (asked, now), life, marks)?;
    let mut row = ErasureRow {
        format: FORMAT,
        asked_ms: asked.0,
        erased_ms: now.0,
        log_index: life,
        epoch: marks.epoch,
        holder: change.holder.clone(),
        ..ErasureRow::default()
    };
    if let Some(wrapped) = draft.get(&RowKind::Key.of_person(TENANT, &person)) {
        let wrapped = Vault::wrapped_in(&wrapped)?;
        row.epoch = row.epoch.max(wrapped.epoch);
        let life = Life { person, key: draft.vault.unwrap_person(&person, &wrapped)? };
        life.refuse_if_chosen_after(draft, asked)?;
        row.learning = life.learning(draft, change.learnable)?.into();
        row.slices = life.slices(draft)?;
        life.take_back(draft, &tombstone)?;
    }
    for kind in RowKind::ALL.into_iter().filter(|kind| kind.goes_with_its_person()) {
        draft.delete_all(&kind.of_person(TENANT, &person));
    }
    draft.put_plain(tombstone_key(&person), tombstone.row())?;
    draft.put_plain(receipt, &row)?;
    Ok(Applied::default())
}

/// What there is of a person before it goes.
struct Life {
    person: PersonKey,
    key: DataKey,
}

impl Life {
    fn one<M: Root>(&self, draft: &Draft<'_, '_>, kind: RowKind) -> Result<Option<M>, Stop> {
        let value = draft.get(&kind.of_person(TENANT, &self.person));
        let at = kind.of_person(TENANT, &self.person);
        let opened = value.map(|value| readable(draft.vault.open(&self.key, &at, &value)));
        Ok(opened.transpose()?.flatten())
    }

    /// A wish to be erased that was held up must not undo what they chose after it.
    fn refuse_if_chosen_after(&self, draft: &Draft<'_, '_>, asked: UnixMillis) -> Result<(), Stop> {
        match self.one::<ConsentRow>(draft, RowKind::Consent)? {
            Some(consent) if asked.0 < consent.asked_ms => Err(Refused::late().into()),
            _ => Ok(()),
        }
    }

    /// Whether sums of learning may hold something of them. Whoever took nothing, or of whom no app said what decides
    /// it, was in none.
    fn learning(&self, draft: &Draft<'_, '_>, learnable: bool) -> Result<ErasedLearning, Stop> {
        let facts = self.one::<FactsRow>(draft, RowKind::Facts)?;
        let profile = self.one::<ProfileRow>(draft, RowKind::Profile)?.unwrap_or_default();
        let took = !profile.explicit.is_empty() || !profile.behaviour.is_empty();
        Ok(match (facts.is_some() && took, learnable) {
            (false, _) => ErasedLearning::No,
            (true, false) => ErasedLearning::Perhaps,
            (true, true) => ErasedLearning::Yes,
        })
    }

    fn slices(&self, draft: &Draft<'_, '_>) -> Result<Vec<SliceErasure>, Stop> {
        let row = self.one::<SlicesRow>(draft, RowKind::Slices)?.unwrap_or_default();
        let pending = |domain| SliceErasure { domain, erased_ms: 0 };
        Ok(row.domains.into_iter().map(pending).collect())
    }

    /// Takes the person out of the counters of items, and marks the ids of what they did lately.
    fn take_back(&self, draft: &mut Draft<'_, '_>, tombstone: &Tombstone) -> Result<(), Stop> {
        let touches = draft.stored(&RowKind::Touch.of_person(TENANT, &self.person));
        let mut touches: BTreeSet<Vec<u8>> = touches.iter().map(|row| row.key.to_vec()).collect();
        for (event, counted_day) in self.events(draft)? {
            if let Some(mark) = tombstone.mark(&event) {
                draft.put(mark, Vec::new())?;
            }
            let counted =
                event.counts() && touches.remove(&touch_key(&self.person, &self.key, &event));
            // Rows of earlier builds do not say on which day they counted: the first one did, when it happened.
            if let Some(day) = counted_day.or_else(|| day_of(event.at)).filter(|_| counted) {
                uncount(draft, &event.item, day)?;
            }
        }
        Ok(())
    }

    /// The person's events with the days on which they counted: first those that say so, then the oldest.
    fn events(&self, draft: &Draft<'_, '_>) -> Result<Vec<(NewEvent, Option<u32>)>, Stop> {
        let mut found = Vec::new();
        for stored in draft.stored(&RowKind::Event.of_person(TENANT, &self.person)) {
            let opened = draft.vault.open::<EventRow>(&self.key, &stored.key, &stored.value);
            let Some(row) = readable(opened)? else { continue };
            // What this build does not understand is erased all the same.
            if let Ok(event) = NewEvent::of(&row) {
                found.push((event, row.counted_day));
            }
        }
        found.sort_by(|(a, day_a), (b, day_b)| {
            let order = |event: &NewEvent, day: &Option<u32>| (day.is_none(), event.at);
            order(a, day_a).cmp(&order(b, day_b)).then_with(|| a.id.as_str().cmp(b.id.as_str()))
        });
        Ok(found)
    }
}

/// A row that is damaged is damaged on every replica, and no reason to keep the person; one whose key is missing here
/// is.
fn readable<T>(opened: Result<T, SealError>) -> Result<Option<T>, Stop> {
    match opened {
        Err(error) if error.is_local() => Err(error.into()),
        opened => Ok(opened.ok()),
    }
}

/// Notes that another domain has erased its slice.
pub(super) fn note(
    draft: &mut Draft<'_, '_>,
    change: &NoteErased,
    now: UnixMillis,
) -> Result<Applied, Stop> {
    DomainId::new(change.domain.as_str()).map_err(|e| Refused::malformed(e.to_string()))?;
    let at = receipt_key(&change.receipt);
    let row: Option<ErasureRow> = draft.get_plain(&at)?;
    let mut row = row.ok_or_else(|| Refused::malformed("there is no such erasure"))?;
    let slice = row.slices.iter_mut().find(|s| s.domain == change.domain && s.erased_ms == 0);
    if let Some(slice) = slice {
        slice.erased_ms = now.0;
        draft.put_plain(at, &row)?;
    }
    Ok(Applied::default())
}
