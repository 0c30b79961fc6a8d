//! Events: decided, sealed, and durable on a quorum before they are acknowledged.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Pinned;
use bailiwick_core::policy::{
    Applicable, Asking, Decision, EventStore, HomeReach, Service, decide_under,
};
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::validate::{self, CheckedEvent};
use bailiwick_proto::{edge, v1};
use bytes::Bytes;
use futures::future::poll_immediate;

use super::State;
use super::caller::Caller;
use super::known::refused;
use super::people::Household;
use super::person::{BUILD_TRIES, lacks_quorum};
use crate::buffer::{Batch, BufferError, Delivery};
use crate::cluster::GroupError;
use crate::mutant::{Mutant, planted};
use crate::seal::PersonKey;
use crate::users::{Applied, BuildError, Counting, Facts, NewEvent, When};

/// A lease that ran out is renewed within about this time, if at all.
const LEASE_WAIT: Duration = Duration::from_millis(500);

impl From<BufferError> for Failure {
    fn from(error: BufferError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// The events of one request, on their way.
struct Incoming<'a> {
    key: PersonKey,
    household: &'a Household,
    events: Vec<NewEvent>,
    facts: Facts,
    /// When they were sent, or taken to be kept.
    asked: UnixMillis,
}

/// Why events were not taken by their group.
enum NotTaken {
    /// It lacks a quorum: buffering may help.
    Quorum,
    Failed(Failure),
}

impl From<Failure> for NotTaken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl State {
    /// Takes events where the decision says.
    pub(super) async fn record_events(
        &self,
        call: edge::RecordEventsCall,
    ) -> Result<v1::RecordEventsResponse, Failure> {
        let caller = self.caller(call.caller)?;
        let verified = caller.allowed(Scope::Events)?;
        let batch = validate::events(call.request.unwrap_or_default())?;
        let law = self.law.applicable(&verified.home, &caller.location, (self.clock)());
        self.knows_the_law()?;
        let (issuer, subject) = (&verified.issuer, verified.person());
        let key = self.people.key(issuer, subject);
        let now = (self.clock)();
        let events = batch.events.into_iter().map(|event| new_event(event, now)).collect();
        let facts = facts_of(&caller, self.anonymous_service);
        let (household, asked) = (self.people.household(&key)?, caller.asked);
        let incoming = Incoming { household, key, events, facts, asked };
        let known = self.known(&caller, batch.receipt.as_deref(), &law).await?;
        if known.reach == HomeReach::Unreachable && self.is_home(&law) {
            return self.buffer(&law, incoming, known.asking(&caller, self)).await;
        }
        let mut asking = known.asking(&caller, self);
        let mut decision = decide_under(&law, &asking);
        let unlinked = !matches!(decision.event_store, EventStore::Linked(_));
        // Whoever has just consented must not lose what they do next to a replica that does not know of it yet.
        if unlinked
            && self.is_home(&law)
            && let Some(newest) =
                self.newest(&caller, batch.receipt.as_deref(), &law, &incoming).await
        {
            asking = newest;
            decision = decide_under(&law, &asking);
        }
        self.log_decision("events", &caller, &asking, &decision)?;
        match self.store(&caller, &law, &incoming, &decision).await {
            Ok(answer) => Ok(answer),
            Err(NotTaken::Failed(failure)) => Err(failure),
            Err(NotTaken::Quorum) => self.buffer(&law, incoming, asking).await,
        }
    }

    /// What is asked by the person's choices as the group's leader has them now; none where it can't confirm them.
    async fn newest(
        &self,
        caller: &Caller,
        receipt: Option<&str>,
        law: &Applicable,
        incoming: &Incoming<'_>,
    ) -> Option<Asking> {
        incoming.household.group.refresh(self.timing.read_within).await.ok()?;
        let known = self.known(caller, receipt, law).await.ok()?;
        (known.reach == HomeReach::Reachable).then(|| known.asking(caller, self))
    }

    /// Whether the law that was just looked up is the packs'. Without a lease on them everything counts as STRICT,
    /// which knows no home and stores nothing: that would refuse for good, or lose for ever, what is only not known
    /// for a moment, on a node that has just started for one.
    pub(super) fn knows_the_law(&self) -> Result<(), Failure> {
        match self.law.lease_left().is_zero() {
            true => {
                Err(Failure::new(Kind::Unavailable, "the lease on the policy packs has run out")
                    .retry_after(LEASE_WAIT))
            }
            false => Ok(()),
        }
    }

    fn is_home(&self, law: &Applicable) -> bool {
        law.home.domain.as_ref() == Some(self.domain())
    }

