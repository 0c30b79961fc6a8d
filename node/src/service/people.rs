//! The people of this domain, by group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{GroupId, Issuer, ItemId, Subject};
use bailiwick_core::pinned::Pinned;
use bailiwick_proto::failure::Failure;

use crate::cluster::Group;
use crate::seal::{DomainSecret, PersonKey, TENANT};
use crate::users::{self, Builder, Person, Popularity, ReadError, Vault};

/// What one users group needs besides its Raft.
pub struct Household {
    /// The group.
    pub group: Arc<Group>,
    /// Opens and seals its rows.
    pub vault: Arc<Vault>,
    /// Makes its commands.
    pub builder: Builder,
    /// What it releases.
    pub popularity: Arc<Popularity>,
}

/// The people of this domain.
pub struct People {
    secret: DomainSecret,
    households: BTreeMap<GroupId, Household>,
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl People {
    /// The people in `households`, found by `secret`.
    #[must_use]
    pub fn new(secret: DomainSecret, households: Vec<Household>) -> Self {
        let by_id = households.into_iter().map(|h| (h.group.id().clone(), h));
        Self { secret, households: by_id.collect() }
    }

    /// The key that stands for a person in this domain.
    #[must_use]
    pub fn key(&self, issuer: &Issuer, subject: &Subject) -> PersonKey {
        self.secret.person_key(TENANT, issuer, subject)
    }

    /// The household that a person belongs to.
    ///
    /// # Errors
    /// When this node has no users group.
    pub fn household(&self, person: &PersonKey) -> Result<&Household, Failure> {
        let slot = usize::from(self.secret.slot_of(person).get());
        let none =
            || Failure::new(bailiwick_core::kind::Kind::Broken, "this node has no users group");
        let place = slot.checked_rem(self.households.len()).ok_or_else(none)?;
        self.households.values().nth(place).ok_or_else(none)
    }

    /// All households.
    pub fn iter(&self) -> impl Iterator<Item = &Household> {
        self.households.values()
    }

    /// What each group releases at `k_min`.
    #[must_use]
    pub fn released(&self, k_min: u32, most: usize) -> Vec<Vec<(ItemId, f64)>> {
        self.iter().map(|household| household.popularity.popular(k_min, most)).collect()
    }
}

impl Household {
    /// The person's rows as this replica has them.
    ///
    /// # Errors
    /// What could not be read.
    pub fn person(&self, person: &PersonKey) -> Result<Pinned<Person>, Failure> {
        let found = users::read::person(self.group.reader(), &self.vault, person)?;
        Ok(found.unwrap_or_else(|| Pinned::new(self.vault.home().clone(), Person::default())))
    }
}
