//! The person's own controls.

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Pinned;
use bailiwick_core::policy::{Consent, SensitiveConsent};
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::UsersRefusal;
use bailiwick_proto::{edge, v1, validate};
use bytes::Bytes;

use super::State;
use super::caller::Caller;
use super::known::refused;
use super::people::Household;
use crate::cluster::{GroupError, Proposed};
use crate::seal::PersonKey;
use crate::users::{
    self, Applied, Block, BuildError, ConsentPatch, ConsentState, Facts, Interests, NewEvent, When,
};

/// A person may be erased while a command is made; then it is made anew.
pub(super) const BUILD_TRIES: usize = 5;

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<users::Refused> for Failure {
    fn from(refused: users::Refused) -> Self {
        Self::new(refused.kind(), refused.reason)
    }
}

/// A person at home, whose rows may be read and changed here.
pub(super) struct AtHome<'a> {
    pub(super) key: PersonKey,
    pub(super) household: &'a Household,
}

impl State {
    /// The caller's place here, if this is their home.
    pub(super) fn home_of(&self, caller: &Caller) -> Result<AtHome<'_>, Failure> {
        let law = self.law.applicable(caller.home(), &caller.location, (self.clock)());
        match &law.home.domain {
            Some(home) if home == self.domain() => {}
            Some(home) => return Err(not_home(home)),
            None => {
                self.knows_the_law()?;
                return Err(no_home());
            }
        }
        let (issuer, subject) = caller.person().ok_or_else(no_home)?;
        let key = self.people.key(issuer, subject);
        Ok(AtHome { key, household: self.people.household(&key)? })
    }

    /// Makes sure that what is read at home is not older than it may be.
    async fn fresh(&self, home: &AtHome<'_>) -> Result<(), Failure> {
        let (age_max, within) = (self.timing.consent_age_max, self.timing.read_within);
        Ok(home.household.group.fresh(age_max, within).await?)
    }

    /// Proposes a users command and reads what it answered. One that was made for a life that is over by then is made
    /// anew, once this replica knows of the erasure.
    pub(super) async fn change(
        &self,
        household: &Household,
        make: impl Fn() -> Result<Pinned<Bytes>, BuildError>,
    ) -> Result<(Proposed, Applied), Failure> {
        for _ in 0..BUILD_TRIES {
            let command = make()?.open(&self.standpoint).map_err(|e| refused(&e))?.clone();
            let done = household.group.propose(command, self.timing.write_within).await?;
            match Applied::decode(&done.outcome) {
                Err(refused) if refused.code == UsersRefusal::Erased => {
                    household.group.refresh(self.timing.read_within).await?;
                }
                applied => return Ok((done, applied?)),
            }
        }
        Err(Failure::new(Kind::Overloaded, "this person is erased again and again"))
    }

    pub(super) async fn get_consent(
        &self,
        call: edge::GetConsentCall,
    ) -> Result<v1::Consent, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let home = self.home_of(&caller)?;
        self.catch_up(call.request.and_then(|request| request.revision).as_deref()).await?;
        self.fresh(&home).await?;
        let person = home.household.person(&home.key)?;
        let consent = person.open(&self.standpoint).map_err(|e| refused(&e))?.consent.clone();
        Ok(self.told_consent(&caller, &home, &consent, None))
    }

    pub(super) async fn put_consent(
        &self,
        call: edge::PutConsentCall,
    ) -> Result<v1::Consent, Failure> {
        let caller = self.caller(call.caller)?;
        let change = validate::consent(&call.request.unwrap_or_default())?;
        may_change(&caller, change.consent)?;
        let home = self.home_of(&caller)?;
        let patch = ConsentPatch {
            consent: change.consent,
            sensitive: change.sensitive,
            toggle: change.toggle,
            asked: caller.asked,
        };
        let reader = home.household.group.reader();
        let builder = &home.household.builder;
        let make = || builder.put_consent(reader, &home.key, patch, (self.clock)());
        let (done, applied) = self.change(home.household, make).await?;
        let consent = applied.consent.unwrap_or_default();
        // The receipt below is made here, so this replica must have the change.
        home.household.group.applied(done.log_index, self.timing.read_within).await?;
        Ok(self.told_consent(&caller, &home, &consent, Some(done.log_index)))
    }

    fn told_consent(
        &self,
        caller: &Caller,
        home: &AtHome<'_>,
        consent: &ConsentState,
        index: Option<u64>,
    ) -> v1::Consent {
        let group = &home.household.group;
        let index = index.unwrap_or_else(|| *group.reader().applied().borrow());
        let sensitive = match consent.sensitive {
            // The system's own word for "nothing sensitive is known" is not the person's.
            SensitiveConsent::Na => SensitiveConsent::Unset,
            other => other,
        };
        v1::Consent {
            consent: consent.consent.to_string(),
            sensitive: sensitive.to_string(),
            toggle: consent.toggle.to_string(),
            revision: self.revision(group.id(), index),
            receipt: self.receipt_at(caller, home, consent),
        }
    }

    fn receipt_at(
        &self,
        caller: &Caller,
        home: &AtHome<'_>,
        consent: &ConsentState,
    ) -> Option<String> {
        let person = home.household.person(&home.key).ok()?;
        let blocked = &person.open(&self.standpoint).ok()?.blocked;
        self.receipt_of(caller, consent, blocked)
    }

    /// A receipt of what was read at home just now.
    pub(super) fn receipt_of(
        &self,
        caller: &Caller,
        consent: &ConsentState,
        blocked: &[Block],
    ) -> Option<String> {
        let (person, audience) = caller.holder()?;
        Some(self.signer.issue(consent, blocked, &person, audience, (self.clock)()))
    }

    pub(super) async fn get_interests(
        &self,
        call: edge::GetInterestsCall,
    ) -> Result<v1::Interests, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let home = self.home_of(&caller)?;
        self.catch_up(call.request.and_then(|request| request.revision).as_deref()).await?;
        self.fresh(&home).await?;
        let person = home.household.person(&home.key)?;
        let interests = person.open(&self.standpoint).map_err(|e| refused(&e))?.interests.clone();
        Ok(told_interests(interests, None))
    }

    pub(super) async fn put_interests(
        &self,
        call: edge::PutInterestsCall,
    ) -> Result<v1::Interests, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let set = validate::interests(&call.request.unwrap_or_default())?;
        let home = self.home_of(&caller)?;
        let interests = Interests {
            categories: set.categories.into_iter().collect(),
            creators: set.creators.into_iter().collect(),
            languages: set.languages.into_iter().collect(),
        };
        let reader = home.household.group.reader();
        let builder = &home.household.builder;
        let when = || When { asked: caller.asked, now: (self.clock)() };
        let make = || builder.put_interests(reader, &home.key, &interests, when());
        let (done, _) = self.change(home.household, make).await?;
        let revision = self.revision(home.household.group.id(), done.log_index);
        Ok(told_interests(interests, revision))
    }

    pub(super) async fn export(
        &self,
        call: edge::ExportCall,
    ) -> Result<v1::ExportResponse, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let home = self.home_of(&caller)?;
        self.fresh(&home).await?;
        let household = home.household;
        let person = household.person(&home.key)?;
        let person = person.open(&self.standpoint).map_err(|e| refused(&e))?;
        let events = users::read::events(household.group.reader(), &household.vault, &home.key)?;
        let events = events.open(&self.standpoint).map_err(|e| refused(&e))?;
        let facts = users::read::facts(household.group.reader(), &household.vault, &home.key)?;
        let facts = facts.map(|facts| facts.open(&self.standpoint).map(told_facts)).transpose();
        let facts = facts.map_err(|e| refused(&e))?;
        Ok(v1::ExportResponse {
            consent: Some(self.told_consent(&caller, &home, &person.consent, None)),
            interests: Some(told_interests(person.interests.clone(), None)),
            events: events.iter().map(told_event).collect(),
            blocked: person.blocked.iter().map(|block| block.item.to_string()).collect(),
            visitor_slices: person.slices.iter().map(DomainId::to_string).collect(),
            facts,
        })
    }

    /// A receipt for a node abroad that shows the person's own token.
    pub async fn receipt_for_token(&self, token: &str) -> Result<String, Failure> {
        let caller = self.shown(token)?;
        let home = self.home_of(&caller)?;
        self.fresh(&home).await?;
        let person = home.household.person(&home.key)?;
        let consent = person.open(&self.standpoint).map_err(|e| refused(&e))?.consent.clone();
        let receipt = self.receipt_at(&caller, &home, &consent);
        receipt.ok_or_else(|| Failure::new(Kind::Broken, "no receipt could be signed"))
    }

    /// Notes that `domain` holds a visitor's slice of the token's person.
    pub async fn note_slice(&self, token: &str, domain: &DomainId) -> Result<(), Failure> {
        let caller = self.shown(token)?;
        caller.allowed(Scope::Events)?;
        let home = self.home_of(&caller)?;
        let reader = home.household.group.reader();
        let builder = &home.household.builder;
        let make = || builder.note_slice(reader, &home.key, domain, (self.clock)());
        self.change(home.household, make).await.map(|_| ())
    }

    /// A caller known by the token alone, standing at home.
    pub(super) fn shown(&self, token: &str) -> Result<Caller, Failure> {
        let verified = self.verifier.verify(token, (self.clock)())?;
        Ok(Caller {
            location: verified.home.clone(),
            verified: Some(verified),
            token: Some(token.to_owned()),
            gpc: bailiwick_core::policy::Gpc::Absent,
            home_unreachable: false,
            asked: UnixMillis(0),
        })
    }
}

