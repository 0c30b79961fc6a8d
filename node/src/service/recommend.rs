//! A recommendation: who asks, whose law, what is known, what is granted, what is shown.

use std::sync::Arc;

use bailiwick_core::ids::{DomainId, ItemId};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::Draws;
use bailiwick_core::pinned::Pinned;
use bailiwick_core::policy::{
    AgeBand, Applicable, Decision, ProfileRead, Ratio, Signal, decide_under,
};
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::ExploredItem;
use bailiwick_proto::validate::{self, RecommendQuery};
use bailiwick_proto::{edge, v1};
use tokio::time::Instant;

use super::State;
use super::caller::Caller;
use super::known::{Known, history, refused};
use crate::recommend::{
    Naming, Released, Request, explored, floors_unmet, main_parameters, recommend, shown,
};
use crate::users::Person;

/// Popular items that a group releases to one ranking.
const POPULAR_MAX: usize = 1000;

/// Where the stored profile was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProfileSource {
    Home,
    VisitorSlice,
    Nowhere,
}

impl ProfileSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::VisitorSlice => "visitor_slice",
            Self::Nowhere => "none",
        }
    }
}

/// An answer without its decision.
struct Ranked {
    answer: v1::RecommendResponse,
    floors_unmet: Vec<v1::FloorUnmet>,
    explored: Vec<ExploredItem>,
}

impl State {
    /// Answers one request.
    pub(super) async fn recommend(
        &self,
        call: edge::RecommendCall,
    ) -> Result<v1::RecommendResponse, Failure> {
        let began = Instant::now();
        let caller = self.caller(call.caller)?;
        if caller.verified.is_some() {
            caller.allowed(Scope::Recommend)?;
        }
        let request = call.request.unwrap_or_default();
        let asked = self.explores().then(|| request.clone());
        let query = validate::recommend(request)?;
        self.catch_up(query.revision.as_deref()).await?;
        let law = self.law.applicable(caller.home(), &caller.location, (self.clock)());
        let mut known = self.known(&caller, query.receipt.as_deref(), &law).await?;
        let asking = known.asking(&caller, self);
        let decision = known.told(decide_under(&law, &asking));
        let log_id = self.log_decision("recommend", &caller, &asking, &decision)?;
        let (person, source) = self.profile(&caller, &mut known, &decision, &law).await?;
        let draws = asked.and_then(|asked| self.draws(&caller, &decision, asked));
        let Ranked { mut answer, floors_unmet, explored } =
            self.rank(&caller, &query, &known, &decision, person.as_ref(), draws)?;
        self.log_explored(&log_id, explored)?;
        let shown = shown_decision(&decision, source, log_id.to_string());
        answer.decision = Some(v1::Decision { floors_unmet, ..shown });
        answer.receipt = known.receipt;
        answer.home_edge = self.home_edge(law.home.domain.as_ref());
        answer.served_by = Some(self.served_by());
        answer.took_ms = began.elapsed().as_secs_f64() * 1000.0;
        Ok(answer)
    }

    /// The rows that the decision lets this node read.
    async fn profile(
        &self,
        caller: &Caller,
        known: &mut Known,
        decision: &Decision,
        law: &Applicable,
    ) -> Result<(Option<Pinned<Person>>, ProfileSource), Failure> {
        let home = law.home.domain.as_ref();
        match (decision.profile_read, home) {
            (ProfileRead::No, _) | (_, None) => Ok((None, ProfileSource::Nowhere)),
            (_, Some(home)) if home == self.domain() => {
                Ok((known.person.take(), ProfileSource::Home))
            }
            (ProfileRead::Edge, Some(_)) if law.location.domain.as_ref() == Some(self.domain()) => {
                self.slice(caller).await
            }
            (_, Some(home)) => Err(misrouted(home)),
        }
    }

