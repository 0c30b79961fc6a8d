//! What the services share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, GroupId};
use bailiwick_core::limits;
use bailiwick_core::pinned::Standpoint;
use bailiwick_core::policy::Service;
use bailiwick_net::token::TokenVerifier;
use bailiwick_net::{Identity, Mesh};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::v1;

use super::{Away, Errands, Law, People};
use crate::buffer::EventBuffer;
use crate::catalog::Catalogue;
use crate::cluster::{Groups, Heard};
use crate::config::RankingConfig;
use crate::control::ControlState;
use crate::decisions::Decisions;
use crate::generations::Generations;
use crate::learning::Learner;
use crate::raft::offload::Offload;
use crate::receipt::{ReceiptKeys, ReceiptSigner};
use crate::recommend::Popularity;
use crate::revision::{Incarnation, Revision, RevisionKeys};
use crate::seal::Entropy;
use crate::seams::Clock;

/// How long things may take or last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Consent that was read this long ago still counts as fresh.
    pub consent_age_max: Duration,
    /// Packs may be used this long after the control group last confirmed them; then STRICT holds.
    pub policy_lease: Duration,
    /// Asking the leader, or a replica catching up, may take this long in a read.
    pub read_within: Duration,
    /// Writing may take this long.
    pub write_within: Duration,
    /// Events are buffered when their group has not taken them within this time: well inside the
    /// second that an edge gives a request.
    pub events_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            consent_age_max: Duration::from_secs(1),
            policy_lease: Duration::from_secs(60),
            read_within: Duration::from_millis(300),
            write_within: Duration::from_secs(2),
            events_within: Duration::from_millis(700),
        }
    }
}

/// Everything that answering needs.
pub struct State {
    /// Who this node is, as its certificate says.
    pub identity: Identity,
    /// Where it stands: opens pinned data.
    pub standpoint: Standpoint,
    /// The peers.
    pub mesh: Arc<Mesh>,
    /// What the peers said of themselves.
    pub heard: Arc<Heard>,
    /// The groups that run here.
    pub groups: Groups,
    /// Packs, nodes and domains.
    pub control: Arc<ControlState>,
    /// The items.
    pub catalogue: Arc<Catalogue>,
    /// The people of this domain.
    pub people: People,
    /// Popularity that this domain releases.
    pub popularity: Popularity,
    /// Whose tokens are believed.
    pub verifier: TokenVerifier,
    /// The kind of service that a request without a token is.
    pub anonymous_service: Service,
    /// What slates are composed for besides relevance.
    pub ranking: RankingConfig,
    /// Whose law applies, cached.
    pub law: Arc<Law>,
    /// Learning, and the models that come of it.
    pub learning: Arc<Learner>,
    /// Generations of the item index.
    pub generations: Arc<Generations>,
    /// Homes elsewhere.
    pub away: Away,
    /// Every domain's public key of receipts.
    pub receipts: ReceiptKeys,
    /// Signs this domain's receipts.
    pub signer: ReceiptSigner,
    /// Mints and reads revisions.
    pub revisions: RevisionKeys,
    /// What was decided.
    pub decisions: Decisions,
    /// Events whose group lacks a quorum.
    pub buffer: Arc<EventBuffer>,
    /// What other domains have yet to hear of erasures.
    pub errands: Errands,
    /// Bounds of time.
    pub timing: Timing,
    /// The clock.
    pub clock: Clock,
    /// Randomness of ids.
    pub entropy: Arc<dyn Entropy>,
    /// Where work runs that blocks.
    pub offload: Offload,
}

impl State {
    /// The domain this node stands in.
    #[must_use]
    pub fn domain(&self) -> &DomainId {
        &self.identity.domain
    }

    /// What an answer says of where it was made.
    #[must_use]
    pub fn served_by(&self) -> v1::ServedBy {
        v1::ServedBy {
            node: self.identity.name.to_string(),
            region: self.identity.region.to_string(),
            domain: self.identity.domain.to_string(),
        }
    }

    /// The life that the groups are in: all were begun together.
    fn incarnation(&self) -> Incarnation {
        Incarnation(self.control.view().cluster_id)
    }

    /// The revision of a group of this node; none of another domain's.
    pub(super) fn revision(&self, group: &GroupId, log_index: u64) -> Option<String> {
        let incarnation = self.incarnation();
        self.revisions.mint(&Revision { group: group.clone(), log_index, incarnation }).ok()
    }

    /// Waits until this replica has applied what a revision names.
    pub(super) async fn catch_up(&self, revision: Option<&str>) -> Result<(), Failure> {
        let Some(text) = revision else { return Ok(()) };
        let life = |group: &GroupId| self.groups.get(group).map(|_| self.incarnation());
        let revision = self.revisions.verify(text, life)?;
        let Some(group) = self.groups.get(&revision.group) else { return Ok(()) };
        let within = Duration::from_millis(limits::REVISION_WAIT_MS_MAX);
        Ok(group.applied(revision.log_index, within).await?)
    }

    /// The public edges by domain.
    #[must_use]
    pub fn edges(&self) -> BTreeMap<DomainId, String> {
        let view = self.control.view();
        let edges = view.domains.iter();
        edges.filter_map(|(domain, record)| Some((domain.clone(), record.edge.clone()?))).collect()
    }
}