/// A parent's consent is given with a guardian's token, everything else with the person's own.
fn may_change(caller: &Caller, consent: Option<Consent>) -> Result<(), Failure> {
    let guardian = caller.verified.as_ref().is_some_and(|v| v.child.is_some());
    match (consent, guardian) {
        (Some(Consent::Parental), false) => Err(Failure {
            field: Some("consent".into()),
            ..Failure::new(
                Kind::Refused,
                "parental consent needs a guardian's token (scope guardian, claim child)",
            )
        }),
        (_, true) => caller.allowed(Scope::Guardian).map(|_| ()),
        (_, false) => caller.allowed(Scope::Person).map(|_| ()),
    }
}

fn not_home(home: &DomainId) -> Failure {
    Failure::new(Kind::Stale, format!("this person's home is domain {home}: ask there"))
}

fn no_home() -> Failure {
    Failure::new(Kind::Refused, "no pack names a domain for this home, so nothing is kept")
}

fn told_interests(interests: Interests, revision: Option<String>) -> v1::Interests {
    v1::Interests {
        categories: interests.categories,
        creators: interests.creators,
        languages: interests.languages,
        revision,
    }
}

fn told_facts(facts: &Facts) -> v1::AppFacts {
    v1::AppFacts {
        home: facts.home.to_string(),
        service: facts.service.to_string(),
        age_band: facts.age_band.to_string(),
        gpc: facts.gpc == bailiwick_core::policy::Gpc::Sent,
    }
}

fn told_event(event: &NewEvent) -> v1::Event {
    v1::Event {
        id: event.id.as_str().to_owned(),
        item: event.item.to_string(),
        kind: event.kind.as_str().to_owned(),
        value: event.value,
        at: moment(event.at),
        log_id: event.log_id.clone(),
        position: event.position,
    }
}

pub(super) fn moment(at: UnixMillis) -> Option<String> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|t| t.to_string())
}

/// Whether a group could not take a command for lack of a quorum.
pub(super) fn lacks_quorum(error: &GroupError) -> bool {
    matches!(error, GroupError::NoLeader { .. } | GroupError::Uncertain { .. })
}
