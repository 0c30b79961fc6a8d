//! Revisions: what a write returns, and what a read that must see it carries.
//!
//! `users-eu-0:1532:<incarnation>:<mac>`, `catalog:812:<incarnation>:<mac>`. Opaque to apps, and
//! authenticated, so that nobody makes a replica wait for an index that never was.

use std::fmt;

use bailiwick_core::ids::{DomainId, GroupId};
use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::seal::{DomainSecret, Secret};

/// Bytes of a revision's text.
const TEXT_BYTES_MAX: usize = 160;

/// One life of a group: a group that was made anew starts its log again under another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A state of a group: everything up to a log index of one incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The group.
    pub group: GroupId,
    /// The log index.
    pub log_index: u64,
    /// The group's incarnation.
    pub incarnation: Incarnation,
}

/// A revision was to be made for a group whose key is not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no revision of {group} can be made in domain {home}")]
pub struct ForeignGroup {
    /// The group.
    pub group: GroupId,
    /// Where this node stands.
    pub home: DomainId,
}

impl ForeignGroup {
    /// Always [`Kind::Broken`]: a node writes to groups of its own domain only.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Broken
    }
}

/// The keys that a node makes and checks revisions with: its domain's for users groups, the cluster's
/// for the groups that span domains.
#[derive(Debug, Clone)]
pub struct RevisionKeys {
    wide: Secret,
    home: DomainId,
    users: Secret,
}

impl RevisionKeys {
    /// The keys of a node in `home`.
    #[must_use]
    pub fn new(cluster: &Secret, home: DomainId, domain: &DomainSecret) -> Self {
        Self { wide: cluster.derive("revisions"), home, users: domain.revision_key().clone() }
    }

    /// Makes the text of a revision.
    ///
    /// # Errors
    /// [`ForeignGroup`] for a users group of another domain.
    pub fn mint(&self, revision: &Revision) -> Result<String, ForeignGroup> {
        let key = self.key(&revision.group).ok_or_else(|| ForeignGroup {
            group: revision.group.clone(),
            home: self.home.clone(),
        })?;
        let Revision { group, log_index, incarnation } = revision;
        let claim = format!("{}:{log_index}:{incarnation}", name(group));
        Ok(format!("{claim}:{}", URL_SAFE_NO_PAD.encode(key.mac16(&[claim.as_bytes()]))))
    }

    /// Reads a revision and checks that it was minted here, for the life that the group is in.
    /// `incarnation` gives the life of a group of this node, none for other groups.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what nobody in this domain minted, [`Kind::Stale`] for an earlier life,
    /// [`Kind::Unavailable`] for a group that is not on this node.
    pub fn verify(
        &self,
        text: &str,
        incarnation: impl FnOnce(&GroupId) -> Option<Incarnation>,
    ) -> Result<Revision, Failure> {
        let invalid = |why: &str| Failure::invalid("revision", format!("the revision {why}"));
        let (revision, claim, mac) = parse(text).ok_or_else(|| invalid("is not well-formed"))?;
        let key = self.key(&revision.group).ok_or_else(|| invalid("is of another domain"))?;
        if !bool::from(key.mac16(&[claim.as_bytes()]).as_slice().ct_eq(&mac)) {
            return Err(invalid("was not made by this cluster"));
        }
        match incarnation(&revision.group) {
            Some(current) if current == revision.incarnation => Ok(revision),
            Some(_) => {
                let why = "the revision is of an earlier life of its group: read without it";
                Err(Failure { field: Some("revision".into()), ..Failure::new(Kind::Stale, why) })
            }
            None => {
                let why = format!("group {} is not on this node", revision.group);
                Err(Failure::new(Kind::Unavailable, why))
            }
        }
    }

    fn key(&self, group: &GroupId) -> Option<&Secret> {
        match group.pinned_to() {
            None => Some(&self.wide),
            Some(domain) => (*domain == self.home).then_some(&self.users),
        }
    }
}

/// The group as it stands in a revision.
fn name(group: &GroupId) -> String {
    match group {
        GroupId::Catalog(0) => "catalog".to_owned(),
        group => group.to_string(),
    }
}

