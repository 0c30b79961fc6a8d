//! Erasing a person, and what became of it on every member of their group.
//!
//! A receipt's id is told once and kept nowhere: the row has its hash, and a hash of it with the person's key. So the
//! row names nobody, whoever asks must both have the id and be the person, and a disk gives neither away.

use std::collections::BTreeSet;

use bailiwick_core::ids::{NodeName, UnixMillis};
use bailiwick_core::kind::Kind;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{ErasureAnswer, ErasureRequest};
use bailiwick_proto::{edge, v1, validate};
use futures::future::join_all;
use openraft::async_runtime::WatchReceiver as _;
use prost::Message as _;

use super::State;
use super::away::{ERASURE_LANE, FORMAT, ask_one};
use super::cluster::STATUS_WITHIN;
use super::known::refused;
use super::people::Household;
use super::person::{AtHome, moment};
use super::stores::{Member, slice_told, stores};
use crate::cluster::Group;
use crate::files::sha256_of;
use crate::learning::permitted;
use crate::seal::PersonKey;
use crate::users::{self, Erase, Erasure, When};

/// The id of a receipt: random, so that it can't be guessed.
pub(super) struct ReceiptId([u8; 16]);

impl ReceiptId {
    /// Under what the receipt's row stands.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256_of(&self.0)
    }

    /// Tells whether somebody who has the id is the person.
    fn holder(&self, person: &PersonKey) -> [u8; 32] {
        sha256_of(&[&self.0, person.as_bytes().as_slice()].concat())
    }
}

