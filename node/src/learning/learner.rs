//! What learning needs of a node, and what it answers peers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::Standpoint;
use bailiwick_net::{Answer, Lane, LaneKind, Mesh, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{LearnKey, LearnKeyRequest, Serving, ServingRequest};
use bailiwick_proto::store::LearningPhase;
use bytes::Bytes;
use prost::Message as _;

use super::checkpoint::Checkpoints;
use super::model::Models;
use super::people::Rows;
use super::{ListsMade, Schedule, Tally};
use crate::catalog::Catalogue;
use crate::cluster::Groups;
use crate::control::ControlState;
use crate::files::Exchange;
use crate::raft::offload::Offload;
use crate::seams::Clock;
use crate::service::Law;

/// A session of a run, over one stream.
pub const SESSION: u8 = 4;
/// A party's public key.
pub const KEY: u8 = 5;
/// A model's file.
pub const MODEL: u8 = 6;
/// Which model a node serves.
pub const SERVING: u8 = 7;
/// A finished model, to be fetched before it is served.
pub const OFFER: u8 = 8;

/// A checkpoint's file. (Lane 9 is the item index's.)
pub const CHECKPOINT: u8 = 10;
/// A checkpoint, to be fetched by whoever may coordinate next.
pub const CHECKPOINT_OFFER: u8 = 11;

/// Version of the messages between nodes.
pub(super) const FORMAT: u32 = 1;
/// Version of the messages of a session: 2 has rounds of several tasks, words of 32 bits, and models of 16.
pub(super) const SESSION_FORMAT: u32 = 2;
/// A call to a peer, or a confirmation of a group, may take this long.
pub(super) const WITHIN: Duration = Duration::from_secs(5);
/// Sessions that one node takes part in at one time.
const SESSIONS_MAX: usize = 4;

/// A session's name: a run has a new one whenever its domains meet anew.
pub(super) type SessionId = [u8; 16];

type Offered = BTreeMap<SessionId, BTreeMap<DomainId, Vec<u8>>>;

/// The public keys that a node made for the parties of its sessions; none at first.
#[derive(Default)]
pub struct Offers(Mutex<Offered>);

/// What learning needs of a node.
pub struct Learner {
    /// Its name, as its certificate has it.
    pub name: NodeName,
    /// Where it stands.
    pub here: Standpoint,
    /// The peers.
    pub mesh: Arc<Mesh>,
    /// Runs and models, nodes and domains.
    pub control: Arc<ControlState>,
    /// The groups that run here.
    pub groups: Groups,
    /// The people of this domain.
    pub people: Vec<Rows>,
    /// Whose law applies.
    pub law: Arc<Law>,
    /// The items.
    pub catalogue: Arc<Catalogue>,
    /// How files come from peers.
    pub exchange: Arc<Exchange>,
    /// The models on this node's disk.
    pub models: Models,
    /// The checkpoints on this node's disk.
    pub checkpoints: Checkpoints,
    /// The clock.
    pub clock: Clock,
    /// Where work runs that blocks or computes for long.
    pub offload: Offload,
    /// The keys of its sessions.
    pub offers: Offers,
    /// The noisy shares that it gave.
    pub tally: Arc<Tally>,
    /// When to learn without being asked.
    pub schedule: Schedule,
    /// From where this home's lists were made.
    pub lists_made: ListsMade,
}

/// Withdraws what was offered when a session ends, however it does.
pub(super) struct Withdraw {
    learner: Arc<Learner>,
    session: SessionId,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.learner.offered().remove(&self.session);
    }
}

impl Learner {
    /// The domain this node stands in.
    #[must_use]
    pub fn domain(&self) -> &DomainId {
        self.here.domain()
    }

