//! The last check of placement before a membership takes effect.
//!
//! openraft acts on a membership entry as soon as it is appended, so refusing it when it is applied
//! would be too late: it is refused before it is written, and before a snapshot that carries it is
//! installed.

use std::io;
use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use bailiwick_core::placement::{PlacementRefusal, admit};

use super::types::Membership;

/// Says whether a membership is lawful for a group.
pub type MembershipGuard = Arc<dyn Fn(&Membership) -> Result<(), PlacementRefusal> + Send + Sync>;

/// The guard of `group`: every member, voter or learner, stands where the group's data may live.
#[must_use]
pub fn placement_guard(group: GroupId) -> MembershipGuard {
    Arc::new(move |membership| {
        membership
            .nodes()
            .try_for_each(|(_, member)| admit(&group, member.name.as_str(), &member.domain))
    })
}

/// A refusal in the form in which openraft takes errors.
pub(crate) fn refused(refusal: PlacementRefusal) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, refusal)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::raft::types::Member;

    fn membership(domains: &[&str]) -> Membership {
        let nodes: BTreeMap<u64, Member> = (1..)
            .zip(domains)
            .map(|(id, domain)| {
                let member = Member {
                    name: format!("{domain}-{id}").parse().unwrap(),
                    domain: domain.parse().unwrap(),
                    region: "west".parse().unwrap(),
                };
                (id, member)
            })
            .collect();
        Membership::new(vec![BTreeSet::from([1])], nodes).unwrap()
    }

    fn check(group: &str, domains: &[&str], refused_in: Option<&str>) {
        let verdict = placement_guard(group.parse().unwrap())(&membership(domains));
        assert_eq!(verdict.err().map(|r| r.found.to_string()).as_deref(), refused_in, "{group}");
    }

    #[test]
    fn a_learner_abroad_is_refused_like_a_voter() {
        check("users-eu-0", &["eu", "eu"], None);
        check("users-eu-0", &["eu", "us"], Some("us"));
        check("users-eu-0", &["us", "eu"], Some("us"));
        check("control", &["us", "eu"], None);
    }
}