impl std::fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl State {
    /// Erases everything kept of the person.
    pub(super) async fn erase(&self, call: edge::EraseCall) -> Result<v1::ErasureReceipt, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let home = self.home_of(&caller)?;
        let id = self.receipt_id()?;
        let erase = Erase {
            receipt: id.hash(),
            holder: id.holder(&home.key),
            learnable: self.could_be_learned_from(&home)?,
        };
        let asked = if caller.asked.0 == 0 { (self.clock)() } else { caller.asked };
        let log_index = self.erase_rows(&home, &erase, asked).await?;
        let (group, reader) = (home.household.group.id(), home.household.group.reader());
        if let Some(erasure) = users::read::erasure(reader, &erase.receipt)? {
            self.erase_slices(group, erase.receipt, &erasure, caller.token.as_ref());
        }
        Ok(v1::ErasureReceipt {
            id: id.to_string(),
            asked_at: moment(asked).unwrap_or_default(),
            revision: self.revision(group, log_index),
        })
    }

    /// Erases the rows, and makes sure that they are gone on this replica too; where that stands in the log.
    pub(super) async fn erase_rows(
        &self,
        home: &AtHome<'_>,
        erase: &Erase,
        asked: UnixMillis,
    ) -> Result<u64, Failure> {
        let household = home.household;
        let make =
            || household.builder.erase(&home.key, erase, When { asked, now: (self.clock)() });
        let (done, _) = self.change(household, make).await?;
        household.group.applied(done.log_index, self.timing.read_within).await?;
        Ok(done.log_index)
    }

    fn receipt_id(&self) -> Result<ReceiptId, Failure> {
        let mut id = ReceiptId([0; 16]);
        let drawn = self.entropy.fill(&mut id.0);
        drawn.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        Ok(id)
    }

    /// Whether sums of learning may hold something of the person: if so, the next model must not miss them alone. Where
    /// a pack bounds what sums may tell, it is not known whether they were in one.
    fn could_be_learned_from(&self, home: &AtHome<'_>) -> Result<bool, Failure> {
        let household = home.household;
        let reader = household.group.reader();
        let found = users::read::learnable(reader, &household.vault, &home.key)?;
        let Some(person) = found else { return Ok(false) };
        let person = person.open(&self.standpoint).map_err(|e| refused(&e))?;
        let place = &person.facts.home;
        let law = self.law.applicable(place, place, (self.clock)());
        Ok(permitted(&law, person, &self.standpoint, None))
    }

    /// What became of an erasure.
    pub(super) async fn get_erasure(
        &self,
        call: edge::GetErasureCall,
    ) -> Result<v1::Erasure, Failure> {
        let caller = self.caller(call.caller)?;
        caller.allowed(Scope::Person)?;
        let id = ReceiptId(validate::erasure_id(&call.request.unwrap_or_default().id)?);
        let home = self.home_of(&caller)?;
        let erasure = self.erasure_of(&home, &id).await?;
        let group = home.household.group.id();
        self.erase_slices(group, id.hash(), &erasure, caller.token.as_ref());
        let members = self.members_told(home.household, &erasure).await;
        let slices: Vec<_> = erasure.slices.iter().map(slice_told).collect();
        let over = |store: &v1::StoreErasure| store.done || store.kept.is_some();
        let told = members.iter().all(|member| member.stores.iter().all(over));
        Ok(v1::Erasure {
            id: id.to_string(),
            asked_at: moment(erasure.asked).unwrap_or_default(),
            erased_at: moment(erasure.erased).unwrap_or_default(),
            done: told && slices.iter().all(|slice| slice.done),
            members,
            slices,
        })
    }

    /// The erasure that the id and the person name together.
    async fn erasure_of(&self, home: &AtHome<'_>, id: &ReceiptId) -> Result<Erasure, Failure> {
        // Whoever has just been told the id must not hear from a replica behind that there is no such thing.
        home.household.group.refresh(self.timing.read_within).await?;
        let found = users::read::erasure(home.household.group.reader(), &id.hash())?;
        let missing = || Failure::new(Kind::NotFound, "this person has no such erasure");
        found.filter(|found| found.holder == id.holder(&home.key)).ok_or_else(missing)
    }

    async fn members_told(
        &self,
        household: &Household,
        erasure: &Erasure,
    ) -> Vec<v1::MemberErasure> {
        let request = ErasureRequest {
            format: FORMAT,
            group: household.group.id().to_string(),
            log_index: erasure.log_index,
            erased_ms: erasure.erased.0,
        };
        let members = members(&household.group).into_iter().map(|(node, role)| {
            let request = &request;
            async move {
                let answer = self.ask_erasure(&node, request).await;
                v1::MemberErasure {
                    node: node.to_string(),
                    role: role.to_owned(),
                    reachable: answer.is_some(),
                    stores: stores(erasure, answer.as_ref().map(Member)),
                }
            }
        });
        join_all(members).await
    }

    /// How far a member is; none while it does not answer.
    async fn ask_erasure(
        &self,
        node: &NodeName,
        request: &ErasureRequest,
    ) -> Option<ErasureAnswer> {
        if *node == self.identity.name {
            return self.own_erasure(request).ok();
        }
        let asked = ask_one(&self.mesh, node, ERASURE_LANE, request, STATUS_WITHIN).await;
        ErasureAnswer::decode(asked?).ok()
    }

    /// How far this member is.
    pub(super) fn own_erasure(&self, request: &ErasureRequest) -> Result<ErasureAnswer, Failure> {
        let household = self.people.iter().find(|h| h.group.id().to_string() == request.group);
        let missing = || Failure::new(Kind::NotFound, "no such group runs here");
        let household = household.ok_or_else(missing)?;
        let (reader, erased) = (household.group.reader(), UnixMillis(request.erased_ms));
        Ok(ErasureAnswer {
            applied: *reader.applied().borrow(),
            lists: self.learning.lists_made.from(household.group.id()),
            waits: self.buffer.oldest().is_some_and(|oldest| oldest <= erased),
            unmarked: users::read::unmarked(reader, erased)?,
            epoch: household.vault.oldest_epoch(),
        })
    }
}

/// The members of a group as this replica knows them, each with its role.
fn members(group: &Group) -> Vec<(NodeName, &'static str)> {
    let metrics = group.raft().metrics().borrow_watched().clone();
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let role = |id| if voters.contains(id) { "voter" } else { "learner" };
    membership.nodes().map(|(id, member)| (member.name.clone(), role(id))).collect()
}
