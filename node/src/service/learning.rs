//! Learning, as operators ask for it.

use std::time::Duration;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::Rho;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{
    self, LearningOptions, LearningPhase, ModelBlend, ModelManifest, RollBackModel, StartLearning,
};
use bailiwick_proto::{edge, v1};
use futures::future::join_all;

use super::State;
use crate::control::{self, OutOfBounds, check_options};
use crate::learning::default_options;

/// What the nodes serve is asked of all at once, and waited for no longer.
const NODES_WITHIN: Duration = Duration::from_millis(800);
/// The chance that a run tells more than its epsilon says, where it does not say.
const DELTA_DEFAULT: f64 = 1e-6;

impl State {
    pub(super) async fn start_learning(
        &self,
        call: edge::StartLearningCall,
    ) -> Result<v1::LearningStatus, Failure> {
        self.caller(call.caller)?.allowed(Scope::ClusterAdmin)?;
        let asked = call.request.unwrap_or_default();
        let defaults = default_options();
        let options = LearningOptions {
            dimensions: asked.dimensions.unwrap_or(defaults.dimensions),
            rounds: asked.rounds.unwrap_or(defaults.rounds),
            seed: asked.seed.unwrap_or(defaults.seed),
            people_min: defaults.people_min,
            epsilon: asked.epsilon,
            delta: asked.epsilon.map(|_| asked.delta.unwrap_or(DELTA_DEFAULT)),
            balance: asked.balance.unwrap_or_default(),
        };
        if asked.epsilon.is_none() && asked.delta.is_some() {
            return Err(Failure::invalid("delta", "it goes with epsilon, which is missing"));
        }
        let bad = |wrong: OutOfBounds| Failure::invalid(wrong.field, wrong.to_string());
        check_options(&options).map_err(bad)?;
        let running = |run: &store::LearningRun| run.phase() == LearningPhase::Running;
        if self.control.view().learning.as_ref().is_some_and(running) {
            return Err(Failure::new(Kind::Stale, "a run of learning is under way"));
        }
        let mut run = vec![0; 16];
        let drawn = self.entropy.fill(&mut run);
        drawn.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        let start = StartLearning { run, options: Some(options) };
        self.learning.propose(Change::StartLearning(start)).await?;
        Ok(self.learning_state().await)
    }

    pub(super) async fn learning_status(
        &self,
        call: edge::LearningStatusCall,
    ) -> Result<v1::LearningStatus, Failure> {
        self.caller(call.caller)?.allowed(Scope::ClusterAdmin)?;
        Ok(self.learning_state().await)
    }

    pub(super) async fn roll_back_model(
        &self,
        call: edge::RollBackModelCall,
    ) -> Result<v1::LearningStatus, Failure> {
        self.caller(call.caller)?.allowed(Scope::ClusterAdmin)?;
        let models = self.control.view().models.clone();
        let none = |words| Failure::new(Kind::NotFound, words);
        let from = models.active.ok_or_else(|| none("no model is served"))?.sha256;
        if models.before.is_empty() {
            return Err(none("there is no model before this one"));
        }
        self.learning.propose(Change::RollBackModel(RollBackModel { from })).await?;
        Ok(self.learning_state().await)
    }

    async fn learning_state(&self) -> v1::LearningStatus {
        let view = self.control.view();
        let serving = |node: bailiwick_core::ids::NodeName| async move {
            let asked = tokio::time::timeout(NODES_WITHIN, self.learning.serving_of(&node)).await;
            v1::NodeModel {
                node: node.to_string(),
                sha256: asked.ok().flatten().map(|hash| hex(&hash)),
            }
        };
        let nodes = join_all(view.nodes.keys().cloned().map(serving)).await;
        v1::LearningStatus {
            run: view.learning.as_ref().map(told_run),
            active: view.models.active.as_ref().map(told_model),
            before: view.models.before.last().map(told_model),
            nodes,
            privacy: Some(told_privacy(&view.privacy, (self.clock)())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default()
}

fn told_run(run: &store::LearningRun) -> v1::LearningRun {
    let phase = match run.phase() {
        LearningPhase::None => "none",
        LearningPhase::Running => "running",
        LearningPhase::Done => "done",
        LearningPhase::Failed => "failed",
    };
    v1::LearningRun {
        run: hex(&run.run),
        phase: phase.into(),
        done: run.done,
        rounds: run.options.unwrap_or_default().rounds,
        attempts: run.attempts,
        items: run.items,
        domains: run.domains.clone(),
        why: Some(run.why.clone()).filter(|why| !why.is_empty()),
        started_at: moment(run.started_ms),
        changed_at: moment(run.changed_ms),
        epsilon: run.options.and_then(|options| options.epsilon),
        delta: run.options.and_then(|options| options.delta),
        balance: run.options.unwrap_or_default().balance,
    }
}

/// The whole is told with the greatest chance that any of its runs has.
fn told_privacy(ledger: &store::PrivacyLedger, now: UnixMillis) -> v1::PrivacyLedger {
    let deltas = control::recent(ledger, now).filter(|spent| spent.rho.is_some());
    let delta = deltas.map(|spent| spent.delta).fold(0.0, f64::max);
    let told = |spent: &store::PrivacySpent| v1::PrivacySpent {
        run: hex(&spent.run),
        at: moment(spent.at_ms),
        epsilon: spent.rho.map(|rho| Rho(rho).epsilon(spent.delta)),
        delta: spent.delta,
    };
    v1::PrivacyLedger {
        unit: "a person with all that they took".into(),
        composition: "zero-concentrated: the rho of runs adds up (Bun and Steinke 2016)".into(),
        epsilon: if delta > 0.0 { control::total(ledger, now).epsilon(delta) } else { 0.0 },
        delta,
        spent: control::recent(ledger, now).map(told).collect(),
    }
}

fn told_blend(blend: ModelBlend) -> v1::LearnedBlend {
    let ModelBlend { pooled, spectral, lists, judges, ndcg, recall } = blend;
    v1::LearnedBlend { pooled, spectral, lists, judges, ndcg, recall }
}

fn told_model(model: &ModelManifest) -> v1::LearnedModel {
    v1::LearnedModel {
        blend: model.blend.map(told_blend),
        sha256: hex(&model.sha256),
        length: model.length,
        items: model.items,
        dimensions: model.dimensions,
        people: model.people,
        rounds: model.rounds,
        learned_at: moment(model.learned_ms),
        domains: model.domains.clone(),
    }
}
