//! The edge itself: lets requests in, decides the ceiling and where they go.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::policy::{
    Applicable, Asking, EventStore, HomeReach, ProfileRead, decide_under,
};
use bailiwick_core::routing::{EventPlace, Places, Purpose, Route, route};
use bailiwick_net::Supervisor;
use bailiwick_net::token::{TokenVerifier, Verified};
use bailiwick_proto::failure::Failure;
use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::admission::{Admission, Pass};
use crate::config::EdgeConfig;
use crate::metrics::Metrics;
use crate::operation::{Access, Class, Operation};
use crate::view::{View, Views};
use crate::visit::{self, Visit};

/// When to come back after having been shed.
const SHED_RETRY: Duration = Duration::from_millis(500);
/// When to come back where nobody could answer.
pub(crate) const DOWN_RETRY: Duration = Duration::from_secs(1);

/// The edge's state, shared by all requests.
pub(crate) struct Edge {
    pub(crate) config: EdgeConfig,
    pub(crate) here: DomainId,
    pub(crate) tokens: Arc<TokenVerifier>,
    pub(crate) views: Views,
    pub(crate) metrics: Metrics,
    pub(crate) permits: Arc<Semaphore>,
    /// Of ranked lists.
    pub(crate) lists: Arc<Admission>,
    /// Of events, which wait for a quorum and so are slower.
    pub(crate) events: Arc<Admission>,
    pub(crate) draining: AtomicBool,
    pub(crate) tasks: Supervisor,
    pub(crate) clock: Clock,
}

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// A request that was let in.
pub(crate) struct Admitted {
    pub(crate) visit: Visit,
    /// Held as long as the request is under way.
    pub(crate) permit: Permit,
}

/// Room for one request.
#[derive(Debug)]
pub(crate) struct Permit {
    _among_all: OwnedSemaphorePermit,
    _of_kind: Option<Pass>,
}

/// A request that was not let in.
#[derive(Debug)]
pub(crate) enum Turned {
    /// It failed.
    Away(Failure),
    /// It belongs to another edge.
    Elsewhere {
        /// That edge, without a path.
        edge: String,
    },
}

impl From<Failure> for Turned {
    fn from(failure: Failure) -> Self {
        Self::Away(failure)
    }
}

