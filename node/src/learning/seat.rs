//! The coordinator's hold on a party: over a stream, or in this very process for its own domain.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Fineness, PooledModel, Round};
use bailiwick_net::{AnySender, FrameReceiver, Lane, LaneKind};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::peer::learn_ask::Ask;
use bailiwick_proto::peer::learn_tell::Tell;
use bailiwick_proto::peer::{
    LearnAgree, LearnAsk, LearnBegin, LearnCensus, LearnItems, LearnRound, LearnTell,
};
use bytes::Bytes;
use prost::Message as _;
use tokio::time::timeout;

use super::learner::{Learner, SESSION, SESSION_FORMAT};
use super::speaker::{Session, Speaker};
use super::wire::{ArrivingShare, held_told, task_told};
use super::{Attempt, ItemOrder, MaskedShare};
use crate::files::bulk;

/// A party may take this long to read its people, and for a round.
const STEP_WITHIN: Duration = Duration::from_secs(300);
/// Items of one message: at most 128 bytes each.
const ITEMS_AT_ONCE: usize = 4096;

/// What every party of a session is told at its beginning.
pub(super) struct Beginning {
    pub(super) session: Session,
    pub(super) order: Arc<ItemOrder>,
    pub(super) dimensions: usize,
    /// Items of one person that count at most.
    pub(super) person_items_max: usize,
}

/// One round's work, and the model in parts that are made once for all parties.
pub(super) struct RoundWork {
    pub(super) at: Attempt,
    pub(super) round: Round,
    pub(super) model: Arc<PooledModel>,
    pub(super) parts: Vec<Bytes>,
    /// Of all domains.
    pub(super) people: u64,
}

/// A party of a session.
pub(super) struct Seat {
    domain: DomainId,
    node: NodeName,
    shape: (usize, usize),
    holder: Holder,
}

enum Holder {
    Here(Box<Speaker>),
    There { tx: AnySender, rx: FrameReceiver },
}

/// A party that failed, by name.
#[derive(Debug, thiserror::Error)]
#[error("{domain} ({node}): {failure}")]
pub(super) struct SeatError {
    pub(super) domain: DomainId,
    pub(super) node: NodeName,
    pub(super) failure: Failure,
}

fn lost(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Unavailable, error.to_string())
}

fn late() -> Failure {
    Failure::new(Kind::Unavailable, "it did not answer in time")
}

impl Seat {
    /// Begins the session with the party of `domain`.
    pub(super) async fn begin(
        learner: &Arc<Learner>,
        beginning: &Beginning,
        domain: &DomainId,
        node: &NodeName,
    ) -> Result<Self, SeatError> {
        let begun = async {
            match *node == learner.name {
                true => {
                    let (session, order) = (beginning.session.clone(), beginning.order.clone());
                    let speaker = Speaker::begin(learner, session, order).await?;
                    Ok(Holder::Here(Box::new(speaker)))
                }
                false => open(learner, beginning, domain, node).await,
            }
        };
        let begun = timeout(STEP_WITHIN, begun).await.unwrap_or_else(|_| Err(late()));
        let shape = (beginning.order.len(), beginning.dimensions);
        let (domain, node) = (domain.clone(), node.clone());
        match begun {
            Ok(holder) => Ok(Self { domain, node, shape, holder }),
            Err(failure) => Err(SeatError { domain, node, failure }),
        }
    }

    fn named(&self, failure: Failure) -> SeatError {
        SeatError { domain: self.domain.clone(), node: self.node.clone(), failure }
    }

    /// Lets the party agree with the others.
    pub(super) async fn agree(&mut self) -> Result<(), SeatError> {
        let agreed = async {
            match &mut self.holder {
                Holder::Here(speaker) => speaker.agree().await,
                Holder::There { tx, rx } => {
                    ask(tx, Ask::Agree(LearnAgree {})).await?;
                    ready(rx).await
                }
            }
        };
        let agreed = timeout(STEP_WITHIN, agreed).await.unwrap_or_else(|_| Err(late()));
        agreed.map_err(|failure| self.named(failure))
    }

    /// The party's census, masked.
    pub(super) async fn census(&mut self, at: Attempt) -> Result<MaskedShare, SeatError> {
        let told = async {
            match &mut self.holder {
                Holder::Here(speaker) => speaker.census(at),
                Holder::There { tx, rx } => {
                    let census = LearnCensus { round: at.round, attempt: at.attempt };
                    ask(tx, Ask::Census(census)).await?;
                    let form = ((0, 1), Default::default());
                    masked(rx, &self.domain, at, form).await
                }
            }
        };
        let told = timeout(STEP_WITHIN, told).await.unwrap_or_else(|_| Err(late()));
        told.map_err(|failure| self.named(failure))
    }

