//! What the people of a domain take together: lists built at home, on every node by itself, that never leave it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::GroupId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{ItemLists, ListOptions, Takers, TrainingOptions};
use bailiwick_proto::failure::Failure;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Learner;
use super::model::ServedModel;
use super::people::PeopleError;

/// How often it is looked whether lists are due.
const EVERY: Duration = Duration::from_secs(1);
/// Lists are made anew after this time: whoever is gone by then, or may no longer be learned from, is in no list.
const AGE_MAX: Duration = Duration::from_secs(600);

/// From where the lists that are served were made: the log index of every users group.
#[derive(Debug, Default)]
pub struct ListsMade(Mutex<BTreeMap<GroupId, u64>>);

impl ListsMade {
    /// The log index of a group from which its people are in the lists; none while there are none.
    #[must_use]
    pub fn from(&self, group: &GroupId) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(group).copied()
    }

    /// The first lists are about to be made: until they are served, they may hold whoever is there now.
    fn begin(&self, from: &BTreeMap<GroupId, u64>) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_empty() {
            made.clone_from(from);
        }
    }

    fn served(&self, from: BTreeMap<GroupId, u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = from;
    }
}

/// Keeps the lists over the items of the model that is served.
pub async fn keep_lists(learner: Arc<Learner>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut made: Option<(Instant, Vec<u8>)> = None;
    loop {
        ticks.tick().await;
        let Some(model) = learner.models.served() else { continue };
        let current = made
            .as_ref()
            .is_some_and(|(at, hash)| at.elapsed() < AGE_MAX && *hash == model.sha256());
        if current || learner.law.lease_left().is_zero() {
            continue;
        }
        let from = learner.positions();
        learner.lists_made.begin(&from);
        match learner.lists(&model).await {
            Ok(lists) => {
                learner.catalogue.serve_lists(&model, Arc::new(lists));
                learner.lists_made.served(from);
                made = Some((Instant::now(), model.sha256().to_vec()));
            }
            Err(failure) => tracing::warn!(%failure, "the lists of this home are not made"),
        }
    }
}

impl Learner {
    /// How far this node is with every users group.
    fn positions(&self) -> BTreeMap<GroupId, u64> {
        let applied = |rows: &super::Rows| *rows.reader.applied().borrow();
        self.people.iter().map(|rows| (rows.vault.group().clone(), applied(rows))).collect()
    }

    async fn lists(self: &Arc<Self>, model: &Arc<ServedModel>) -> Result<ItemLists, Failure> {
        let (learner, model) = (Arc::clone(self), Arc::clone(model));
        let made = self.offload.call(move || learner.make_lists(&model)).await;
        let made = made.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        Ok(made?)
    }

    fn make_lists(&self, model: &ServedModel) -> Result<ItemLists, PeopleError> {
        let most = TrainingOptions::default().person_items_max;
        let people = self.learnable(model.order(), most, None, None)?;
        let people = people.open(&self.here)?;
        let lists = Takers::of(people).lists(0..model.order().len(), &ListOptions::default());
        Ok(lists.turned())
    }
}
