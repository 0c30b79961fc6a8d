//! Serving what the control group says: fetched, checked, indexed, and swapped in at once.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::ModelManifest;
use tokio::time::{MissedTickBehavior, interval};

use super::ServedModel;
use super::shared::shared;
use crate::learning::Learner;

/// How often the control group's word is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Keeps the model that is served as the control group says.
pub async fn keep_model(learner: Arc<Learner>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(failure) = learner.follow().await {
            tracing::warn!(%failure, "the model is not served yet");
        }
    }
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

impl Learner {
    /// Serves the active model, if another one or none is served.
    ///
    /// # Errors
    /// [`Failure`] when it can't be had yet; what was served goes on being served.
    pub async fn follow(self: &Arc<Self>) -> Result<(), Failure> {
        let view = self.control.view();
        let wanted = view.models.active.as_ref();
        if wanted.map(|model| model.sha256.as_slice()) == self.models.serving().as_deref() {
            return Ok(());
        }
        let model = match wanted {
            None => None,
            Some(manifest) => Some(match self.models.before(&manifest.sha256) {
                Some(model) => model,
                None => self.load(manifest).await?,
            }),
        };
        self.catalogue.serve(model.clone());
        self.models.serve(model);
        tracing::info!("serves another model");
        let manifests = || view.models.active.iter().chain(&view.models.before);
        self.models.keep(manifests()).map_err(|error| broken(&error))
    }

    /// Reads, or fetches and reads, a model, and builds its index.
    async fn load(self: &Arc<Self>, manifest: &ModelManifest) -> Result<Arc<ServedModel>, Failure> {
        if let Some(model) = self.read(manifest).await? {
            return Ok(model);
        }
        self.fetch(manifest).await?;
        let model = self.read(manifest).await?;
        model.ok_or_else(|| Failure::new(Kind::Unavailable, "the model's file was not whole"))
    }

    async fn read(
        self: &Arc<Self>,
        manifest: &ModelManifest,
    ) -> Result<Option<Arc<ServedModel>>, Failure> {
        let (learner, manifest) = (Arc::clone(self), manifest.clone());
        let read = self.offload.call(move || {
            shared(&manifest.sha256, |held| match held {
                // Whoever shares another node's copy has a whole file of its own for the next start.
                Some(model) => {
                    let whole = learner.models.has(&manifest).map_err(|error| broken(&error))?;
                    Ok(whole.then_some(model))
                }
                None => {
                    let file = learner.models.read(&manifest).map_err(|error| broken(&error))?;
                    let build = |file| ServedModel::build(manifest.sha256.clone(), file);
                    let built = file.map(build).transpose().map_err(|error| broken(&error))?;
                    Ok(built.map(Arc::new))
                }
            })
        });
        read.await.map_err(|error| broken(&error))?
    }
}
