//! Whom a domain learns from, and what: read at home, and pinned to it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::{ItemId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Interactions, LearningError};
use bailiwick_core::pinned::{PinRefusal, Pinned, Standpoint};
use bailiwick_core::policy::{ADULT, Applicable, EventStore, decide_under};

use super::ItemOrder;
use crate::files::sha256_of;
use crate::seal::PersonKey;
use crate::store::reader::Reader;
use crate::users::read::{self, Erased, ReadError};
use crate::users::{Learnable, Profile, Vault};

/// People read at once.
const PAGE: usize = 1024;

/// Why people could not be read. It is never taken for "there is nobody".
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A row could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rows are another domain's.
    #[error(transparent)]
    Pin(#[from] PinRefusal),
    /// An item's number is none of the run's.
    #[error(transparent)]
    Learning(#[from] LearningError),
}

impl PeopleError {
    /// What a caller may conclude.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Pin(_) => Kind::Refused,
            Self::Learning(error) => error.kind(),
        }
    }
}

/// One users group's rows, and what opens them.
#[derive(Clone)]
pub struct Rows {
    /// The rows, as this replica has them.
    pub reader: Reader,
    /// Opens them.
    pub vault: std::sync::Arc<Vault>,
}

/// Whether a person may be learned from as things stand: an adult whose events would be linked to them here,
/// at home, by the packs in force and their own choices. Of others' events nothing is used, also not of those
/// that were stored while they might be. Where a pack bounds what sums may tell of a person, `told` of them by all
/// sums together must be within the bound; none means that nothing bounds it.
#[must_use]
pub fn permitted(
    law: &Applicable,
    person: &Learnable,
    here: &Standpoint,
    told: Option<f64>,
) -> bool {
    let decision = decide_under(law, &person.facts.asking(&person.consent));
    law.home.domain.as_ref() == Some(here.domain())
        && decision.event_store == EventStore::Linked(here.domain().clone())
        && decision.steps.age >= ADULT
        && decision.epsilon_max().is_none_or(|most| told.is_some_and(|told| told <= most))
}

/// Who withdrew, or was erased, since the model that is served was learned. What two models differ by would show the
/// few who did; so others are left out of the next one with them, until they are `least` together.
#[derive(Debug, Clone, Copy)]
pub struct Leavers<'a> {
    /// When the model that is served was learned; none: there is nothing to compare with.
    pub since: Option<UnixMillis>,
    /// Names the draws of those who are left out too.
    pub run: &'a [u8],
    /// People who must be missing together.
    pub least: u32,
}

impl Leavers<'_> {
    /// Whether a person who may not be learned from now could have been when the model was.
    fn left(&self, person: &Learnable) -> bool {
        let taken = !person.profile.explicit.is_empty() || !person.profile.behaviour.is_empty();
        taken && self.since.is_some_and(|since| person.consent.changed > since)
    }

    /// How many others are to be missing with those who left, and with those who were erased. Of whom it is not known
    /// whether they were in the model, they may be the only one to be missing, but fill up no number.
    fn others(&self, left: u32, erased: Erased) -> usize {
        let sure = left.saturating_add(erased.learned);
        let anybody = sure > 0 || erased.perhaps > 0;
        let missing = if anybody { self.least.saturating_sub(sure) } else { 0 };
        usize::try_from(missing).unwrap_or(usize::MAX)
    }

    /// Who was erased from the groups since the model was learned.
    fn erased(&self, groups: &[Rows]) -> Result<Erased, ReadError> {
        let mut all = Erased::default();
        let Some(since) = self.since else { return Ok(all) };
        for group in groups {
            let found = read::erased_since(&group.reader, since)?;
            all.learned = all.learned.saturating_add(found.learned);
            all.perhaps = all.perhaps.saturating_add(found.perhaps);
        }
        Ok(all)
    }

    fn draw(&self, tag: u64) -> [u8; 32] {
        let parts = [self.run, &tag.to_be_bytes()].concat();
        sha256_of(&parts)
    }
}

/// A person's items, and the tag that names their draws.
type Taken = (u64, Vec<u32>);

/// What the people of a domain took, of the items in `order`: each the newest `most`, and only whom `permits`
/// lets be learned from. Blocks on the disk.
///
/// # Errors
/// [`PeopleError`]: whoever can't be read stops the whole.
pub fn interactions(
    groups: &[Rows],
    here: &Standpoint,
    order: &ItemOrder,
    most: usize,
    permits: &dyn Fn(&Learnable) -> bool,
    leavers: Option<Leavers<'_>>,
) -> Result<Pinned<Interactions>, PeopleError> {
    let (mut kept, mut left): (Vec<Taken>, u32) = (Vec::new(), 0);
    for group in groups {
        let mut after: Option<PersonKey> = None;
        loop {
            let page = read::people(&group.reader, after.as_ref(), PAGE)?;
            let Some(last) = page.last().copied() else { break };
            after = Some(last);
            for key in &page {
                let Some(person) = read::learnable(&group.reader, &group.vault, key)? else {
                    continue;
                };
                let person = person.open(here)?;
                if permits(person) {
                    kept.push((tag(key), taken(&person.profile, order)));
                } else if leavers.is_some_and(|leavers| leavers.left(person)) {
                    left = left.saturating_add(1);
                }
            }
        }
    }
    if let Some(leavers) = leavers {
        leave_out(&mut kept, &leavers, leavers.others(left, leavers.erased(groups)?));
    }
    let mut found = Interactions::new(order.len());
    kept.iter().try_for_each(|(tag, taken)| found.push_as(*tag, taken, most))?;
    Ok(Pinned::new(here.domain().clone(), found))
}

/// Leaves out as many people as are asked for, by draws of the run; the others stay in their order.
fn leave_out(kept: &mut Vec<Taken>, leavers: &Leavers<'_>, others: usize) {
    if others == 0 {
        return;
    }
    let mut draws: Vec<_> = kept.iter().map(|(tag, _)| leavers.draw(*tag)).collect();
    draws.sort_unstable();
    match draws.get(others) {
        Some(first_kept) => kept.retain(|(tag, _)| leavers.draw(*tag) >= *first_kept),
        None => kept.clear(),
    }
}

/// Names a person's draws: a part of the keyed hash that stands for them, which stays at home as they do.
fn tag(person: &PersonKey) -> u64 {
    person.as_bytes().iter().take(8).fold(0, |tag, &byte| tag << 8 | u64::from(byte))
}

/// What a person took, oldest first: whatever they liked or used, but not what they said they dislike.
fn taken(profile: &Profile, order: &ItemOrder) -> Vec<u32> {
    let disliked: BTreeSet<&ItemId> =
        profile.explicit.iter().filter(|touch| touch.weight < 0.0).map(|t| &t.item).collect();
    let mut newest = BTreeMap::new();
    for touch in profile.explicit.iter().chain(&profile.behaviour) {
        if touch.weight > 0.0
            && !disliked.contains(&touch.item)
            && let Some(number) = order.number(&touch.item)
        {
            let at = newest.entry(number).or_insert(touch.at);
            *at = touch.at.max(*at);
        }
    }
    let mut taken: Vec<_> = newest.into_iter().map(|(number, at)| (at, number)).collect();
    taken.sort_unstable();
    taken.into_iter().map(|(_, number)| number).collect()
}
