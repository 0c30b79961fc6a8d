//! The node that speaks for its domain in a session, wherever it is asked from.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{DomainId, NodeName, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Form, Interactions, PooledModel, Round};
use bailiwick_core::pinned::Pinned;
use bailiwick_proto::failure::Failure;
use ring::rand::SystemRandom;

use super::learner::{Learner, SessionId, WITHIN, Withdraw};
use super::party::{Party, PartyError};
use super::people::{Leavers, PeopleError, interactions, permitted};
use super::{
    Allowance, Attempt, ItemOrder, MaskedShare, Offer, RunId, SumError, Terms, training_options,
};
use crate::control::{self, ControlView};

/// What a session is about.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) run: Vec<u8>,
    /// By domain, the node that speaks for it.
    pub(super) parties: BTreeMap<DomainId, NodeName>,
}

/// This node, speaking for its domain.
pub(super) struct Speaker {
    learner: Arc<Learner>,
    session: Session,
    terms: Terms,
    offer: Option<Offer>,
    party: Option<Party>,
    _withdraw: Withdraw,
}

impl From<SumError> for Failure {
    fn from(error: SumError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<PartyError> for Failure {
    fn from(error: PartyError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<PeopleError> for Failure {
    /// Its own words may hold one of a person's; a failure goes to the coordinator, abroad, and into control.
    fn from(error: PeopleError) -> Self {
        Self::new(error.kind(), "the people of this domain can't be read")
    }
}

fn given_up(error: &std::io::Error) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

impl Speaker {
    /// Reads the domain's people and offers a key to each of the others.
    pub(super) async fn begin(
        learner: &Arc<Learner>,
        session: Session,
        order: Arc<ItemOrder>,
    ) -> Result<Self, Failure> {
        if session.parties.get(learner.domain()) != Some(&learner.name) {
            let words = "this node does not speak for its domain in that session";
            return Err(Failure::new(Kind::Refused, words));
        }
        for group in learner.groups.users() {
            group.refresh(WITHIN).await?;
        }
        if learner.law.lease_left().is_zero() {
            return Err(Failure::new(Kind::Unavailable, "the lease on the packs has run out"));
        }
        let (random, domains) = (SystemRandom::new(), session.parties.keys());
        let offer = Offer::new(RunId(session.id), learner.domain(), domains, &random)?;
        let withdraw = learner.offer(session.id, offer.public())?;
        let (reading, terms) = (Arc::clone(learner), learner.terms(&session)?);
        let run = session.run.clone();
        let read = learner.offload.call(move || reading.read_people(&order, terms, &run)).await;
        let party = read.map_err(|error| given_up(&error))??;
        Ok(Self {
            learner: Arc::clone(learner),
            session,
            terms,
            offer: Some(offer),
            party: Some(party),
            _withdraw: withdraw,
        })
    }

    /// How examples are made and weighed.
    pub(super) fn form(&self) -> Form {
        self.terms.options.form
    }

    fn party(&mut self) -> Result<&mut Party, Failure> {
        let lost = || Failure::new(Kind::Broken, "the session is lost");
        self.party.as_mut().ok_or_else(lost)
    }

    /// Fetches every other party's key from that party, and agrees.
    pub(super) async fn agree(&mut self) -> Result<(), Failure> {
        let twice = || Failure::new(Kind::Stale, "this party has agreed already");
        let offer = self.offer.take().ok_or_else(twice)?;
        let own = self.learner.domain();
        let mut theirs = BTreeMap::new();
        for (domain, node) in self.session.parties.iter().filter(|(domain, _)| *domain != own) {
            let key = self.learner.key_of(self.session.id, domain, node).await?;
            theirs.insert(domain.clone(), key);
        }
        let masks = offer.agree(&theirs)?;
        self.party()?.agreed(masks);
        Ok(())
    }

    pub(super) fn census(&mut self, at: Attempt) -> Result<MaskedShare, Failure> {
        Ok(self.party()?.census(at)?)
    }

    pub(super) async fn share(
        &mut self,
        at: Attempt,
        round: Round,
        model: Arc<PooledModel>,
        people: u64,
    ) -> Result<MaskedShare, Failure> {
        // Whoever is dropped while it computes loses the session with the party.
        let lost = || Failure::new(Kind::Broken, "the session is lost");
        let mut party = self.party.take().ok_or_else(lost)?;
        let computed = self.learner.offload.call(move || {
            let share = party.share(at, &round, &model, people);
            (party, share)
        });
        let (party, share) = computed.await.map_err(|error| given_up(&error))?;
        self.party = Some(party);
        Ok(share?)
    }
}

impl Learner {
    /// The terms of the run as the control group has them: the coordinator has no say in how noisy a share is.
    fn terms(&self, session: &Session) -> Result<Terms, Failure> {
        let view = self.control.view();
        let run = view.learning.as_ref().filter(|run| run.run == session.run);
        let run = run.ok_or_else(|| Failure::new(Kind::Stale, "this run is not under way"))?;
        let options = training_options(&run.options.unwrap_or_default());
        let options = options.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        Ok(Terms { options, domains: session.parties.len() })
    }

    fn read_people(
        &self,
        order: &ItemOrder,
        terms: Terms,
        run: &[u8],
    ) -> Result<Party, PeopleError> {
        let (view, now) = (self.control.view(), (self.clock)());
        let budget = terms.options.budget;
        // With what this run spends: the coordinator notes it before it asks anybody.
        let told = budget.map(|budget| control::total(&view.privacy, now).epsilon(budget.delta()));
        let since = view.models.active.as_ref().map(|model| UnixMillis(model.learned_ms));
        let leavers = Leavers { since, run, least: terms.options.people_min };
        let most = terms.options.person_items_max;
        let people = self.learnable(order, most, told, Some(leavers))?;
        Ok(Party::new(people, self.here.clone(), terms, self.allowance(&view, terms, run)))
    }

    /// How many noisy shares of a run are paid for; none where shares have no noise.
    fn allowance(&self, view: &ControlView, terms: Terms, run: &[u8]) -> Option<Allowance> {
        let budget = terms.options.budget?;
        let paid = budget.pays(terms.options.sums(), control::spent_by(&view.privacy, run));
        let known = view.learning.as_ref().filter(|known| known.run == run);
        // Rounds are done after the census.
        let rounds = known.map_or(0, |known| known.done);
        let done = if rounds == 0 { 0 } else { u64::from(rounds) + 1 };
        Some(Allowance { tally: Arc::clone(&self.tally), run: run.to_vec(), done, paid })
    }

    /// What the people of this domain took who may be learned from, now, by sums that with those before tell `told`
    /// of each. Blocks.
    pub(super) fn learnable(
        &self,
        order: &ItemOrder,
        most: usize,
        told: Option<f64>,
        leavers: Option<Leavers<'_>>,
    ) -> Result<Pinned<Interactions>, PeopleError> {
        let now = (self.clock)();
        let permits = |person: &crate::users::Learnable| {
            let home = &person.facts.home;
            permitted(&self.law.applicable(home, home, now), person, &self.here, told)
        };
        interactions(&self.people, &self.here, order, most, &permits, leavers)
    }
}