    async fn store(
        &self,
        caller: &Caller,
        law: &Applicable,
        incoming: &Incoming<'_>,
        decision: &Decision,
    ) -> Result<v1::RecordEventsResponse, NotTaken> {
        let counting = Counting::of(decision);
        let applied = match &decision.event_store {
            EventStore::None => return Ok(answer(decision, &Applied::default(), None)),
            EventStore::Aggregate => self.aggregate(incoming, counting).await?,
            EventStore::Linked(domain) if domain == self.domain() => {
                if !self.is_home(law) {
                    self.tell_home(caller, law).await?;
                }
                #[cfg(any(feature = "mutants", debug_assertions))]
                if planted(Mutant::TellAbroad) {
                    self.tell_abroad(&incoming.key).await?;
                }
                self.linked(incoming, counting).await?
            }
            EventStore::Linked(domain) | EventStore::Buffer(domain) => {
                return Err(misplaced(domain).into());
            }
        };
        let revision = self.revision(incoming.household.group.id(), applied.1);
        Ok(answer(decision, &applied.0, revision))
    }

    /// Home learns which domains hold a slice before there is one, so that rights reach it.
    async fn tell_home(&self, caller: &Caller, law: &Applicable) -> Result<(), Failure> {
        let unavailable =
            || Failure::new(Kind::Unavailable, "the person's home can't be told of this event");
        let home = law.home.domain.as_ref().ok_or_else(unavailable)?;
        let token = caller.token.as_deref().ok_or_else(unavailable)?;
        let noted = self.away.note_slice(self, home, token).await;
        noted.then_some(()).ok_or_else(unavailable)
    }

    async fn linked(
        &self,
        incoming: &Incoming<'_>,
        counting: Counting,
    ) -> Result<(Applied, u64), NotTaken> {
        let household = incoming.household;
        let make = || {
            household.builder.linked_events(
                household.group.reader(),
                &incoming.key,
                &incoming.events,
                Some(&incoming.facts),
                counting,
                When { asked: incoming.asked, now: (self.clock)() },
            )
        };
        self.propose_anew(household, make).await
    }

    async fn aggregate(
        &self,
        incoming: &Incoming<'_>,
        counting: Counting,
    ) -> Result<(Applied, u64), NotTaken> {
        let household = incoming.household;
        let make = || {
            household.builder.aggregate_events(
                household.group.reader(),
                &incoming.key,
                &incoming.events,
                counting,
                When { asked: incoming.asked, now: (self.clock)() },
            )
        };
        let (mut applied, index) = self.propose_anew(household, make).await?;
        // Who made the command left out what is of a life that was erased.
        let sent = u32::try_from(incoming.events.len()).unwrap_or(u32::MAX);
        applied.past = sent.saturating_sub(applied.accepted.saturating_add(applied.duplicates));
        Ok((applied, index))
    }

    /// Proposes what `make` makes, anew where something else came before it that it should have known: another command
    /// opened the day, or the person was erased. This replica must have it before the next try.
    async fn propose_anew(
        &self,
        household: &Household,
        make: impl Fn() -> Result<Pinned<Bytes>, BuildError>,
    ) -> Result<(Applied, u64), NotTaken> {
        for _ in 0..BUILD_TRIES {
            match self.propose(household, &make().map_err(Failure::from)?).await {
                Err(NotTaken::Failed(failure)) if failure.kind == Kind::Stale => {
                    let caught_up = household.group.refresh(self.timing.read_within).await;
                    caught_up.map_err(Failure::from)?;
                }
                other => return other,
            }
        }
        Err(Failure::new(Kind::Overloaded, "the day's counters are contended").into())
    }

