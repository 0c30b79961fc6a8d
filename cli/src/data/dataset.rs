//! The one shape that every data set is loaded into.

use std::collections::BTreeMap;

use bailiwick_core::ids::{Jurisdiction, Subject, UnixMillis};
use bailiwick_core::learning::{Interactions, ItemVectors};
use bailiwick_proto::v1;

use super::{AgeBand, Consent, Toggle};

/// A fact about a person that a data set may or may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// Where they live.
    Home,
    /// How old they are.
    Age,
    /// What they consented to.
    Consent,
    /// How their switch stands.
    Toggle,
}

/// A person of a data set.
#[derive(Debug, Clone)]
pub struct DemoPerson {
    /// Their `sub`.
    pub subject: Subject,
    /// Whose law is theirs.
    pub home: Jurisdiction,
    /// Their age band.
    pub age_band: AgeBand,
    /// Their consent.
    pub consent: Consent,
    /// Their switch.
    pub toggle: Toggle,
    /// Which of these facts the data does not know and a fixed rule dealt out.
    pub made_up: &'static [Fact],
    /// Why this person is worth showing, for the few that are examples: "a German who refused".
    pub example: Option<String>,
}

/// Items, people, and what they did.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// Its name.
    pub name: &'static str,
    /// Who is to be acknowledged.
    pub credit: &'static str,
    /// What in it is not data, in sentences to be shown.
    pub made_up: Vec<&'static str>,
    /// The catalogue.
    pub items: Vec<v1::Item>,
    /// The people.
    pub people: Vec<DemoPerson>,
    /// What they did: the index of the person, and the event. Ids are the same at every load.
    pub events: Vec<(usize, v1::Event)>,
}

/// The scale of `rate`, whatever scale the data set had: from 0.5 to 5.
pub(super) const RATE_MAX: f64 = 5.0;
/// A rating from here on counts as liking.
const LIKED_FROM: f64 = 3.0;

/// Whether an event says that the person wanted the item.
#[must_use]
pub fn is_liking(event: &v1::Event) -> bool {
    match event.kind.as_str() {
        "rate" => event.value.is_some_and(|value| value >= LIKED_FROM),
        "view" | "like" | "purchase" | "play" | "follow" => true,
        _ => false,
    }
}

fn millis(event: &v1::Event) -> Option<i64> {
    let at: jiff::Timestamp = event.at.as_deref()?.parse().ok()?;
    Some(at.as_millisecond())
}

impl Dataset {
    /// What there is to learn from, in `domains` parts: `domain_of` says in which domain a person may be
    /// learned from, and none where the law or their choice forbids it. Items are numbered as in
    /// [`Dataset::items`]; a person counts with at most `most` items.
    pub fn interactions(
        &self,
        domains: usize,
        most: usize,
        domain_of: impl Fn(&DemoPerson) -> Option<usize>,
    ) -> Vec<Interactions> {
        let mut taken: Vec<Vec<u32>> = vec![Vec::new(); self.people.len()];
        let numbers = self.item_numbers();
        for (person, event) in self.events.iter().filter(|(_, event)| is_liking(event)) {
            if let (Some(row), Some(&item)) =
                (taken.get_mut(*person), numbers.get(event.item.as_str()))
            {
                row.push(item);
            }
        }
        let mut parts = vec![Interactions::new(self.items.len()); domains];
        for (person, row) in self.people.iter().zip(&taken).filter(|(_, row)| !row.is_empty()) {
            let part = domain_of(person).and_then(|domain| parts.get_mut(domain));
            // Items come from this very list, so that none can be out of range.
            if let Some(Err(error)) = part.map(|part| part.push(row, most)) {
                tracing::error!(%error, "a person was left out of learning");
            }
        }
        parts
    }

    /// Moves each person's events in time so that their last one falls on `newest`, with the gaps between
    /// them kept. Old data would otherwise be past what the packs let a cluster keep. Events without a
    /// time stay without.
    pub fn move_to(&mut self, newest: UnixMillis) {
        let mut last: BTreeMap<usize, i64> = BTreeMap::new();
        for (person, event) in &self.events {
            if let Some(at) = millis(event) {
                last.entry(*person).and_modify(|last| *last = at.max(*last)).or_insert(at);
            }
        }
        for (person, event) in &mut self.events {
            if let (Some(at), Some(last)) = (millis(event), last.get(person)) {
                let moved = newest.plus(at.saturating_sub(*last)).0;
                event.at = jiff::Timestamp::from_millisecond(moved).ok().map(|at| at.to_string());
            }
        }
        if !last.is_empty() {
            self.made_up.push("The days of the events are made up: each person's last is today.");
        }
    }

    /// Gives every item the vector that was learned for it.
    pub fn set_vectors(&mut self, vectors: &ItemVectors) {
        for (number, item) in (0_u32..).zip(&mut self.items) {
            item.vector = vectors.get(number).map(<[f32]>::to_vec).unwrap_or_default();
        }
    }

    /// Puts the items that most people took into the editorial list, where the data has no editor.
    pub(super) fn stand_in_editorial(&mut self, length: usize) {
        let mut takers = vec![0_u32; self.items.len()];
        let numbers = self.item_numbers();
        for (_, event) in &self.events {
            let number = numbers.get(event.item.as_str()).and_then(|&n| usize::try_from(n).ok());
            if let Some(count) = number.and_then(|n| takers.get_mut(n)) {
                *count += 1;
            }
        }
        let mut order: Vec<(u32, usize)> = takers.into_iter().zip(0..).collect();
        order.sort_by_key(|&(count, at)| (std::cmp::Reverse(count), at));
        for (rank, (_, at)) in (1_u32..).zip(order.into_iter().take(length)) {
            if let Some(item) = self.items.get_mut(at) {
                item.editorial_rank = Some(rank);
            }
        }
    }

    fn item_numbers(&self) -> BTreeMap<&str, u32> {
        self.items.iter().map(|item| item.item.as_str()).zip(0..).collect()
    }
}
