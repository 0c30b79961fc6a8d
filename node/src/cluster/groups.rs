//! The groups of this node.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{GroupId, Slot};

use super::Group;

/// The groups that this node is, or waits to become, a member of.
#[derive(Default, Clone)]
pub struct Groups {
    by_id: BTreeMap<GroupId, Arc<Group>>,
}

impl Groups {
    /// Collects groups.
    #[must_use]
    pub fn new(groups: Vec<Arc<Group>>) -> Self {
        Self { by_id: groups.into_iter().map(|group| (group.id().clone(), group)).collect() }
    }

    /// A group by its id.
    #[must_use]
    pub fn get(&self, id: &GroupId) -> Option<&Arc<Group>> {
        self.by_id.get(id)
    }

    /// All groups, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.by_id.values()
    }

    /// The users groups, by number.
    pub fn users(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.iter().filter(|group| group.id().pinned_to().is_some())
    }

    /// The users group that a slot falls to.
    #[must_use]
    pub fn of_slot(&self, slot: Slot) -> Option<&Arc<Group>> {
        let count = self.users().count();
        let number = usize::from(slot.get()).checked_rem(count)?;
        self.users().nth(number)
    }
}
