//! What is known of the person, and how fresh: from home, or from the receipt they carry.

use bailiwick_core::ids::{DomainId, ItemId};
use bailiwick_core::pinned::Pinned;
use bailiwick_core::policy::{
    Applicable, Asking, Consent, Decision, HomeReach, Reason, SensitiveConsent, Signal, SignalSet,
    Toggle, Variant,
};
use bailiwick_proto::failure::Failure;

use super::State;
use super::caller::Caller;
use crate::mutant::{Mutant, planted};
use crate::receipt::{Freshness, Holder, ReceiptFacts};
use crate::recommend::{Declared, History, Touch};
use crate::users::{ConsentState, Interaction, Person};

/// Whether the person's choices could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choices {
    /// At home, from a receipt, or there are none to read.
    Read,
    /// Home can't be reached and no receipt tells them: what is granted may be less than they chose.
    Unread,
}

/// The person's choices, and where they were read.
pub(super) struct Known {
    pub(super) consent: Consent,
    pub(super) sensitive: SensitiveConsent,
    pub(super) toggle: Toggle,
    pub(super) reach: HomeReach,
    /// Whether the choices above are the person's own.
    pub(super) choices: Choices,
    /// Items never to be shown.
    pub(super) blocked: Vec<ItemId>,
    /// The rows, at home.
    pub(super) person: Option<Pinned<Person>>,
    /// A fresh receipt of it, at home.
    pub(super) receipt: Option<String>,
}

impl Known {
    /// Of somebody who shows no token, or whose home keeps nothing.
    fn nobody() -> Self {
        Self {
            choices: Choices::Read,
            consent: Consent::None,
            sensitive: SensitiveConsent::Na,
            toggle: Toggle::Unset,
            reach: HomeReach::Reachable,
            blocked: Vec::new(),
            person: None,
            receipt: None,
        }
    }

    /// Of somebody whose home is out of reach, and who carries nothing that tells their choices.
    fn unread() -> Self {
        Self { choices: Choices::Unread, reach: HomeReach::Unreachable, ..Self::nobody() }
    }

    fn of_receipt(facts: ReceiptFacts, reach: HomeReach) -> Self {
        Self {
            consent: facts.consent,
            sensitive: facts.sensitive,
            toggle: facts.toggle,
            reach,
            choices: Choices::Read,
            blocked: facts.blocked,
            person: None,
            receipt: None,
        }
    }

    fn at_home(
        consent: &ConsentState,
        blocked: Vec<ItemId>,
        person: Pinned<Person>,
        receipt: Option<String>,
    ) -> Self {
        Self {
            consent: consent.consent,
            sensitive: consent.sensitive,
            toggle: consent.toggle,
            reach: HomeReach::Reachable,
            choices: Choices::Read,
            blocked,
            person: Some(person),
            receipt,
        }
    }

    /// What the decision looks at.
    pub(super) fn asking(&self, caller: &Caller, state: &State) -> Asking {
        Asking {
            service: caller.service(state.anonymous_service),
            age_band: caller.age_band(),
            consent: self.consent,
            toggle: self.toggle,
            gpc: caller.gpc,
            sensitive: self.sensitive,
            reach: self.reach,
        }
    }

    /// The decision, saying also where it rests on choices that could not be read: less may be granted
    /// than the person chose, and the model's own step 4 says so only where stored signals fell away.
    pub(super) fn told(&self, mut decision: Decision) -> Decision {
        if planted(Mutant::WidenPack) {
            decision.variant = Variant::ProfileFull;
        }
        if self.choices == Choices::Unread {
            decision.reasons.insert(Reason::HomeUnreachable);
        }
        decision
    }
}

