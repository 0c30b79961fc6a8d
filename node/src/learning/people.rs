//! Whom a domain learns from, and what: read at home, and pinned to it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::ItemId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Interactions, LearningError};
use bailiwick_core::pinned::{PinRefusal, Pinned, Standpoint};
use bailiwick_core::policy::{ADULT, Applicable, EventStore, decide_under};

use super::ItemOrder;
use crate::seal::PersonKey;
use crate::store::reader::Reader;
use crate::users::read::{self, ReadError};
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
/// that were stored while they might be.
#[must_use]
pub fn permitted(law: &Applicable, person: &Learnable, here: &Standpoint) -> bool {
    let decision = decide_under(law, &person.facts.asking(&person.consent));
    law.home.domain.as_ref() == Some(here.domain())
        && decision.event_store == EventStore::Linked(here.domain().clone())
        && decision.steps.age >= ADULT
}

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
) -> Result<Pinned<Interactions>, PeopleError> {
    let mut found = Interactions::new(order.len());
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
                    let taken = taken(&person.profile, order);
                    found.push_as(tag(key), &taken, most)?;
                }
            }
        }
    }
    Ok(Pinned::new(here.domain().clone(), found))
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
