//! Which domains may answer a request. Pure: the decision's ceiling, the places and their health come in,
//! an order of domains goes out. Inside a domain the router picks a node by health and latency.

use std::collections::BTreeSet;

use crate::ids::DomainId;
use crate::policy::{HomeReach, ProfileRead};

/// What is asked, as far as it matters for where it may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A ranked list. `read` is the most that the law could permit, whatever the person consented to.
    Recommend {
        /// Where the stored profile may at most be read.
        read: ProfileRead,
    },
    /// Events of a person.
    Events {
        /// Where the decision would link them.
        place: EventPlace,
    },
    /// A person's own controls: consent, interests, export.
    Controls,
    /// Nothing personal: items, packs, the cluster's state.
    Shared,
}

/// Where a linked event would be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventPlace {
    /// At home; also where it feeds counters only, or nothing.
    Home,
    /// At the request's location, to stay: a visitor's slice.
    Location,
}

/// The places of a request and their health.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The domain this router stands in, as its certificate attests.
    pub here: &'a DomainId,
    /// The domain of the person's home; none for an anonymous request or a home without a pack.
    pub home: Option<&'a DomainId>,
    /// The domain of the request's location; none where it has no pack.
    pub location: Option<&'a DomainId>,
    /// Further domains that both laws let process the request, nearest first.
    pub processors: &'a [DomainId],
    /// Domains with a node that answers.
    pub up: &'a BTreeSet<DomainId>,
    /// Domains with a public edge.
    pub edges: &'a BTreeSet<DomainId>,
}

/// One domain to ask, and what its node is told of home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The domain.
    pub domain: DomainId,
    /// What the node is told.
    pub home: HomeReach,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Ask a node of the first domain, and where it does not answer, of the next. Never empty.
    Ask(Vec<Stop>),
    /// Send the client to this domain's edge, before the body is read.
    Redirect(DomainId),
    /// No domain that may answer is up; nothing was read or stored.
    Unavailable,
}

/// The route of a request.
#[must_use]
pub fn route(purpose: Purpose, places: &Places<'_>) -> Route {
    match purpose {
        Purpose::Recommend { read } => recommend(read, places),
        Purpose::Events { place: EventPlace::Location } => {
            keep_at(places.location.unwrap_or(places.here), places)
        }
        // A home without a domain keeps nothing; a node here says so.
        Purpose::Events { place: EventPlace::Home } | Purpose::Controls => {
            keep_at(places.home.unwrap_or(places.here), places)
        }
        Purpose::Shared => ask(std::iter::once(places.here).chain(places.processors), places),
    }
}

fn recommend(read: ProfileRead, places: &Places<'_>) -> Route {
    let at_home = match read {
        ProfileRead::Home => places.home,
        ProfileRead::Edge | ProfileRead::No => None,
    };
    let order = at_home
        .into_iter()
        .chain(places.location)
        .chain(std::iter::once(places.here))
        .chain(places.home)
        .chain(places.processors);
    ask(order, places)
}

/// INVARIANT: what keeps personal data is asked of `target` alone; there is no second choice.
fn keep_at(target: &DomainId, places: &Places<'_>) -> Route {
    if !places.up.contains(target) {
        Route::Unavailable
    } else if target == places.here {
        ask(std::iter::once(target), places)
    } else if places.edges.contains(target) {
        Route::Redirect(target.clone())
    } else {
        Route::Unavailable
    }
}

fn ask<'a>(order: impl Iterator<Item = &'a DomainId>, places: &Places<'_>) -> Route {
    let mut seen = BTreeSet::new();
    let mut asked_home = false;
    let mut stops = Vec::new();
    for domain in order.filter(|domain| places.up.contains(*domain)) {
        if seen.insert(domain) {
            stops.push(Stop { domain: domain.clone(), home: reach(domain, asked_home, places) });
            asked_home |= places.home == Some(domain);
        }
    }
    if stops.is_empty() { Route::Unavailable } else { Route::Ask(stops) }
}

