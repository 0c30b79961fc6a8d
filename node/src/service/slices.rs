//! Visitors' slices of somebody who was erased: the domains that hold one are told until they confirm it.
//!
//! Home knows those domains' names alone, and each domain has its own key for a person. So home shows the person's
//! token, which says who they are, as they would themselves. It is held in memory for as long as it is valid, an hour
//! at most; if a domain can't be reached until then, whoever reads the receipt sets it going again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, GroupId, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_net::Peer;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::SliceErasureRequest;

use super::State;
use super::away::{Away, FORMAT};
use super::person::AtHome;
use crate::users::{Erase, Erasure};

/// Erasures whose slices are being asked for at one time on this node; the others go on when their receipt is read.
const ERRANDS_MAX: usize = 1024;
/// A domain may take this long to erase a slice before it is asked again.
const WITHIN: Duration = Duration::from_secs(3);

/// An erasure of which other domains have yet to hear.
#[derive(Clone)]
struct Errand {
    token: String,
    group: GroupId,
    asked: UnixMillis,
    domains: Vec<DomainId>,
}

/// What other domains have yet to hear, by the hash of the receipt.
#[derive(Default)]
pub struct Errands(Mutex<BTreeMap<[u8; 32], Errand>>);

impl Errands {
    fn held(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Errand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, receipt: [u8; 32], errand: Errand) {
        let mut held = self.held();
        if held.len() < ERRANDS_MAX || held.contains_key(&receipt) {
            held.insert(receipt, errand);
        } else {
            tracing::warn!("too many slices are being erased: one waits until its receipt is read");
        }
    }
}

impl State {
    /// Tells, from now on, the domains that hold a slice and have not confirmed that they erased it.
    pub(super) fn erase_slices(
        &self,
        group: &GroupId,
        receipt: [u8; 32],
        erasure: &Erasure,
        token: Option<&String>,
    ) {
        let pending = erasure.slices.iter().filter(|(_, erased)| erased.is_none());
        let domains: Vec<DomainId> = pending.map(|(domain, _)| domain.clone()).collect();
        if let (Some(token), false) = (token, domains.is_empty()) {
            let (token, group, asked) = (token.clone(), group.clone(), erasure.asked);
            self.errands.add(receipt, Errand { token, group, asked, domains });
        }
    }

    /// Tells every domain that has yet to hear of an erasure, once.
    pub async fn run_errands(&self) {
        let errands = self.errands.held().clone();
        for (receipt, errand) in errands {
            let mut left = Vec::new();
            for domain in &errand.domains {
                if let Err(failure) = self.run_errand(&receipt, &errand, domain).await {
                    tracing::debug!(%domain, %failure, "a slice is not erased yet");
                    left.push(domain.clone());
                }
            }
            let expired = self.verifier.verify(&errand.token, (self.clock)()).is_err();
            let mut held = self.errands.held();
            match left.is_empty() || expired {
                true => drop(held.remove(&receipt)),
                false => drop(held.insert(receipt, Errand { domains: left, ..errand })),
            }
        }
    }

    async fn run_errand(
        &self,
        receipt: &[u8; 32],
        errand: &Errand,
        domain: &DomainId,
    ) -> Result<(), Failure> {
        let request = SliceErasureRequest {
            format: FORMAT,
            token: errand.token.clone(),
            receipt: receipt.to_vec(),
            asked_ms: errand.asked.0,
        };
        if !(Away { within: WITHIN }).erase_slice(self, domain, &request).await {
            return Err(Failure::new(Kind::Unavailable, "the domain did not confirm it"));
        }
        let household = self.people.iter().find(|h| *h.group.id() == errand.group);
        let missing = || Failure::new(Kind::Broken, "no such group runs here");
        let household = household.ok_or_else(missing)?;
        let make = || Ok(household.builder.note_erased(receipt, domain, (self.clock)()));
        self.change(household, make).await.map(|_| ())
    }

    /// Erases the slice that this domain holds of the token's person, as their home asks.
    pub(super) async fn erase_slice(
        &self,
        from: &Peer,
        request: &SliceErasureRequest,
    ) -> Result<(), Failure> {
        let caller = self.shown(&request.token)?;
        let verified = caller.allowed(Scope::Person)?;
        self.knows_the_law()?;
        let law = self.law.applicable(caller.home(), &caller.location, (self.clock)());
        if law.home.domain.as_ref() != Some(from.domain()) {
            let words = "the sender's domain is not this person's home";
            return Err(Failure::new(Kind::Refused, words));
        }
        let receipt = request.receipt.as_slice().try_into();
        let bad = |_| Failure::invalid("receipt", "a receipt's hash has 32 bytes");
        // Nobody reads a receipt here: its row tells only that it was done.
        let erase = Erase { receipt: receipt.map_err(bad)?, holder: [0; 32], learnable: false };
        let key = self.people.key(&verified.issuer, verified.person());
        let visitor = AtHome { key, household: self.people.household(&key)? };
        self.erase_rows(&visitor, &erase, UnixMillis(request.asked_ms)).await.map(|_| ())
    }
}
