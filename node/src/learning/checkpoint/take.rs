//! A checkpoint from node to node: to those who may coordinate next, and by whoever does.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_core::learning::TrainingOptions;
use bailiwick_net::{Answer, AnySender, FrameReceiver, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::{ModelOffer, Serving};
use bailiwick_proto::store::{LearningRun, TrainingCheckpoint};
use bytes::Bytes;
use prost::Message as _;
use tokio::time::sleep;

use super::Checkpoint;
use super::shelf::{Fresh, content_of};
use crate::learning::learner::{CHECKPOINT, Learner};

/// How often a checkpoint is asked for that may be to be had.
const TRIES: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(1);

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Broken, error.to_string())
}

impl Learner {
    /// Sends the checkpoint's file that a peer asks for.
    pub async fn send_checkpoint(&self, tx: AnySender, rx: FrameReceiver) {
        self.exchange.send(self.checkpoints.folder(), tx, rx).await;
    }

    /// Fetches the checkpoint that a run's coordinator has written, from it.
    pub(in crate::learning) async fn take_checkpoint(
        self: &Arc<Self>,
        from: &Peer,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let offer = ModelOffer::decode(body);
        let offer = offer.map_err(|error| Failure::new(Kind::Invalid, error.to_string()))?;
        self.expect_coordinator(from, &offer.run).await?;
        let ModelOffer { run, sha256, length, .. } = offer;
        let checkpoint = TrainingCheckpoint { sha256, length, done: 0 };
        let content = content_of(&checkpoint).map_err(|error| broken(&error))?;
        let answer = Answer::wide(&Serving { sha256: checkpoint.sha256.clone() });
        // Held before it is there, so that it is not removed before it is named.
        self.checkpoints.hold(Fresh { run, checkpoint, written: None });
        let folder = self.checkpoints.folder();
        self.exchange.fetch_from(from.name(), CHECKPOINT, content, folder).await?;
        self.checkpoints.arrived();
        Ok(answer)
    }

    /// The training that a run's coordinator left; none where it left none.
    ///
    /// # Errors
    /// [`Failure`] when it can't be had, or can't be gone on with.
    pub(in crate::learning) async fn checkpoint_of(
        self: &Arc<Self>,
        run: &LearningRun,
        options: TrainingOptions,
    ) -> Result<Option<Checkpoint>, Failure> {
        let Some(checkpoint) = &run.checkpoint else { return Ok(None) };
        let read = || self.read_checkpoint(run.run.clone(), checkpoint.clone(), options);
        if let Some(found) = read().await? {
            return Ok(Some(found));
        }
        let content = content_of(checkpoint).map_err(|error| broken(&error))?;
        let folder = self.checkpoints.folder();
        let mut tries = 1;
        // Whoever has it may be out of reach for a moment, as when a coordinator was just lost.
        while let Err(failure) = self.exchange.fetch(CHECKPOINT, content, folder, None).await {
            tries += 1;
            if tries > TRIES {
                return Err(failure);
            }
            sleep(PAUSE).await;
        }
        read().await
    }

    async fn read_checkpoint(
        self: &Arc<Self>,
        run: Vec<u8>,
        checkpoint: TrainingCheckpoint,
        options: TrainingOptions,
    ) -> Result<Option<Checkpoint>, Failure> {
        let learner = Arc::clone(self);
        let read = self.offload.call(move || {
            let found = learner.checkpoints.read(&checkpoint, &run, options)?;
            match found {
                Some(found) if found.training.progress().0 != checkpoint.done => Err(
                    super::CheckpointError::Torn("it is of another round than it is said to be"),
                ),
                found => Ok(found),
            }
        });
        let read = read.await.map_err(|error| broken(&error))?;
        read.map_err(|error| Failure::new(error.kind(), error.to_string()))
    }
}