impl State {
    /// What is known of the caller. Consent is fresh or it is `none`: at home it is read at most as old
    /// as it may be; elsewhere it comes from a receipt, asked of home or carried by the app.
    pub(super) async fn known(
        &self,
        caller: &Caller,
        receipt: Option<&str>,
        law: &Applicable,
    ) -> Result<Known, Failure> {
        if caller.verified.is_none() {
            return Ok(Known::nobody());
        }
        match &law.home.domain {
            None => Ok(Known::nobody()),
            Some(home) if home == self.domain() => match self.at_home(caller, receipt, home).await?
            {
                Some(known) => Ok(known),
                None => Ok(self.carried(caller, receipt, home_of(law))),
            },
            Some(home) => {
                let asked = match (&caller.token, caller.home_unreachable) {
                    (Some(token), false) => self.away.receipt(self, home, token).await,
                    _ => None,
                };
                let facts = asked.and_then(|text| self.read_receipt(caller, &text, home));
                Ok(match facts {
                    Some(facts) => Known::of_receipt(facts, HomeReach::Reachable),
                    None => self.carried(caller, receipt, Some(home)),
                })
            }
        }
    }

    /// The person as this replica has them; none when it can't be sure that it is up to date. A receipt
    /// tells how new it must be, so that whoever carries one is treated by the choice that it states.
    async fn at_home(
        &self,
        caller: &Caller,
        receipt: Option<&str>,
        home: &DomainId,
    ) -> Result<Option<Known>, Failure> {
        let Some((issuer, subject)) = caller.person() else { return Ok(None) };
        let key = self.people.key(issuer, subject);
        let household = self.people.household(&key)?;
        let (age_max, within) = (self.timing.consent_age_max, self.timing.read_within);
        if household.group.fresh(age_max, within).await.is_err() {
            return Ok(None);
        }
        let facts = receipt.and_then(|text| self.read_receipt(caller, text, home));
        let timely = facts.filter(|facts| facts.freshness == Freshness::Fresh);
        if let Some(facts) = timely
            && household.group.applied(facts.revision, within).await.is_err()
        {
            return Ok(None);
        }
        let person = household.person(&key)?;
        let open = person.open(&self.standpoint).map_err(|e| refused(&e))?;
        let mut consent = open.consent.clone();
        if planted(Mutant::StaleConsent) && consent.consent != Consent::None {
            consent.consent = Consent::Granted;
        }
        let blocked = open.blocked.iter().map(|block| block.item.clone()).collect();
        let receipt = self.receipt_of(caller, &consent, &open.blocked);
        Ok(Some(Known::at_home(&consent, blocked, person, receipt)))
    }

    /// What the app carries: a receipt that holds, or nothing.
    fn carried(&self, caller: &Caller, receipt: Option<&str>, home: Option<&DomainId>) -> Known {
        let facts =
            receipt.zip(home).and_then(|(text, home)| self.read_receipt(caller, text, home));
        match facts {
            Some(facts) => Known::of_receipt(facts, HomeReach::Unreachable),
            None => Known::unread(),
        }
    }

    fn read_receipt(&self, caller: &Caller, text: &str, home: &DomainId) -> Option<ReceiptFacts> {
        let (person, audience) = caller.holder()?;
        let holder = Holder { person: &person, home, audience };
        let read = self.receipts.verify(text, &holder, (self.clock)());
        read.inspect_err(|refusal| tracing::debug!(%refusal, "a receipt is not believed")).ok()
    }
}

fn home_of(law: &Applicable) -> Option<&DomainId> {
    law.home.domain.as_ref()
}

/// The part of a person that `granted` lets ranking read; blocks hold in every path.
pub(super) fn history(person: Option<&Person>, blocked: &[ItemId], granted: SignalSet) -> History {
    let mut history = History { blocked: blocked.to_vec(), ..History::default() };
    let Some(person) = person else { return history };
    if granted.contains(Signal::Exp) {
        history.explicit = touches(&person.profile.explicit);
        let interests = &person.interests;
        history.interests = Declared {
            categories: interests.categories.clone(),
            creators: interests.creators.clone(),
            languages: interests.languages.clone(),
        };
    }
    if granted.contains(Signal::Beh) {
        history.behaviour = touches(&person.profile.behaviour);
        history.older.clone_from(&person.profile.older);
    }
    history
}

fn touches(entries: &[Interaction]) -> Vec<Touch> {
    let touch = |entry: &Interaction| Touch {
        item: entry.item.clone(),
        weight: entry.weight,
        at: entry.at,
    };
    entries.iter().map(touch).collect()
}

pub(super) fn refused(error: &impl std::fmt::Display) -> Failure {
    Failure::new(bailiwick_core::kind::Kind::Refused, error.to_string())
}
