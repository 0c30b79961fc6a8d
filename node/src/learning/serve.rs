//! A session as its coordinator asks for it: one stream, answered in order until either side ends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::ids::ItemId;
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Fineness, Round};
use bailiwick_net::{AnySender, FrameReceiver, Peer};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::learn_ask::Ask;
use bailiwick_proto::peer::learn_tell::Tell;
use bailiwick_proto::peer::{LearnAsk, LearnBegin, LearnReady, LearnRound, LearnTask, LearnTell};
use prost::Message as _;

use super::learner::{Learner, SESSION_FORMAT};
use super::speaker::{Session, Speaker};
use super::wire::{ArrivingModel, held_of, share_parts, task_of};
use super::{Attempt, ItemOrder, MaskedShare};

/// Items that a run may have.
const ITEMS_MAX: u32 = 1 << 24;
const DIMENSIONS_MAX: u32 = 512;
const GROUPS_MAX: u32 = 1 << 16;

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Kind::Invalid, words)
}

async fn next(rx: &mut FrameReceiver) -> Result<Option<Ask>, Failure> {
    let frame = rx.recv().await;
    let frame = frame.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
    let Some(frame) = frame else { return Ok(None) };
    let message = LearnAsk::decode(frame).map_err(|error| invalid(error.to_string()))?;
    if message.format != SESSION_FORMAT {
        let found = message.format;
        return Err(invalid(format!("format {found} is not known, {SESSION_FORMAT} is")));
    }
    message.ask.map(Some).ok_or_else(|| invalid("nothing is asked"))
}

async fn tell(tx: &mut AnySender, tell: Tell) -> Result<(), Failure> {
    let sent = tx.send(&LearnTell { format: SESSION_FORMAT, tell: Some(tell) }).await;
    sent.map_err(|error| Failure::new(error.kind(), error.to_string()))
}

async fn tell_share(tx: &mut AnySender, share: &MaskedShare) -> Result<(), Failure> {
    for part in share_parts(share) {
        tell(tx, Tell::Masked(part)).await?;
    }
    Ok(())
}

impl Learner {
    /// Answers the coordinator of a run until the stream ends.
    pub async fn serve(self: &Arc<Self>, from: &Peer, mut tx: AnySender, mut rx: FrameReceiver) {
        match self.session(from, &mut tx, &mut rx).await {
            Ok(()) => tx.finish(),
            Err(failure) => {
                tracing::info!(peer = %from.name(), %failure, "a session of learning ended");
                let _ = tx.fail(&failure).await;
            }
        }
    }

    async fn session(
        self: &Arc<Self>,
        from: &Peer,
        tx: &mut AnySender,
        rx: &mut FrameReceiver,
    ) -> Result<(), Failure> {
        let Some(Ask::Begin(begin)) = next(rx).await? else {
            return Err(invalid("a session begins with its beginning"));
        };
        self.expect_coordinator(from, &begin.run).await?;
        let order = Arc::new(items(rx, begin.items).await?);
        let shape = (order.len(), usize::try_from(begin.dimensions).unwrap_or_default());
        let mut speaker = Speaker::begin(self, session_of(begin)?, order).await?;
        tell(tx, Tell::Ready(LearnReady {})).await?;
        while let Some(ask) = next(rx).await? {
            match ask {
                Ask::Agree(_) => {
                    speaker.agree().await?;
                    tell(tx, Tell::Ready(LearnReady {})).await?;
                }
                Ask::Census(at) => {
                    let at = Attempt { round: at.round, attempt: at.attempt };
                    tell_share(tx, &speaker.census(at)?).await?;
                }
                Ask::Round(asked) => {
                    let round = round_of(&asked, &speaker)?;
                    let model = Arc::new(model(rx, &round, shape).await?);
                    let at = Attempt { round: asked.round, attempt: asked.attempt };
                    let share = speaker.share(at, round, model, asked.people).await?;
                    tell_share(tx, &share).await?;
                }
                Ask::Begin(_) | Ask::Items(_) | Ask::Model(_) => {
                    return Err(invalid("this was not due"));
                }
            }
        }
        Ok(())
    }
}

fn session_of(begin: LearnBegin) -> Result<Session, Failure> {
    if begin.dimensions == 0 || begin.dimensions > DIMENSIONS_MAX {
        return Err(invalid(format!("{} dimensions, at most {DIMENSIONS_MAX}", begin.dimensions)));
    }
    let bad = |error: bailiwick_core::ids::IdError| invalid(error.to_string());
    let party = |(domain, node): (String, String)| {
        Ok((domain.parse().map_err(bad)?, node.parse().map_err(bad)?))
    };
    let parties: Result<BTreeMap<_, _>, Failure> = begin.parties.into_iter().map(party).collect();
    Ok(Session {
        id: begin.session.try_into().map_err(|_| invalid("a session's id has 16 bytes"))?,
        run: begin.run,
        parties: parties?,
    })
}

/// What a round draws. How examples are made and weighed follows from the run's options.
fn round_of(asked: &LearnRound, speaker: &Speaker) -> Result<Round, Failure> {
    if !(0.0..=1.0).contains(&asked.rate) || asked.groups == 0 || asked.groups > GROUPS_MAX {
        return Err(invalid("the round's rate or groups are out of bounds"));
    }
    let wrong = || invalid("the round's task, or what is held back, is none");
    let fineness = [asked.fineness_targets, asked.fineness_history]
        .map(|bits| u8::try_from(bits).ok().and_then(Fineness::new));
    let [Some(targets), Some(history)] = fineness else {
        return Err(invalid("the round's steps are out of bounds"));
    };
    // A task that this build does not know must not be taken for another.
    let task = LearnTask::try_from(asked.task).ok().map(task_of);
    Ok(Round {
        seed: asked.seed,
        rate: asked.rate,
        groups: asked.groups,
        form: speaker.form(),
        task: task.ok_or_else(wrong)?,
        held: asked.held.map(|held| held_of(held).ok_or_else(wrong)).transpose()?,
        fineness: [targets, history],
    })
}

async fn items(rx: &mut FrameReceiver, count: u32) -> Result<ItemOrder, Failure> {
    if count > ITEMS_MAX {
        return Err(invalid(format!("{count} items, at most {ITEMS_MAX}")));
    }
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let mut ids = Vec::new();
    while ids.len() < wanted {
        let Some(Ask::Items(part)) = next(rx).await? else { return Err(invalid("items are due")) };
        for item in part.items {
            ids.push(ItemId::new(item).map_err(|error| invalid(error.to_string()))?);
        }
    }
    let order = ItemOrder::new(ids.clone());
    // The numbers are the sender's: its order must be the one that all have.
    match order.ids() == ids {
        true => Ok(order),
        false => Err(invalid("the items are not in order")),
    }
}

async fn model(
    rx: &mut FrameReceiver,
    round: &Round,
    (items, dimensions): (usize, usize),
) -> Result<bailiwick_core::learning::PooledModel, Failure> {
    let shape = round.model_shape(items, dimensions);
    let mut arriving = ArrivingModel::of(shape);
    while arriving.is_missing() {
        let Some(Ask::Model(part)) = next(rx).await? else { return Err(invalid("a model is due")) };
        arriving.take(&part)?;
    }
    let split = dimensions.min(shape.1);
    arriving.whole()?.split_at(split).map_err(|error| invalid(error.to_string()))
}