    /// A visitor's slice. Home's own rows stay at home: no link carries them here.
    async fn slice(
        &self,
        caller: &Caller,
    ) -> Result<(Option<Pinned<Person>>, ProfileSource), Failure> {
        let Some((issuer, subject)) = caller.person() else {
            return Ok((None, ProfileSource::Nowhere));
        };
        let key = self.people.key(issuer, subject);
        let household = self.people.household(&key)?;
        let (age_max, within) = (self.timing.consent_age_max, self.timing.read_within);
        household.group.fresh(age_max, within).await?;
        Ok((Some(household.person(&key)?), ProfileSource::VisitorSlice))
    }

    fn rank(
        &self,
        caller: &Caller,
        query: &RecommendQuery,
        known: &Known,
        decision: &Decision,
        person: Option<&Pinned<Person>>,
        draws: Option<Draws>,
    ) -> Result<Ranked, Failure> {
        let person =
            person.map(|p| p.open(&self.standpoint)).transpose().map_err(|e| refused(&e))?;
        let history = history(person, &known.blocked, decision.granted);
        let popular = self.popular(decision);
        let shelf = self.catalogue.view();
        let request = Request {
            decision,
            query,
            now: (self.clock)(),
            location: &caller.location,
            age: age(caller.age_band(), decision),
            history: &history,
            popular: &popular,
            objectives: self.ranking.objectives,
            exploration_share_max: draws
                .map_or(Ratio::ZERO, |_| self.ranking.exploration_share_max),
            draws: draws.unwrap_or(Draws::new(0)),
        };
        let ranking = recommend(&request, &shelf);
        for fault in &ranking.faults {
            tracing::error!(%fault, "a source failed");
        }
        let naming = match decision.location_domain.as_ref() == Some(self.domain()) {
            true => Naming::History,
            false => Naming::Nothing,
        };
        let answer = v1::RecommendResponse {
            items: shown(&ranking, &shelf, naming),
            main_parameters: main_parameters(&ranking),
            ..v1::RecommendResponse::default()
        };
        let explored = explored(&ranking, &shelf);
        Ok(Ranked { answer, floors_unmet: floors_unmet(&ranking), explored })
    }

    fn popular(&self, decision: &Decision) -> Released {
        if !decision.granted.contains(Signal::Agg) {
            return Arc::new(Vec::<(ItemId, f64)>::new());
        }
        let k_min = decision.k_min();
        self.popularity.released(k_min, || self.people.released(k_min, POPULAR_MAX))
    }

    fn home_edge(&self, home: Option<&DomainId>) -> Option<String> {
        self.control.view().domains.get(home?)?.edge.clone()
    }
}

/// The youngest the person can be; what an unknown age counts as is the law's say.
fn age(band: AgeBand, decision: &Decision) -> u8 {
    band.lower_bound().unwrap_or(decision.steps.age)
}

fn misrouted(home: &DomainId) -> Failure {
    Failure::new(
        Kind::Stale,
        format!("this profile is read in domain {home} alone: ask a node there"),
    )
}

/// The decision as it is told.
fn told(decision: &Decision) -> v1::Decision {
    v1::Decision {
        variant: decision.variant.to_string(),
        profile_read: decision.profile_read.to_string(),
        event_store: decision.event_store.to_string(),
        third_party_data: if decision.third_party_data() { "yes" } else { "no" }.into(),
        reason_codes: decision.reasons.iter().map(|reason| reason.to_string()).collect(),
        packs: decision
            .packs
            .iter()
            .map(|pack| v1::PackRef {
                pack: pack.pack.to_string(),
                version: pack.version,
                hash: pack.hash.to_string(),
            })
            .collect(),
        granted: decision.granted.iter().map(|signal| signal.to_string()).collect(),
        ..v1::Decision::default()
    }
}

fn shown_decision(decision: &Decision, source: ProfileSource, log_id: String) -> v1::Decision {
    v1::Decision { profile_source: source.as_str().into(), log_id, ..told(decision) }
}
