//! Which nodes may be members of which group. Placement is law: it never relaxes for availability.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DomainId, GroupId, NodeName, RegionId};

/// Voters of a group that spans domains.
pub const WIDE_VOTERS_MAX: usize = 5;
/// Voters of a group inside one domain.
pub const DOMAIN_VOTERS_MAX: usize = 3;

/// A node as its certificate describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The node's name.
    pub name: NodeName,
    /// Its residency domain.
    pub domain: DomainId,
    /// Its region.
    pub region: RegionId,
}

/// A node outside the domain was named for a group that is pinned to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group {group} is pinned to {home}; {node} stands in {found}")]
pub struct PlacementRefusal {
    /// The group.
    pub group: GroupId,
    /// The domain it is pinned to.
    pub home: DomainId,
    /// The node that was to join, receive or send.
    pub node: String,
    /// Where that node's certificate says it stands.
    pub found: DomainId,
}

/// Whether a peer in `domain` may be a member of `group`, send to it, or receive from it.
///
/// Checked when a member is proposed, when an entry that names one is appended, and when sending.
///
/// # Errors
/// [`PlacementRefusal`] when the group is pinned to another domain.
pub fn admit(group: &GroupId, node: &str, domain: &DomainId) -> Result<(), PlacementRefusal> {
    match group.pinned_to() {
        Some(home) if home != domain => Err(PlacementRefusal {
            group: group.clone(),
            home: home.clone(),
            node: node.to_owned(),
            found: domain.clone(),
        }),
        _ => Ok(()),
    }
}

/// The members a group should have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Nodes that vote.
    pub voters: BTreeSet<NodeName>,
    /// Nodes that only follow.
    pub learners: BTreeSet<NodeName>,
}

/// The members of `group` among `sites`: spread first over domains, then over regions, then by name,
/// always an odd number of voters.
#[must_use]
pub fn members(group: &GroupId, sites: &[Site]) -> Members {
    let eligible: BTreeSet<&Site> =
        sites.iter().filter(|s| admit(group, s.name.as_str(), &s.domain).is_ok()).collect();
    let most = match group.pinned_to() {
        Some(_) => DOMAIN_VOTERS_MAX,
        None => WIDE_VOTERS_MAX,
    };
    let wanted = odd_at_most(eligible.len().min(most));
    let mut voters = BTreeSet::new();
    for site in spread(&eligible).into_iter().take(wanted) {
        voters.insert(site.name.clone());
    }
    let learners =
        eligible.iter().map(|s| s.name.clone()).filter(|name| !voters.contains(name)).collect();
    Members { voters, learners }
}

fn odd_at_most(n: usize) -> usize {
    if n == 0 || n % 2 == 1 { n } else { n - 1 }
}

/// Sites in the order in which they should become voters: one a domain in turn, and inside a domain one
/// a region in turn, so that losing a domain or a region costs as few votes as can be.
fn spread<'a>(sites: &BTreeSet<&'a Site>) -> Vec<&'a Site> {
    let mut domains: BTreeMap<&DomainId, BTreeMap<&RegionId, Vec<&'a Site>>> = BTreeMap::new();
    for &site in sites {
        domains.entry(&site.domain).or_default().entry(&site.region).or_default().push(site);
    }
    let by_domain = domains.into_values().map(|regions| turns(regions.into_values().collect()));
    turns(by_domain.collect())
}

fn turns<T: Copy>(queues: Vec<Vec<T>>) -> Vec<T> {
    let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|i| queues.iter().filter_map(move |q| q.get(i).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(spec: &[(&str, &str, &str)]) -> Vec<Site> {
        spec.iter()
            .map(|(name, domain, region)| Site {
                name: name.parse().unwrap(),
                domain: domain.parse().unwrap(),
                region: region.parse().unwrap(),
            })
            .collect()
    }

    fn dev() -> Vec<Site> {
        sites(&[
            ("eu-north-1", "eu", "eu-north"),
            ("eu-west-1", "eu", "eu-west"),
            ("eu-west-2", "eu", "eu-west"),
            ("in-south-1", "in", "in-south"),
            ("in-south-2", "in", "in-south"),
            ("in-south-3", "in", "in-south"),
            ("us-east-1", "us", "us-east"),
            ("us-east-2", "us", "us-east"),
            ("us-west-1", "us", "us-west"),
        ])
    }

    fn names(set: &BTreeSet<NodeName>) -> Vec<&str> {
        set.iter().map(NodeName::as_str).collect()
    }

    #[test]
    fn wide_groups_survive_the_loss_of_any_domain() {
        let sites = dev();
        let members = members(&GroupId::Control, &sites);
        assert_eq!(members.voters.len(), 5);
        assert_eq!(members.learners.len(), 4);
        for lost in ["eu", "us", "in"] {
            let left = sites
                .iter()
                .filter(|s| s.domain.as_str() != lost && members.voters.contains(&s.name))
                .count();
            assert!(left >= 3, "without {lost} only {left} of 5 voters are left");
        }
    }

    #[test]
    fn users_groups_never_leave_their_domain() {
        let group: GroupId = "users-eu-0".parse().unwrap();
        let members = members(&group, &dev());
        assert_eq!(names(&members.voters), ["eu-north-1", "eu-west-1", "eu-west-2"]);
        assert!(members.learners.is_empty());
        assert!(admit(&group, "us-east-1", &"us".parse().unwrap()).is_err());
    }

    #[test]
    fn a_domain_without_nodes_has_no_members_rather_than_foreign_ones() {
        let group: GroupId = "users-jp-0".parse().unwrap();
        assert_eq!(members(&group, &dev()), Members::default());
    }

    #[test]
    fn an_even_number_of_sites_leaves_one_as_learner() {
        let two = sites(&[("a", "eu", "w"), ("b", "eu", "n")]);
        let members = members(&"users-eu-0".parse().unwrap(), &two);
        assert_eq!((members.voters.len(), members.learners.len()), (1, 1));
    }
}