impl Edge {
    /// Looks at the head of a request alone; its body has not been read.
    pub(crate) fn admit(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Admitted, Turned> {
        let permit = self.room(operation).ok_or_else(|| {
            self.metrics.shed.inc();
            Failure::new(Kind::Overloaded, "too many requests are under way")
                .retry_after(SHED_RETRY)
        })?;
        let (began, asked) = (Instant::now(), (self.clock)());
        let token = visit::bearer(headers)?;
        let verified = token.map(|token| self.tokens.verify(token, asked)).transpose();
        let verified = verified.map_err(Failure::from)?;
        allow(operation.access(), verified.as_ref())?;
        let location = visit::location(&self.config, headers, peer)?;
        let default = operation.patience(self.config.limits.request_timeout);
        let patience = visit::patience(headers)?.unwrap_or(default);
        let mut visit = Visit {
            operation,
            token: token.map(Into::into),
            verified: verified.map(Arc::new),
            location,
            gpc: visit::gpc(headers),
            request_id: visit::request_id(),
            began,
            asked,
            patience,
            route: Route::Unavailable,
            home_edge: None,
        };
        self.plan(&mut visit)?;
        Ok(Admitted { visit, permit })
    }

    fn room(&self, operation: Operation) -> Option<Permit> {
        let _among_all = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let _of_kind = match operation.class() {
            Class::List => Some(self.lists.enter()?),
            Class::Events => Some(self.events.enter()?),
            Class::Controls | Class::Shared => None,
        };
        Some(Permit { _among_all, _of_kind })
    }

    /// A node answered after this time, which tells how busy the nodes are.
    pub(crate) fn learn(&self, class: Class, took: Duration) {
        match class {
            Class::List => self.lists.learn(took),
            Class::Events => self.events.learn(took),
            Class::Controls | Class::Shared => {}
        }
    }

    /// Where the request goes.
    fn plan(&self, visit: &mut Visit) -> Result<(), Turned> {
        let view = self.views.current();
        let class = visit.operation.class();
        if matches!(class, Class::Events | Class::Controls)
            && view.lease_left(visit.began).is_none()
        {
            let words =
                "the packs' lease has run out, so where this person's data lives is not known";
            return Err(Failure::new(Kind::Unavailable, words).retry_after(DOWN_RETRY).into());
        }
        let law = law(&view, visit, (self.clock)());
        let home = visit.verified.as_ref().and(law.home.domain.as_ref());
        visit.home_edge = home.and_then(|home| view.edges.get(home)).cloned();
        let (up, edges) = (view.up(), view.edges.keys().cloned().collect::<BTreeSet<_>>());
        let places = Places {
            here: &self.here,
            home,
            location: law.location.domain.as_ref(),
            processors: &processors(&view, &law, class),
            up: &up,
            edges: &edges,
        };
        match route(purpose(visit, class, &law), &places) {
            Route::Redirect(to) => match view.edges.get(&to) {
                Some(edge) => Err(Turned::Elsewhere { edge: edge.clone() }),
                None => Err(unreachable().into()),
            },
            Route::Unavailable => Err(unreachable().into()),
            route @ Route::Ask(_) => {
                visit.route = route;
                Ok(())
            }
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why this router is not ready, in words; empty when it is.
    pub(crate) fn pending(&self) -> Vec<&'static str> {
        let view = self.views.current();
        let reasons = [
            (self.is_draining(), "draining"),
            (view.lease_left(Instant::now()).is_none(), "no lease on the packs"),
            (!view.nodes.iter().any(|node| node.health.is_up()), "no node answers"),
        ];
        reasons.into_iter().filter_map(|(holds, words)| holds.then_some(words)).collect()
    }
}

impl Edge {
    /// The metrics in the OpenMetrics text form.
    pub(crate) fn metrics_text(&self) -> String {
        let view = self.views.current();
        let left = view.lease_left(Instant::now()).map_or(0, |left| left.as_secs());
        self.metrics.lease_seconds.set(i64::try_from(left).unwrap_or(i64::MAX));
        let up = view.nodes.iter().filter(|node| node.health.is_up()).count();
        self.metrics.nodes_up.set(i64::try_from(up).unwrap_or(i64::MAX));
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.metrics.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}

pub(crate) fn unreachable() -> Failure {
    let words = "no node that may answer this can be reached; nothing was stored";
    Failure::new(Kind::Unavailable, words).retry_after(DOWN_RETRY)
}

/// The time on this machine's clock.
pub(crate) fn system_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn allow(access: Access, verified: Option<&Verified>) -> Result<(), Failure> {
    match (access, verified) {
        (Access::Open(_), None) | (Access::Token, Some(_)) => Ok(()),
        (Access::Open(scope), Some(token)) => token.allows(scope),
        (Access::Token | Access::Scoped(_), None) => {
            Err(Failure::new(Kind::Unauthenticated, "a bearer token is needed"))
        }
        (Access::Scoped(scopes), Some(token)) => {
            if scopes.iter().any(|scope| token.scopes.contains(scope)) {
                return Ok(());
            }
            let names: Vec<_> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
            let words = format!("the token lacks the scope {}", names.join(" or "));
            Err(Failure::new(Kind::Refused, words))
        }
    }
}

/// An anonymous request's home counts as its location.
fn law(view: &View, visit: &Visit, now: UnixMillis) -> Arc<Applicable> {
    let home = visit.verified.as_ref().map_or(&visit.location, |verified| &verified.home);
    // A clock outside the calendar has no packs in force.
    let on = now.day().unwrap_or(jiff::civil::Date::MIN);
    view.law(home, &visit.location, (on, visit.began))
}

fn purpose(visit: &Visit, class: Class, law: &Applicable) -> Purpose {
    let Some(verified) = &visit.verified else {
        return match class {
            Class::List => Purpose::Recommend { read: ProfileRead::No },
            _ => Purpose::Shared,
        };
    };
    match class {
        Class::Shared => Purpose::Shared,
        Class::Controls => Purpose::Controls,
        Class::List => Purpose::Recommend { read: ceiling(visit, verified, law).profile_read },
        Class::Events => {
            let place = match ceiling(visit, verified, law).event_store {
                EventStore::Linked(domain) if law.home.domain.as_ref() != Some(&domain) => {
                    EventPlace::Location
                }
                _ => EventPlace::Home,
            };
            Purpose::Events { place }
        }
    }
}

/// The most that could be granted, whatever the person consented to.
fn ceiling(
    visit: &Visit,
    verified: &Verified,
    law: &Applicable,
) -> bailiwick_core::policy::Decision {
    let asking = Asking {
        age_band: verified.age_band,
        gpc: visit.gpc,
        reach: HomeReach::Reachable,
        ..Asking::anonymous(verified.app.service)
    };
    decide_under(law, &asking.at_most())
}

/// Further domains, nearest first: for what is personal those that both laws let process it.
fn processors(view: &View, law: &Applicable, class: Class) -> Vec<DomainId> {
    let may = |domain: &DomainId| {
        class == Class::Shared
            || law.home.process_in.contains(domain) && law.location.process_in.contains(domain)
    };
    view.nearest().into_iter().filter(may).collect()
}