/// A stop after home is reached only when home did not answer.
fn reach(domain: &DomainId, asked_home: bool, places: &Places<'_>) -> HomeReach {
    match places.home {
        Some(home) if home != domain && (asked_home || !places.up.contains(home)) => {
            HomeReach::Unreachable
        }
        _ => HomeReach::Reachable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> DomainId {
        text.parse().unwrap()
    }

    fn set(text: &str) -> BTreeSet<DomainId> {
        text.split_whitespace().map(domain).collect()
    }

    /// `places`: here, home, location (`-`: none); processors; up. Every domain has an edge but `cn`.
    fn check(purpose: Purpose, places: [&str; 5], expected: &str) {
        let [here, home, location, processors, up] = places;
        let named = |text: &str| (text != "-").then(|| domain(text));
        let (home, location) = (named(home), named(location));
        let processors: Vec<_> = processors.split_whitespace().map(domain).collect();
        let found = route(
            purpose,
            &Places {
                here: &domain(here),
                home: home.as_ref(),
                location: location.as_ref(),
                processors: &processors,
                up: &set(up),
                edges: &set("eu us in"),
            },
        );
        assert_eq!(show(&found), expected, "{purpose:?} {places:?}");
    }

    fn show(route: &Route) -> String {
        match route {
            Route::Ask(stops) => {
                let stop = |s: &Stop| match s.home {
                    HomeReach::Reachable => s.domain.to_string(),
                    HomeReach::Unreachable => format!("{}!", s.domain),
                };
                stops.iter().map(stop).collect::<Vec<_>>().join(" ")
            }
            Route::Redirect(to) => format!("-> {to}"),
            Route::Unavailable => "unavailable".to_owned(),
        }
    }

    const fn recommend(read: ProfileRead) -> Purpose {
        Purpose::Recommend { read }
    }

    #[test]
    fn a_list_is_made_where_the_profile_may_be_read() {
        let all = "eu us in";
        check(recommend(ProfileRead::Edge), ["eu", "eu", "eu", "", all], "eu");
        check(recommend(ProfileRead::Home), ["us", "eu", "us", "", all], "eu us!");
        check(recommend(ProfileRead::Edge), ["us", "eu", "us", "", all], "us eu");
        check(recommend(ProfileRead::No), ["us", "eu", "us", "in", all], "us eu in!");
        check(recommend(ProfileRead::No), ["us", "-", "us", "in", all], "us in");
        check(recommend(ProfileRead::No), ["us", "-", "-", "", all], "us");
    }

    #[test]
    fn a_lost_home_is_not_waited_for_and_the_node_is_told() {
        check(recommend(ProfileRead::Home), ["us", "eu", "us", "", "us in"], "us!");
        check(recommend(ProfileRead::Edge), ["eu", "eu", "eu", "us", "us in"], "us!");
        check(recommend(ProfileRead::Edge), ["eu", "eu", "eu", "", "us in"], "unavailable");
    }

    #[test]
    fn what_keeps_personal_data_goes_to_one_domain_or_nowhere() {
        let home = Purpose::Events { place: EventPlace::Home };
        let slice = Purpose::Events { place: EventPlace::Location };
        check(home, ["eu", "eu", "us", "us", "eu us"], "eu");
        check(home, ["us", "eu", "us", "", "eu us"], "-> eu");
        check(home, ["us", "eu", "us", "", "us"], "unavailable");
        check(home, ["us", "cn", "us", "", "cn us"], "unavailable");
        check(slice, ["us", "eu", "us", "", "eu us"], "us");
        check(slice, ["us", "eu", "in", "", "eu us in"], "-> in");
        check(Purpose::Controls, ["us", "eu", "us", "", "eu us"], "-> eu");
        check(Purpose::Controls, ["us", "-", "us", "", "eu us"], "us");
        check(Purpose::Shared, ["us", "-", "-", "eu in", "eu in"], "eu in");
    }

    fn some_domain() -> impl Strategy<Value = DomainId> {
        prop::sample::select(vec!["eu", "us", "in", "cn"]).prop_map(domain)
    }

    fn purpose() -> impl Strategy<Value = Purpose> {
        prop_oneof![
            prop::sample::select(vec![ProfileRead::Edge, ProfileRead::Home, ProfileRead::No])
                .prop_map(recommend),
            prop::sample::select(vec![EventPlace::Home, EventPlace::Location])
                .prop_map(|place| Purpose::Events { place }),
            Just(Purpose::Controls),
            Just(Purpose::Shared),
        ]
    }

    proptest! {
        #[test]
        fn only_lawful_and_living_domains_are_asked(
            purpose in purpose(),
            here in some_domain(),
            home in prop::option::of(some_domain()),
            location in prop::option::of(some_domain()),
            processors in prop::collection::vec(some_domain(), 0..3),
            up in prop::collection::btree_set(some_domain(), 0..5),
            edges in prop::collection::btree_set(some_domain(), 0..5),
        ) {
            let places = Places {
                here: &here, home: home.as_ref(), location: location.as_ref(),
                processors: &processors, up: &up, edges: &edges,
            };
            let keeps = matches!(purpose, Purpose::Events { .. } | Purpose::Controls);
            match route(purpose, &places) {
                Route::Ask(stops) => {
                    prop_assert!(!stops.is_empty());
                    prop_assert!(!keeps || stops.len() == 1 && stops[0].domain == here);
                    let unique: BTreeSet<_> = stops.iter().map(|s| &s.domain).collect();
                    prop_assert_eq!(unique.len(), stops.len());
                    for stop in &stops {
                        prop_assert!(up.contains(&stop.domain));
                        let known = [Some(&here), home.as_ref(), location.as_ref()];
                        prop_assert!(
                            known.contains(&Some(&stop.domain)) || processors.contains(&stop.domain)
                        );
                        if let Some(home) = home.as_ref().filter(|h| !up.contains(*h)) {
                            prop_assert!(
                                stop.domain == *home || stop.home == HomeReach::Unreachable
                            );
                        }
                    }
                }
                Route::Redirect(to) => {
                    prop_assert!(keeps && to != here && edges.contains(&to) && up.contains(&to));
                }
                Route::Unavailable => {
                    let answers = !keeps && up.contains(&here);
                    prop_assert!(!answers, "a living domain here can always make a list");
                }
            }
        }
    }
}
