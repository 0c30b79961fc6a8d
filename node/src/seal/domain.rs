//! The domain's secret: under which keys people's rows stand, and into which slots they fall.

use std::fmt;

use bailiwick_core::ids::{Issuer, Slot, Subject};
use ring::digest::{SHA256, digest};

use super::secret::{Secret, length};

/// The one tenant of today. It is part of every key, so that a second one needs no migration.
pub const TENANT: u32 = 0;

/// Under what a person's rows stand: a keyed hash that tells nothing without the domain's secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey([u8; 32]);

impl PersonKey {
    /// Takes bytes that [`DomainSecret::person_key`] made, as a row or command carries them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey([redacted])")
    }
}

/// What stands for a person in a receipt: SHA-256 of tenant, issuer and subject.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PersonDigest([u8; 32]);

impl PersonDigest {
    /// The digest of a person.
    #[must_use]
    pub fn of(tenant: u32, issuer: &Issuer, subject: &Subject) -> Self {
        let mut text = Vec::new();
        for part in parts(&tenant.to_be_bytes(), issuer, subject) {
            text.extend(length(part));
            text.extend_from_slice(part);
        }
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(digest(&SHA256, &text).as_ref()) {
            *to = *from;
        }
        Self(out)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PersonDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonDigest([redacted])")
    }
}

fn parts<'a>(tenant: &'a [u8; 4], issuer: &'a Issuer, subject: &'a Subject) -> [&'a [u8]; 3] {
    [tenant, issuer.as_str().as_bytes(), subject.as_str().as_bytes()]
}

/// The secret of a domain (`row.key`). The domain's nodes and routers hold it; it never leaves.
#[derive(Debug, Clone)]
pub struct DomainSecret {
    rows: Secret,
    slots: Secret,
    revisions: Secret,
}

impl DomainSecret {
    /// Derives one key a purpose.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self {
            rows: secret.derive("row keys"),
            slots: secret.derive("slots"),
            revisions: secret.derive("revisions"),
        }
    }

    /// The key that a person's rows stand under: HMAC-SHA256 over tenant, issuer and subject, each
    /// with its length.
    #[must_use]
    pub fn person_key(&self, tenant: u32, issuer: &Issuer, subject: &Subject) -> PersonKey {
        PersonKey(self.rows.mac(&parts(&tenant.to_be_bytes(), issuer, subject)))
    }

    /// The slot that a person falls into, with a key of its own, so that slots tell nothing of row keys.
    #[must_use]
    pub fn slot_of(&self, person: &PersonKey) -> Slot {
        Slot::of_hash(&self.slots.mac(&[&person.0]))
    }

    /// The key that revisions of this domain's groups are authenticated with.
    pub(crate) fn revision_key(&self) -> &Secret {
        &self.revisions
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(secret: u8, tenant: u32, issuer: &str, subject: &str) -> PersonKey {
        let secret = DomainSecret::new(&Secret::new([secret; 32]));
        secret.person_key(tenant, &issuer.parse().unwrap(), &subject.parse().unwrap())
    }

    #[test]
    fn every_part_of_a_person_counts_and_none_flows_into_the_next() {
        let keys = BTreeSet::from([
            key(1, 0, "issuer", "alice"),
            key(1, 0, "issuera", "lice"),
            key(1, 1, "issuer", "alice"),
            key(1, 0, "other", "alice"),
            key(2, 0, "issuer", "alice"),
        ]);
        assert_eq!(keys.len(), 5);
        assert_eq!(key(1, 0, "issuer", "alice"), key(1, 0, "issuer", "alice"));
    }

    #[test]
    fn people_spread_over_slots() {
        let secret = DomainSecret::new(&Secret::new([1; 32]));
        let slots: BTreeSet<_> =
            (0..1000).map(|n| secret.slot_of(&key(1, 0, "issuer", &format!("p{n}")))).collect();
        // 1000 draws of 4096 hit 4096 * (1 - e^(-1000/4096)), about 887, different ones.
        assert!((840..=930).contains(&slots.len()), "{}", slots.len());
    }
}