    async fn propose(
        &self,
        household: &Household,
        command: &Pinned<Bytes>,
    ) -> Result<(Applied, u64), NotTaken> {
        let command = command.open(&self.standpoint).map_err(|e| refused(&e))?.clone();
        let mut proposing = pin!(household.group.propose(command, self.timing.events_within));
        if planted(Mutant::AcknowledgeEarly) {
            let _ = poll_immediate(&mut proposing).await;
            return Ok((Applied { accepted: 1, ..Applied::default() }, 0));
        }
        match proposing.await {
            Ok(done) => {
                let applied = Applied::decode(&done.outcome).map_err(Failure::from)?;
                Ok((applied, done.log_index))
            }
            Err(error) if lacks_quorum(&error) => Err(NotTaken::Quorum),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    /// Keeps events, sealed, until their group is back. Whether they may be stored is decided again
    /// then, by the consent of that moment; here it only must not be ruled out for every consent.
    async fn buffer(
        &self,
        law: &Applicable,
        incoming: Incoming<'_>,
        asking: Asking,
    ) -> Result<v1::RecordEventsResponse, Failure> {
        let unreachable = Asking { reach: HomeReach::Unreachable, ..asking };
        let most = decide_under(law, &unreachable.at_most());
        let domain = match &most.event_store {
            EventStore::Buffer(domain) | EventStore::Linked(domain) => domain.clone(),
            EventStore::Aggregate => self.domain().clone(),
            EventStore::None => return Ok(answer(&most, &Applied::default(), None)),
        };
        if domain != *self.domain() {
            return Err(Failure::new(Kind::Unavailable, "the group of this person lacks a quorum"));
        }
        let batch = Batch {
            person: incoming.key,
            received: (self.clock)(),
            asked: incoming.asked,
            facts: incoming.facts,
            events: incoming.events,
        };
        let (buffer, vault) = (Arc::clone(&self.buffer), Arc::clone(&incoming.household.vault));
        let accepted = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
        let put = self.offload.call(move || buffer.put(&vault, &batch)).await;
        put.map_err(|error| Failure::new(Kind::Broken, error.to_string()))??;
        Ok(v1::RecordEventsResponse {
            accepted,
            stored: EventStore::Buffer(domain).to_string(),
            ..v1::RecordEventsResponse::default()
        })
    }

    /// Delivers what waits, as far as its groups are back.
    pub async fn flush_buffer(&self) {
        let vault_of = |group: &bailiwick_core::ids::GroupId| {
            self.people.iter().find(|h| h.group.id() == group).map(|h| Arc::clone(&h.vault))
        };
        if self.buffer.waiting().batches == 0 {
            return;
        }
        let flushed = self.buffer.deliver((self.clock)(), vault_of, |batch| {
            Box::pin(async { self.deliver(batch).await.unwrap_or(Delivery::NotYet) })
        });
        match flushed.await {
            Ok(flushed) => tracing::info!(?flushed, "delivered buffered events"),
            Err(error) => tracing::warn!(%error, "buffered events wait on"),
        }
    }

    /// Decides again with the consent as it is now, and stores or drops.
    async fn deliver(&self, batch: Pinned<Batch>) -> Result<Delivery, GroupError> {
        let Ok(batch) = batch.unpin(&self.standpoint) else { return Ok(Delivery::NotYet) };
        let Ok(household) = self.people.household(&batch.person) else {
            return Ok(Delivery::NotYet);
        };
        household.group.refresh(self.timing.read_within).await?;
        let Ok(asking) = self.asking_now(household, &batch) else { return Ok(Delivery::NotYet) };
        let facts = &batch.facts;
        let law = self.law.applicable(&facts.home, &facts.location, (self.clock)());
        if self.knows_the_law().is_err() {
            return Ok(Delivery::NotYet);
        }
        let decision = decide_under(&law, &asking);
        let Batch { person: key, asked, events, facts, .. } = batch;
        let incoming = Incoming { key, household, events, facts, asked };
        let counting = Counting::of(&decision);
        let stored = match &decision.event_store {
            EventStore::Linked(domain) if domain == self.domain() => {
                self.linked(&incoming, counting).await
            }
            EventStore::Aggregate => self.aggregate(&incoming, counting).await,
            _ => return Ok(Delivery::Dropped),
        };
        Ok(match stored {
            Ok(_) => Delivery::Delivered,
            // Refused for good, by what the events are: waiting would only hold up the others.
            Err(NotTaken::Failed(failure)) if failure.kind == Kind::Invalid => Delivery::Dropped,
            Err(_) => Delivery::NotYet,
        })
    }

    fn asking_now(&self, household: &Household, batch: &Batch) -> Result<Asking, Failure> {
        let person = household.person(&batch.person)?;
        let consent = &person.open(&self.standpoint).map_err(|e| refused(&e))?.consent;
        Ok(batch.facts.asking(consent))
    }
}

/// What the decision looks at besides the person's choices.
fn facts_of(caller: &Caller, anonymous: Service) -> Facts {
    Facts {
        home: caller.home().clone(),
        location: caller.location.clone(),
        service: caller.service(anonymous),
        age_band: caller.age_band(),
        gpc: caller.gpc,
    }
}

fn new_event(event: CheckedEvent, now: UnixMillis) -> NewEvent {
    NewEvent {
        id: event.id,
        item: event.item,
        kind: event.kind,
        value: event.value,
        at: event.at.unwrap_or(now),
        log_id: event.log_id,
        position: event.position,
    }
}

fn answer(
    decision: &Decision,
    applied: &Applied,
    revision: Option<String>,
) -> v1::RecordEventsResponse {
    v1::RecordEventsResponse {
        accepted: applied.accepted,
        duplicates: applied.duplicates,
        past: applied.past,
        stored: decision.event_store.to_string(),
        revision,
    }
}

fn misplaced(domain: &DomainId) -> Failure {
    Failure::new(Kind::Stale, format!("this event belongs to domain {domain}: send it there"))
}
