//! Checkpoints go out beside the run, which does not wait for them, and what nothing names any more goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::placement;
use bailiwick_net::{Lane, LaneKind};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::ModelOffer;
use bailiwick_proto::store::NoteCheckpoint;
use bailiwick_proto::store::control_command::Change;
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shelf::Fresh;
use crate::learning::learner::{CHECKPOINT_OFFER, FORMAT, Learner};

/// How often the control group's word is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// A peer may take this long to fetch a checkpoint, and a second for each so many of its bytes.
const OFFER_WITHIN: Duration = Duration::from_secs(60);
const BYTES_A_SECOND_MIN: u64 = 1 << 20;
/// Others who are to have it.
const COPIES: usize = 2;

/// Sends out the checkpoints that this node writes, and removes those that no run needs.
pub async fn keep_checkpoints(learner: Arc<Learner>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = learner.checkpoints.written.notified() => {}
        }
        if let Some(fresh) = learner.checkpoints.to_send() {
            learner.send_out(&fresh).await;
        }
        // Until the view is confirmed once it may name a checkpoint of long ago.
        let confirmed = learner.control_group().is_ok_and(|group| group.age().is_some());
        let named = learner.checkpoints.named(learner.control.view().learning.as_ref());
        if !confirmed || kept.as_ref() == Some(&named) {
            continue;
        }
        match learner.keep_named().await {
            Ok(()) => kept = Some(named),
            Err(failure) => tracing::warn!(%failure, "old checkpoints were not removed"),
        }
    }
}

impl Learner {
    /// Has others take a checkpoint, and names it. That it could not be is no reason to stop a run.
    async fn send_out(&self, fresh: &Fresh) {
        let began = Instant::now();
        let named = match self.spread_checkpoint(fresh).await {
            Ok(()) => {
                let (run, checkpoint) = (fresh.run.clone(), Some(fresh.checkpoint.clone()));
                self.propose(Change::NoteCheckpoint(NoteCheckpoint { run, checkpoint })).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = named {
            tracing::info!(%failure, "a checkpoint of learning is not to be had elsewhere");
        }
        self.checkpoints.sent(fresh, began.elapsed() + fresh.written.unwrap_or_default());
    }

    /// That nobody took it, though there are others, is a failure: with this node it would be lost.
    async fn spread_checkpoint(&self, fresh: &Fresh) -> Result<(), Failure> {
        let offer = ModelOffer {
            format: FORMAT,
            run: fresh.run.clone(),
            sha256: fresh.checkpoint.sha256.clone(),
            length: fresh.checkpoint.length,
        };
        let within = OFFER_WITHIN + Duration::from_secs(offer.length / BYTES_A_SECOND_MIN);
        let heirs = self.heirs();
        let offers = heirs.iter().map(|name| async {
            let link = self.mesh.link(name).await.ok()?;
            let lane = Lane::plain(LaneKind::Custom(CHECKPOINT_OFFER));
            link.call(lane, &offer, within).await.ok()
        });
        let taken = join_all(offers).await;
        match taken.iter().any(Option::is_some) || taken.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(Kind::Unavailable, "no other node took the checkpoint")),
        }
    }

    /// Who are to have a checkpoint: of those who may coordinate after this node, one of this domain, one of another.
    fn heirs(&self) -> Vec<NodeName> {
        let sites = self.control.view().sites();
        let voters = placement::members(&GroupId::Control, &sites).voters;
        let mut heirs: Vec<_> = sites
            .iter()
            .filter(|site| site.name != self.name && voters.contains(&site.name))
            .filter(|site| self.mesh.reachable(&site.name))
            .collect();
        heirs.sort_by_key(|site| site.domain != *self.domain());
        let mut domains = BTreeSet::new();
        let (firsts, others): (Vec<_>, Vec<_>) =
            heirs.into_iter().partition(|site| domains.insert(&site.domain));
        let heirs = firsts.into_iter().chain(others).take(COPIES);
        heirs.map(|site| site.name.clone()).collect()
    }

    async fn keep_named(self: &Arc<Self>) -> Result<(), Failure> {
        let learner = Arc::clone(self);
        let broken = |error: &dyn std::fmt::Display| Failure::new(Kind::Broken, error.to_string());
        let kept = self.offload.call(move || {
            let view = learner.control.view();
            learner.checkpoints.keep(view.learning.as_ref())
        });
        kept.await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))
    }
}
