//! Who leads runs of learning, and when one begins: the leader of the control group.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::UnixMillis;
use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{
    ControlCommand, ControlOutcome, LearningPhase, LearningRun, StartLearning,
};
use prost::Message as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::default_options;
use super::lead::lead;
use super::learner::{Learner, WITHIN};
use super::schedule::{Schedule, Standing};
use crate::control;

/// How often the coordinator looks whether there is work, and whether it still leads.
const EVERY: Duration = Duration::from_millis(500);

/// Coordinates whatever run is under way while this node leads the control group.
pub async fn coordinate(learner: Arc<Learner>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if learner.is_due() {
            learner.begin().await;
        }
        let Some(run) = learner.run_to_lead().await else { continue };
        tokio::select! {
            () = lead(&learner, run.clone()) => {}
            () = deposed(&learner) => tracing::info!("another node goes on with the run"),
        }
    }
}

/// Resolves when this node no longer leads the control group.
async fn deposed(learner: &Learner) {
    loop {
        sleep(EVERY).await;
        if !learner.control_group().is_ok_and(|group| group.leads()) {
            return;
        }
    }
}

impl Learner {
    /// Whether this node leads and the schedule wants a run now.
    fn is_due(&self) -> bool {
        let view = self.control.view();
        let running = |run: &LearningRun| run.phase() == LearningPhase::Running;
        let leads = self.schedule != Schedule::default()
            && self.control_group().is_ok_and(|group| group.leads());
        if !leads || view.learning.as_ref().is_some_and(running) {
            return false;
        }
        let standing = Standing {
            began: view.learning.as_ref().map(|run| UnixMillis(run.started_ms)),
            known: view.models.active.as_ref().map(|model| model.items),
            items: u32::try_from(self.catalogue.view().rows().count()).unwrap_or(u32::MAX),
        };
        self.schedule.is_due((self.clock)(), &standing)
    }

    /// Begins a run like the latest.
    async fn begin(&self) {
        let mut run = vec![0; 16];
        if SystemRandom::new().fill(&mut run).is_err() {
            return;
        }
        let latest = self.control.view().learning.as_ref().and_then(|run| run.options);
        let options = Some(latest.unwrap_or_else(default_options));
        match self.propose(Change::StartLearning(StartLearning { run, options })).await {
            Ok(()) => tracing::info!("the schedule begins a run of learning"),
            Err(failure) => tracing::warn!(%failure, "the schedule could not begin a run"),
        }
    }

    /// The run that this node is to lead, as whoever led it before left it.
    async fn run_to_lead(&self) -> Option<LearningRun> {
        let group = self.control_group().ok()?;
        let running = || {
            let run = self.control.view().learning.clone();
            run.filter(|run| group.leads() && run.phase() == LearningPhase::Running)
        };
        running()?;
        // What was noted last may not be applied here yet.
        group.refresh(WITHIN).await.ok()?;
        running()
    }

    /// Changes the control group's state, wherever its leader is.
    ///
    /// # Errors
    /// [`Failure`]: what the group refused, or that it can't be reached.
    pub async fn propose(&self, change: Change) -> Result<(), Failure> {
        let command = ControlCommand { format: control::FORMAT, at_ms: 0, change: Some(change) };
        let group = self.control_group()?;
        let done = group.propose(command.encode_to_vec().into(), WITHIN).await?;
        // Whoever reads next, here, is to see it.
        group.applied(done.log_index, WITHIN).await?;
        let outcome = ControlOutcome::decode(done.outcome);
        let outcome = outcome.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        match outcome.refused.as_str() {
            "" => Ok(()),
            why => Err(Failure::new(Kind::Refused, why)),
        }
    }
}
