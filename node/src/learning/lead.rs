//! The coordinator of a run, the leader of the control group: from the items to the model that is served.
//!
//! A run goes from session to session (`session.rs`). When a domain is lost the session ends, and the next begins,
//! at the round that was not summed, with those that can be reached then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, GroupId};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Blend, Judged, Training, TrainingOptions};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{
    ActivateModel, LearningPhase, LearningRun, ModelBlend, ModelManifest, NoteLearning,
};
use tokio::time::sleep;

use super::checkpoint::Checkpoint;
use super::learner::{Learner, WITHIN};
use super::model::ModelFile;
use super::purse::Purse;
use super::seat::SeatError;
use super::session::Ended;
use super::{ItemOrder, training_options};
use crate::files::sha256_of;

/// Between two sessions of a run.
const PAUSE: Duration = Duration::from_secs(1);
/// Sessions that a run may begin without one round summed between them.
const FRUITLESS_MAX: u32 = 30;

/// Leads a run to its end.
pub(super) async fn lead(learner: &Arc<Learner>, run: LearningRun) {
    let mut lead = Lead::new(Arc::clone(learner), run);
    if let Err(failure) = lead.through().await {
        tracing::warn!(%failure, "a run of learning failed");
        lead.note(LearningPhase::Failed, &failure.message).await;
    }
}

/// What is told of a model beside its file.
struct Told {
    dimensions: usize,
    blend: Blend,
    judged: Option<Judged>,
}

impl Told {
    fn blend(&self) -> ModelBlend {
        let Blend { pooled, spectral, lists } = self.blend;
        let told = |of: fn(&Judged) -> f32| self.judged.as_ref().map(of).unwrap_or_default();
        ModelBlend {
            pooled,
            spectral,
            lists,
            judges: self.judged.map(|judged| judged.people).unwrap_or_default(),
            ndcg: told(|judged| judged.ndcg),
            recall: told(|judged| judged.recall),
        }
    }
}

/// A run under way.
pub(super) struct Lead {
    pub(super) learner: Arc<Learner>,
    pub(super) run: LearningRun,
    pub(super) options: TrainingOptions,
    pub(super) order: Arc<ItemOrder>,
    pub(super) people: u64,
    pub(super) training: Option<Training>,
    /// By domain, failures since a round was summed.
    pub(super) failures: BTreeMap<DomainId, u32>,
    pub(super) fruitless: u32,
    /// What is noted of what the sums tell of people.
    pub(super) purse: Purse,
    /// The round of the latest checkpoint.
    pub(super) checkpointed: u32,
}