    fn offered(&self) -> std::sync::MutexGuard<'_, Offered> {
        self.offers.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the parties of a session fetch their keys, each its own, until the guard is dropped.
    pub(super) fn offer(
        self: &Arc<Self>,
        session: SessionId,
        public: BTreeMap<DomainId, Vec<u8>>,
    ) -> Result<Withdraw, Failure> {
        let mut offered = self.offered();
        if offered.len() >= SESSIONS_MAX || offered.contains_key(&session) {
            return Err(Failure::new(Kind::Overloaded, "too many sessions of learning"));
        }
        offered.insert(session, public);
        Ok(Withdraw { learner: Arc::clone(self), session })
    }

    /// Whether a peer coordinates the run: it leads the control group, which has the run under way.
    pub(super) async fn expect_coordinator(&self, from: &Peer, run: &[u8]) -> Result<(), Failure> {
        let control = self.control_group()?;
        control.refresh(WITHIN).await?;
        let view = self.control.view();
        let running = view
            .learning
            .as_ref()
            .is_some_and(|known| known.run == run && known.phase() == LearningPhase::Running);
        let leads = control.leader().is_some_and(|(_, leader)| leader == *from.name());
        match running && leads {
            true => Ok(()),
            false => {
                Err(Failure::new(Kind::Refused, "the sender does not coordinate a run under way"))
            }
        }
    }

    pub(super) fn control_group(&self) -> Result<&Arc<crate::cluster::Group>, Failure> {
        let group = self.groups.get(&bailiwick_core::ids::GroupId::Control);
        group.ok_or_else(|| Failure::new(Kind::Broken, "no control group runs here"))
    }

    /// Answers a peer's call in one of the lanes of learning; none for other lanes.
    pub async fn answer(
        self: &Arc<Self>,
        from: &Peer,
        number: u8,
        body: &Bytes,
    ) -> Option<Result<Answer, Failure>> {
        match number {
            KEY => Some(self.key_for(from, body.clone())),
            OFFER => Some(self.take_offered(from, body.clone()).await),
            CHECKPOINT_OFFER => Some(self.take_checkpoint(from, body.clone()).await),
            SERVING => Some(Ok(Answer::wide(&Serving {
                sha256: self.models.serving().unwrap_or_default(),
            }))),
            _ => None,
        }
    }

    /// The key that was made for the asker's domain, as its certificate names it, and no other.
    fn key_for(&self, from: &Peer, body: Bytes) -> Result<Answer, Failure> {
        let request = LearnKeyRequest::decode(body);
        let request = request.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
        let offered = self.offered();
        let session: Option<SessionId> = request.session.try_into().ok();
        let keys = session.and_then(|session| offered.get(&session));
        let public = keys.and_then(|keys| keys.get(from.domain())).cloned();
        let public = public.ok_or_else(|| {
            Failure::new(Kind::NotFound, "no key was made for this domain in that session")
        })?;
        Ok(Answer::wide(&LearnKey { public }))
    }

    /// The key that a party made for this domain, from that party itself: whoever coordinates has no hand
    /// in it.
    pub(super) async fn key_of(
        &self,
        session: SessionId,
        domain: &DomainId,
        node: &NodeName,
    ) -> Result<Vec<u8>, Failure> {
        let link = self.mesh.link(node).await;
        let link = link.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        if link.peer().domain() != domain {
            let words = format!("{node} does not stand in {domain}");
            return Err(Failure::new(Kind::Refused, words));
        }
        let request = LearnKeyRequest { format: FORMAT, session: session.to_vec() };
        let answer = link.call(Lane::plain(LaneKind::Custom(KEY)), &request, WITHIN).await;
        let answer = answer.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        let key = LearnKey::decode(answer);
        Ok(key.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?.public)
    }

    /// The hash of the model that a node serves; none when it serves none or does not answer.
    pub async fn serving_of(&self, node: &NodeName) -> Option<Vec<u8>> {
        if *node == self.name {
            return self.models.serving();
        }
        let link = self.mesh.link(node).await.ok()?;
        let request = ServingRequest { format: FORMAT };
        let lane = Lane::plain(LaneKind::Custom(SERVING));
        let answer = link.call(lane, &request, Duration::from_millis(500)).await.ok()?;
        Serving::decode(answer).ok().map(|found| found.sha256).filter(|hash| !hash.is_empty())
    }
}