/// The revision, the text that is authenticated, and its authenticator.
pub(crate) fn parse(text: &str) -> Option<(Revision, &str, Vec<u8>)> {
    let text = (text.len() <= TEXT_BYTES_MAX).then_some(text)?;
    let (claim, mac) = text.rsplit_once(':')?;
    let (rest, incarnation) = claim.rsplit_once(':')?;
    let (group, log_index) = rest.rsplit_once(':')?;
    let revision = Revision {
        group: if group == "catalog" { GroupId::Catalog(0) } else { group.parse().ok()? },
        log_index: log_index.parse().ok()?,
        incarnation: Incarnation(u64::from_str_radix(incarnation, 16).ok()?),
    };
    Some((revision, claim, URL_SAFE_NO_PAD.decode(mac).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFE: Incarnation = Incarnation(0xfeed);

    fn keys(cluster: u8, home: &str, domain: u8) -> RevisionKeys {
        let domain = DomainSecret::new(&Secret::new([domain; 32]));
        RevisionKeys::new(&Secret::new([cluster; 32]), home.parse().unwrap(), &domain)
    }

    fn minted(keys: &RevisionKeys, group: &str) -> String {
        let group = group.parse().unwrap();
        keys.mint(&Revision { group, log_index: 1532, incarnation: LIFE }).unwrap()
    }

    /// What a node of `eu` says to `text` when all its groups are in `life`.
    fn check(text: &str, life: Option<Incarnation>, expected: Result<&str, Kind>) {
        let found = keys(1, "eu", 2).verify(text, |_| life);
        let found = found.map(|r| format!("{} {}", r.group, r.log_index)).map_err(|f| f.kind);
        assert_eq!(found.as_deref().map_err(|kind| *kind), expected, "{text}");
    }

    #[test]
    fn revisions_of_this_domain_and_cluster_hold() {
        let ours = keys(1, "eu", 2);
        let users = minted(&ours, "users-eu-0");
        assert!(users.starts_with("users-eu-0:1532:"), "{users}");
        check(&users, Some(LIFE), Ok("users-eu-0 1532"));
        let catalog = minted(&ours, "catalog-0");
        assert!(catalog.starts_with("catalog:1532:"), "{catalog}");
        check(&catalog, Some(LIFE), Ok("catalog-0 1532"));
        check(&users, Some(Incarnation(1)), Err(Kind::Stale));
        check(&users, None, Err(Kind::Unavailable));
        // A catalogue's revision made in another domain holds here.
        check(&minted(&keys(1, "us", 3), "catalog-0"), Some(LIFE), Ok("catalog-0 1532"));
    }

    #[test]
    fn forged_and_foreign_revisions_are_invalid() {
        let ours = minted(&keys(1, "eu", 2), "users-eu-0");
        for text in [
            "",
            ":::",
            "users-eu-0:1532",
            &ours.replace("1532", "9999"),
            &ours.replace("users-eu-0", "users-eu-1"),
            &ours.replace("feed", "feee"),
            &minted(&keys(1, "us", 3), "users-us-0"),
            &minted(&keys(1, "eu", 9), "users-eu-0"),
            &minted(&keys(9, "eu", 2), "catalog-0"),
            &minted(&keys(1, "eu", 2), "catalog-0").replace("catalog", "users-eu-0"),
            &format!("{ours}AAAA"),
            &"x".repeat(1_000_000),
        ] {
            check(text, Some(LIFE), Err(Kind::Invalid));
        }
    }

    #[test]
    fn nobody_mints_for_another_domain() {
        let group = "users-us-0".parse().unwrap();
        let revision = Revision { group, log_index: 1, incarnation: LIFE };
        assert!(keys(1, "eu", 2).mint(&revision).is_err());
    }

    proptest! {
        #[test]
        fn no_other_text_passes(at in 0..60_usize, with in "[a-zA-Z0-9:_-]") {
            let ours = minted(&keys(1, "eu", 2), "users-eu-0");
            let mut text = ours.clone();
            if at < text.len() {
                text.replace_range(at..=at, &with);
            }
            let verdict = keys(1, "eu", 2).verify(&text, |_| Some(LIFE));
            prop_assert_eq!(verdict.is_ok(), text == ours);
        }
    }
}
