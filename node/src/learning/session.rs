//! One session of a run, on the coordinator's side, which sees sums alone: the domains that can be reached read
//! their people, agree on masks, and answer round after round, until all are done or one of them is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::ids::{DomainId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Budget, Census, Fineness, LearningError, PackedShare, Training};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{LearningPhase, PrivacySpent, SpendPrivacy};
use futures::future::try_join_all;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::lead::Lead;
use super::seat::{Beginning, RoundWork, Seat, SeatError};
use super::speaker::Session;
use super::wire::model_parts;
use super::{Attempt, Gathering, MaskedShare, SumError};

/// How often a domain may fail without a round summed before it is left out.
const FAILURES_MAX: u32 = 3;
/// A run tells how far it is so often.
const NOTES: u32 = 20;
/// A run has stretches: by these checkpoints are written, and sums announced.
const STRETCHES: u32 = 10;

/// Why a session ended before its work was done.
pub(super) enum Ended {
    /// A party was lost: another session may do better.
    Lost(SeatError),
    /// The run can't be gone on with.
    Failed(Failure),
}

impl From<SeatError> for Ended {
    fn from(error: SeatError) -> Self {
        Self::Lost(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<LearningError> for Ended {
    fn from(error: LearningError) -> Self {
        Self::Failed(Failure::new(error.kind(), error.to_string()))
    }
}

impl Lead {
    /// The node that is to speak for each domain: this one for its own, and for the others one that is
    /// connected, another one after each failure.
    fn parties(&self) -> BTreeMap<DomainId, NodeName> {
        let view = self.learner.control.view();
        let mut parties = BTreeMap::new();
        for domain in view.domains.keys() {
            let failures = self.failures.get(domain).copied().unwrap_or_default();
            let own = domain == self.learner.domain();
            let nodes = view.nodes.values().map(|node| &node.site);
            let mut nodes: Vec<&NodeName> = nodes
                .filter(|site| site.domain == *domain)
                .map(|site| &site.name)
                .filter(|name| own || self.learner.mesh.reachable(name))
                .collect();
            if own {
                nodes = vec![&self.learner.name];
            }
            let at = usize::try_from(failures).ok().and_then(|at| at.checked_rem(nodes.len()));
            let node = at.and_then(|at| nodes.get(at));
            if let Some(node) = node.filter(|_| failures < FAILURES_MAX) {
                parties.insert(domain.clone(), (*node).clone());
            }
        }
        parties
    }

    /// One session: as many rounds as its parties last.
    pub(super) async fn session(&mut self) -> Result<(), Ended> {
        let parties = self.parties();
        if parties.len() < 2 {
            self.failures.clear();
            let alone = SumError::Alone { domains: parties.len() };
            return Ok(self.wait(&alone.to_string()).await?);
        }
        self.spend().await?;
        self.run.attempts += 1;
        self.run.domains = parties.keys().map(ToString::to_string).collect();
        let beginning = self.beginning(parties)?;
        let parties = &beginning.session.parties;
        let begin = |(domain, node)| Seat::begin(&self.learner, &beginning, domain, node);
        let mut seats = try_join_all(parties.iter().map(begin)).await?;
        try_join_all(seats.iter_mut().map(Seat::agree)).await?;
        let domains: BTreeSet<DomainId> = parties.keys().cloned().collect();
        if self.training.is_none() {
            self.begin_training(&mut seats, &domains).await?;
        }
        self.note(LearningPhase::Running, "").await;
        while self.round(&mut seats, &domains).await? {}
        seats.into_iter().for_each(Seat::finish);
        Ok(())
    }

    /// Notes what the sums to come will tell of people, before any is asked for: all of them at first, later one more
    /// for each that was asked for in vain.
    async fn spend(&mut self) -> Result<(), Failure> {
        let sums = self.purse.due(self.sums_left());
        if sums == 0 {
            return Ok(());
        }
        let budget = self.options.budget;
        let spent = PrivacySpent {
            rho: budget.map(|budget| budget.cost(self.options.sums(), sums).0),
            delta: budget.map_or(0.0, Budget::delta),
            ..PrivacySpent::default()
        };
        let spend = SpendPrivacy { run: self.run.run.clone(), spent: Some(spent) };
        self.tells(Change::SpendPrivacy(spend)).await?;
        self.purse.pay(sums);
        Ok(())
    }

    /// Tells the cluster what it must know before the run goes on; while it can't be told, the run waits.
    async fn tells(&mut self, change: Change) -> Result<(), Failure> {
        while let Err(failure) = self.learner.propose(change.clone()).await {
            if failure.kind == Kind::Refused {
                return Err(failure);
            }
            self.wait(&failure.message).await?;
        }
        Ok(())
    }

    /// Sums that the run still needs. Without noise they are noted once for all, however many they are.
    fn sums_left(&self) -> u64 {
        let (sums, training) = (self.options.sums(), self.training.as_ref());
        match self.options.budget {
            None => 1,
            Some(_) => sums.saturating_sub(training.map_or(0, |t| t.progress().0 + 1)).into(),
        }
    }

    /// Takes note that a sum is asked for. Under noise `control` knows beforehand, a stretch at a time: whoever
    /// coordinates next can't know which of them were answered, and pays for them again.
    async fn asks(&mut self) -> Result<(), Failure> {
        if self.options.budget.is_none() {
            return Ok(());
        }
        if let Some(most) = self.purse.announces(self.stretch().into()) {
            self.run.asked = most;
            self.tells(self.told()).await?;
            self.purse.announced(most);
        }
        self.purse.ask();
        Ok(())
    }

    fn stretch(&self) -> u32 {
        (self.options.rounds / STRETCHES).max(1)
    }

    /// Whether what comes after the round under way is to be written down.
    fn checkpoint_is_due(&self) -> bool {
        let done = self.run.done.saturating_add(1);
        let far = done.saturating_sub(self.checkpointed) >= self.stretch();
        far && done < self.options.rounds && self.learner.checkpoints.is_due(&self.run.run)
    }

    fn beginning(&self, parties: BTreeMap<DomainId, NodeName>) -> Result<Beginning, Failure> {
        let mut id = [0; 16];
        let drawn = SystemRandom::new().fill(&mut id);
        drawn.map_err(|_| Failure::new(Kind::Broken, "no random name could be drawn"))?;
        Ok(Beginning {
            session: Session { id, run: self.run.run.clone(), parties },
            order: Arc::clone(&self.order),
            dimensions: self.options.dimensions,
            person_items_max: self.options.person_items_max,
        })
    }

    fn attempt(&self, round: u32) -> Attempt {
        Attempt { round, attempt: self.run.attempts }
    }

    /// Sums the census, and starts.
    async fn begin_training(
        &mut self,
        seats: &mut [Seat],
        domains: &BTreeSet<DomainId>,
    ) -> Result<(), Ended> {
        let at = self.attempt(0);
        self.asks().await?;
        let shares = try_join_all(seats.iter_mut().map(|seat| seat.census(at))).await?;
        let total = sum(at, domains, (0, 1), Default::default(), shares)?;
        let census = Census::of_share(&total.unpacked()?);
        self.people = census.people;
        self.training = Some(Training::start(self.options, self.order.len(), census)?);
        Ok(())
    }

    /// One round; whether there is another.
    async fn round(
        &mut self,
        seats: &mut [Seat],
        domains: &BTreeSet<DomainId>,
    ) -> Result<bool, Ended> {
        let Some(training) = &self.training else { return Ok(false) };
        let Some(round) = training.round() else { return Ok(false) };
        let (done, rounds) = training.progress();
        let at = self.attempt(done + 1);
        let model = Arc::new(training.asked()?);
        let parts = model_parts(&model).collect();
        let work = RoundWork { at, round, model, parts, people: self.people };
        self.asks().await?;
        let shares = try_join_all(seats.iter_mut().map(|seat| seat.share(&work))).await?;
        let shape = round.share_shape(self.order.len(), self.options.dimensions);
        let total = sum(at, domains, shape, round.fineness, shares)?;
        if !self.advance(total).await? {
            return Ok(true);
        }
        self.failures.clear();
        self.fruitless = 0;
        self.run.done = done + 1;
        if self.run.done.is_multiple_of((rounds / NOTES).max(1)) {
            self.note(LearningPhase::Running, "").await;
        }
        Ok(self.run.done < rounds)
    }

    /// Takes the step that a sum says; whether it says one. If not, the round is to be asked for again: in greater
    /// steps, and as a new attempt, since a mask serves once.
    async fn advance(&mut self, total: PackedShare) -> Result<bool, Ended> {
        let Some(mut training) = self.training.take() else { return Ok(false) };
        let checkpoint = self.checkpoint_is_due();
        let (writer, order) = (Arc::clone(&self.learner), Arc::clone(&self.order));
        let (run, options) = (self.run.run.clone(), self.options);
        let stepped = self.learner.offload.call(move || {
            let counts = total.unpacked().and_then(|total| training.advance(&total));
            if checkpoint
                && counts.is_ok()
                && let Err(error) = writer.checkpoints.write(&run, &options, &order, &training)
            {
                tracing::warn!(%error, "a checkpoint of learning was not written");
            }
            (training, counts)
        });
        let broken = |error: std::io::Error| Failure::new(Kind::Broken, error.to_string());
        let (training, counts) = stepped.await.map_err(broken)?;
        if checkpoint && counts.is_ok() {
            (self.checkpointed, _) = training.progress();
        }
        self.training = Some(training);
        if counts == Err(LearningError::WentRound) {
            self.training.as_mut().map_or(Ok(()), Training::coarsen)?;
            self.run.attempts += 1;
            tracing::debug!(round = self.run.done, "a sum went round");
            return Ok(false);
        }
        let counts = counts?;
        let loss = counts.loss / counts.examples.max(1.0);
        tracing::debug!(done = self.run.done, people = counts.people, loss, "summed a round");
        Ok(true)
    }
}

/// The sum of all parties' shares: whole, or none of it is looked at.
fn sum(
    at: Attempt,
    domains: &BTreeSet<DomainId>,
    shape: (usize, usize),
    fineness: [Fineness; 2],
    shares: Vec<MaskedShare>,
) -> Result<PackedShare, Failure> {
    let mut gathering = Gathering::new(at, domains.clone(), shape, fineness)?;
    shares.into_iter().try_for_each(|share| gathering.take(&share))?;
    Ok(gathering.total()?)
}