    /// The party's share of a round, masked.
    pub(super) async fn share(&mut self, work: &RoundWork) -> Result<MaskedShare, SeatError> {
        let told = async {
            match &mut self.holder {
                Holder::Here(speaker) => {
                    let model = Arc::clone(&work.model);
                    speaker.share(work.at, work.round, model, work.people).await
                }
                Holder::There { tx, rx } => {
                    ask(tx, Ask::Round(round(work))).await?;
                    for part in &work.parts {
                        ask(tx, Ask::Model(part.clone())).await?;
                    }
                    let (items, dimensions) = self.shape;
                    let shape = work.round.share_shape(items, dimensions);
                    let form = (shape, work.round.fineness);
                    masked(rx, &self.domain, work.at, form).await
                }
            }
        };
        let told = timeout(STEP_WITHIN, told).await.unwrap_or_else(|_| Err(late()));
        told.map_err(|failure| self.named(failure))
    }

    /// Ends the session in order.
    pub(super) fn finish(self) {
        if let Holder::There { tx, .. } = self.holder {
            tx.finish();
        }
    }
}

async fn open(
    learner: &Learner,
    beginning: &Beginning,
    domain: &DomainId,
    node: &NodeName,
) -> Result<Holder, Failure> {
    let link = learner.mesh.link(node).await.map_err(|error| lost(&error))?;
    if link.peer().domain() != domain {
        return Err(Failure::new(Kind::Refused, format!("{node} does not stand in {domain}")));
    }
    let lane = Lane::plain(LaneKind::Custom(SESSION));
    let (mut tx, mut rx) = bulk(&link, lane).await?;
    ask(&mut tx, Ask::Begin(begin(beginning))).await?;
    for part in beginning.order.ids().chunks(ITEMS_AT_ONCE) {
        let items = part.iter().map(ToString::to_string).collect();
        ask(&mut tx, Ask::Items(LearnItems { items })).await?;
    }
    ready(&mut rx).await?;
    Ok(Holder::There { tx, rx })
}

fn begin(beginning: &Beginning) -> LearnBegin {
    let short = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let session = &beginning.session;
    LearnBegin {
        run: session.run.clone(),
        session: session.id.to_vec(),
        parties: session.parties.iter().map(|(d, n)| (d.to_string(), n.to_string())).collect(),
        items: short(beginning.order.len()),
        dimensions: short(beginning.dimensions),
        person_items_max: short(beginning.person_items_max),
    }
}

fn round(work: &RoundWork) -> LearnRound {
    let Attempt { round, attempt } = work.at;
    let Round { seed, rate, groups, task, held, fineness, .. } = work.round;
    let (task, held) = (task_told(task).into(), held.map(held_told));
    let [fineness_targets, fineness_history] = fineness.map(|steps| steps.bits().into());
    LearnRound {
        round,
        attempt,
        seed,
        rate,
        groups,
        people: work.people,
        task,
        held,
        fineness_targets,
        fineness_history,
    }
}

async fn ask(tx: &mut AnySender, ask: Ask) -> Result<(), Failure> {
    let sent = tx.send(&LearnAsk { format: SESSION_FORMAT, ask: Some(ask) }).await;
    sent.map_err(|error| lost(&error))
}

async fn next(rx: &mut FrameReceiver) -> Result<Tell, Failure> {
    let frame = rx.recv().await.map_err(|error| lost(&error))?;
    let frame = frame.ok_or_else(|| lost(&"it ended the session"))?;
    let told = LearnTell::decode(frame).ok().filter(|told| told.format == SESSION_FORMAT);
    let told = told.and_then(|told| told.tell);
    told.ok_or_else(|| Failure::new(Kind::Refused, "its answer can't be read"))
}

async fn ready(rx: &mut FrameReceiver) -> Result<(), Failure> {
    match next(rx).await? {
        Tell::Ready(_) => Ok(()),
        Tell::Masked(_) => Err(Failure::new(Kind::Refused, "it sent a share that was not due")),
    }
}

async fn masked(
    rx: &mut FrameReceiver,
    from: &DomainId,
    at: Attempt,
    (shape, fineness): ((usize, usize), [Fineness; 2]),
) -> Result<MaskedShare, Failure> {
    let mut arriving = ArrivingShare::of(shape, fineness);
    while arriving.is_missing() {
        match next(rx).await? {
            Tell::Masked(part) => arriving.take(&part)?,
            Tell::Ready(_) => return Err(Failure::new(Kind::Refused, "it sent no share")),
        }
    }
    arriving.whole(from, at)
}