pub(super) fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Lead {
    fn new(learner: Arc<Learner>, run: LearningRun) -> Self {
        // What can't be learned with was refused when the run began.
        let options = training_options(&run.options.unwrap_or_default()).unwrap_or_default();
        let purse = Purse::left(&options, &learner.control.view().privacy, &run);
        Self {
            learner,
            // What another coordinator summed is what its checkpoint has.
            run: LearningRun { done: 0, ..run },
            options,
            order: Arc::default(),
            people: 0,
            training: None,
            failures: BTreeMap::new(),
            fruitless: 0,
            purse,
            checkpointed: 0,
        }
    }

    /// From the items to the model that is served.
    async fn through(&mut self) -> Result<(), Failure> {
        if !self.take_up().await {
            self.number_items().await?;
        }
        while self.training.as_ref().is_none_or(|training| training.round().is_some()) {
            match self.session().await {
                Ok(()) => {}
                Err(Ended::Failed(failure)) => return Err(failure),
                Err(Ended::Lost(lost)) => self.lost(lost).await?,
            }
        }
        self.finish().await
    }

    /// Goes on where the coordinator before this one was, as far as it is to be had; whether it is.
    async fn take_up(&mut self) -> bool {
        let Checkpoint { order, training } =
            match self.learner.checkpoint_of(&self.run, self.options).await {
                Ok(Some(found)) => found,
                Ok(None) => return false,
                Err(failure) => {
                    tracing::warn!(%failure, "the run begins anew");
                    return false;
                }
            };
        self.run.done = training.progress().0;
        self.checkpointed = self.run.done;
        self.people = training.census().people;
        (self.order, self.training) = (Arc::new(order), Some(training));
        tracing::info!(done = self.run.done, "the run goes on at its checkpoint");
        true
    }

    async fn lost(&mut self, lost: SeatError) -> Result<(), Failure> {
        tracing::info!(%lost, "the domains meet anew");
        *self.failures.entry(lost.domain.clone()).or_default() += 1;
        self.wait(&lost.to_string()).await
    }

    /// Waits for better times, within bounds.
    pub(super) async fn wait(&mut self, why: &str) -> Result<(), Failure> {
        self.fruitless += 1;
        if self.fruitless > FRUITLESS_MAX {
            return Err(Failure::new(Kind::Unavailable, format!("given up: {why}")));
        }
        self.note(LearningPhase::Running, why).await;
        sleep(PAUSE).await;
        Ok(())
    }

    /// Fixes which items are learned, and their numbers.
    async fn number_items(&mut self) -> Result<(), Failure> {
        // Whoever led the catalogue may have gone together with the coordinator before this one.
        while let Err(failure) = self.confirm_catalogue().await {
            self.wait(&failure.message).await?;
        }
        let (ids, revision) = {
            let view = self.learner.catalogue.view();
            let ids: Vec<_> = view.rows().map(|(_, facts)| facts.id.clone()).collect();
            (ids, view.applied())
        };
        self.order = Arc::new(ItemOrder::new(ids));
        if self.order.is_empty() {
            return Err(Failure::new(Kind::NotFound, "there is no item to learn of"));
        }
        self.run.items = short(self.order.len());
        self.run.item_revision = revision;
        Ok(())
    }

    async fn confirm_catalogue(&self) -> Result<(), Failure> {
        match self.learner.groups.get(&GroupId::Catalog(0)) {
            Some(catalog) => Ok(catalog.refresh(WITHIN).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Tells the cluster how far the run is. That it can't be told now is no reason to stop.
    pub(super) async fn note(&mut self, phase: LearningPhase, why: &str) {
        self.run.phase = phase.into();
        self.run.why = why.chars().take(200).collect();
        if let Err(failure) = self.learner.propose(self.told()).await {
            tracing::debug!(%failure, "how far learning is was not noted");
        }
    }

    /// The run as the cluster is to know it.
    pub(super) fn told(&self) -> Change {
        Change::NoteLearning(NoteLearning { run: Some(self.run.clone()) })
    }

    /// Writes the model, and has it served.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(training) = self.training.take() else { return Ok(()) };
        let (order, learner) = (Arc::clone(&self.order), Arc::clone(&self.learner));
        let writer = Arc::clone(&learner);
        let written = self.learner.offload.call(move || {
            let (judged, model) = (training.judged(), training.finish());
            let told = Told { dimensions: model.dimensions(), blend: model.blend(), judged };
            let file = ModelFile::new((*order).clone(), model).indexed();
            let bytes = file.map_err(|error| error.to_string())?.encode();
            let sha256 = sha256_of(&bytes);
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let put = writer.models.put(&sha256, &bytes);
            put.map(|()| (sha256, length, told)).map_err(|error| error.to_string())
        });
        let broken = |error: &dyn std::fmt::Display| Failure::new(Kind::Broken, error.to_string());
        let (sha256, length, told) =
            written.await.map_err(|e| broken(&e))?.map_err(|e| broken(&e))?;
        let manifest = ModelManifest {
            sha256: sha256.to_vec(),
            length,
            items: short(self.order.len()),
            dimensions: short(told.dimensions),
            learned_ms: (self.learner.clock)().0,
            people: self.people,
            rounds: self.options.rounds,
            run: self.run.run.clone(),
            domains: self.run.domains.clone(),
            blend: Some(told.blend()),
        };
        learner.spread(&manifest).await?;
        let activate = ActivateModel { manifest: Some(manifest) };
        self.learner.propose(Change::ActivateModel(activate)).await
    }
}
