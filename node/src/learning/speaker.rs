//! The node that speaks for its domain in a session, wherever it is asked from.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Interactions, PooledModel, Round};
use bailiwick_core::pinned::Pinned;
use bailiwick_proto::failure::Failure;
use ring::rand::SystemRandom;

use super::learner::{Learner, SessionId, WITHIN, Withdraw};
use super::party::{Party, PartyError};
use super::people::{PeopleError, interactions, permitted};
use super::{Attempt, ItemOrder, MaskedShare, Offer, RunId, SumError};

/// What a session is about.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// By domain, the node that speaks for it.
    pub(super) parties: BTreeMap<DomainId, NodeName>,
    /// Items of one person that count at most.
    pub(super) person_items_max: usize,
}

/// This node, speaking for its domain.
pub(super) struct Speaker {
    learner: Arc<Learner>,
    session: Session,
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
        let (reading, most) = (Arc::clone(learner), session.person_items_max);
        let read = learner.offload.call(move || reading.read_people(&order, most)).await;
        let party = read.map_err(|error| given_up(&error))??;
        Ok(Self {
            learner: Arc::clone(learner),
            session,
            offer: Some(offer),
            party: Some(party),
            _withdraw: withdraw,
        })
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
    ) -> Result<MaskedShare, Failure> {
        // Whoever is dropped while it computes loses the session with the party.
        let lost = || Failure::new(Kind::Broken, "the session is lost");
        let mut party = self.party.take().ok_or_else(lost)?;
        let computed = self.learner.offload.call(move || {
            let share = party.share(at, &round, &model);
            (party, share)
        });
        let (party, share) = computed.await.map_err(|error| given_up(&error))?;
        self.party = Some(party);
        Ok(share?)
    }
}

impl Learner {
    fn read_people(&self, order: &ItemOrder, most: usize) -> Result<Party, PeopleError> {
        Ok(Party::new(self.learnable(order, most)?, self.here.clone()))
    }

    /// What the people of this domain took who may be learned from, now. Blocks.
    pub(super) fn learnable(
        &self,
        order: &ItemOrder,
        most: usize,
    ) -> Result<Pinned<Interactions>, PeopleError> {
        let now = (self.clock)();
        let permits = |person: &crate::users::Learnable| {
            let home = &person.facts.home;
            permitted(&self.law.applicable(home, home, now), person, &self.here)
        };
        interactions(&self.people, &self.here, order, most, &permits)
    }
}
