//! The coordinator of a run: the leader of the control group. It sees sums alone.
//!
//! A run goes from session to session: in one, the domains that can be reached read their people, agree on
//! masks, and answer round after round. When one of them is lost the session ends, and the next begins, at the
//! round that was not summed, with those that can be reached then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::{DomainId, GroupId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_core::learning::{Budget, Census, LearningError, Training, TrainingOptions};
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::control_command::Change;
use bailiwick_proto::store::{
    ActivateModel, LearningPhase, LearningRun, ModelManifest, NoteLearning, PrivacySpent,
    SpendPrivacy,
};
use futures::future::try_join_all;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::sleep;

use super::learner::{Learner, WITHIN};
use super::model::ModelFile;
use super::seat::{Beginning, RoundWork, Seat, SeatError};
use super::speaker::Session;
use super::wire::model_parts;
use super::{Attempt, Gathering, ItemOrder, MaskedShare, SumError, training_options};
use crate::files::sha256_of;

/// Between two sessions of a run.
const PAUSE: Duration = Duration::from_secs(1);
/// Sessions that a run may begin without one round summed between them.
const FRUITLESS_MAX: u32 = 30;
/// How often a domain may fail without a round summed before it is left out.
const FAILURES_MAX: u32 = 3;
/// A run tells how far it is so often.
const NOTES: u32 = 20;

/// Leads a run to its end.
pub(super) async fn lead(learner: &Arc<Learner>, run: LearningRun) {
    let mut lead = Lead::new(Arc::clone(learner), run);
    if let Err(failure) = lead.through().await {
        tracing::warn!(%failure, "a run of learning failed");
        lead.note(LearningPhase::Failed, &failure.message).await;
    }
}

/// Why a session ended before its work was done.
enum Ended {
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

/// A run under way.
struct Lead {
    learner: Arc<Learner>,
    run: LearningRun,
    options: TrainingOptions,
    order: Arc<ItemOrder>,
    people: u64,
    training: Option<Training>,
    /// By domain, failures since a round was summed.
    failures: BTreeMap<DomainId, u32>,
    fruitless: u32,
    /// Whether it is noted what the sums tell of people.
    spent: bool,
}

fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn long(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Lead {
    fn new(learner: Arc<Learner>, run: LearningRun) -> Self {
        // What can't be learned with was refused when the run began.
        let options = training_options(&run.options.unwrap_or_default()).unwrap_or_default();
        // Whatever another coordinator summed went with it.
        let (run, order) = (LearningRun { done: 0, ..run }, Arc::default());
        let (training, failures) = (None, BTreeMap::new());
        let (people, fruitless, spent) = (0, 0, false);
        Self { learner, run, options, order, people, training, failures, fruitless, spent }
    }

    /// From the items to the model that is served.
    async fn through(&mut self) -> Result<(), Failure> {
        self.number_items().await?;
        while self.training.as_ref().is_none_or(|training| training.round().is_some()) {
            match self.session().await {
                Ok(()) => {}
                Err(Ended::Failed(failure)) => return Err(failure),
                Err(Ended::Lost(lost)) => self.lost(lost).await?,
            }
        }
        self.finish().await
    }

    async fn lost(&mut self, lost: SeatError) -> Result<(), Failure> {
        tracing::info!(%lost, "the domains meet anew");
        *self.failures.entry(lost.domain.clone()).or_default() += 1;
        self.wait(&lost.to_string()).await
    }

    /// Waits for better times, within bounds.
    async fn wait(&mut self, why: &str) -> Result<(), Failure> {
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
            let at = long(failures).checked_rem(nodes.len());
            let node = at.and_then(|at| nodes.get(at));
            if let Some(node) = node.filter(|_| failures < FAILURES_MAX) {
                parties.insert(domain.clone(), (*node).clone());
            }
        }
        parties
    }

    /// One session: as many rounds as its parties last.
    async fn session(&mut self) -> Result<(), Ended> {
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

    /// Notes what the sums will tell of people, before the first: each coordinator begins with new ones.
    async fn spend(&mut self) -> Result<(), Failure> {
        if self.spent {
            return Ok(());
        }
        let budget = self.options.budget;
        let spent = PrivacySpent {
            rho: budget.map(|budget| budget.rho().0),
            delta: budget.map_or(0.0, Budget::delta),
            ..PrivacySpent::default()
        };
        let spend = SpendPrivacy { run: self.run.run.clone(), spent: Some(spent) };
        self.learner.propose(Change::SpendPrivacy(spend)).await?;
        self.spent = true;
        Ok(())
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
        let shares = try_join_all(seats.iter_mut().map(|seat| seat.census(at))).await?;
        let total = sum(at, domains, (0, 1), &shares)?;
        let census = Census::of_share(&total);
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
        let model = Arc::new(training.model().clone());
        let parts = model_parts(&model).collect();
        let work = RoundWork { at, round, model, parts, people: self.people };
        let shares = try_join_all(seats.iter_mut().map(|seat| seat.share(&work))).await?;
        let shape = work.model.targets().shape();
        let total = sum(at, domains, shape, &shares)?;
        drop(shares);
        self.advance(total).await?;
        self.failures.clear();
        self.fruitless = 0;
        self.run.done = done + 1;
        if self.run.done.is_multiple_of((rounds / NOTES).max(1)) {
            self.note(LearningPhase::Running, "").await;
        }
        Ok(self.run.done < rounds)
    }

    /// Takes the step that a sum says.
    async fn advance(&mut self, total: bailiwick_core::learning::Share) -> Result<(), Ended> {
        let Some(mut training) = self.training.take() else { return Ok(()) };
        let stepped = self.learner.offload.call(move || {
            let counts = training.advance(&total);
            (training, counts)
        });
        let broken = |error: std::io::Error| Failure::new(Kind::Broken, error.to_string());
        let (training, counts) = stepped.await.map_err(broken)?;
        self.training = Some(training);
        let counts = counts?;
        let loss = counts.loss / counts.examples.max(1.0);
        tracing::debug!(done = self.run.done, people = counts.people, loss, "summed a round");
        Ok(())
    }

    /// Tells the cluster how far the run is. That it can't be told now is no reason to stop.
    async fn note(&mut self, phase: LearningPhase, why: &str) {
        self.run.phase = phase.into();
        self.run.why = why.chars().take(200).collect();
        let change = Change::NoteLearning(NoteLearning { run: Some(self.run.clone()) });
        if let Err(failure) = self.learner.propose(change).await {
            tracing::debug!(%failure, "how far learning is was not noted");
        }
    }

    /// Writes the model, and has it served.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(training) = self.training.take() else { return Ok(()) };
        let (order, learner) = (Arc::clone(&self.order), Arc::clone(&self.learner));
        let writer = Arc::clone(&learner);
        let written = self.learner.offload.call(move || {
            let file = ModelFile::new((*order).clone(), training.finish()).indexed();
            let bytes = file.map_err(|error| error.to_string())?.encode();
            let sha256 = sha256_of(&bytes);
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let put = writer.models.put(&sha256, &bytes);
            put.map(|()| (sha256, length)).map_err(|error| error.to_string())
        });
        let broken = |error: &dyn std::fmt::Display| Failure::new(Kind::Broken, error.to_string());
        let (sha256, length) = written.await.map_err(|e| broken(&e))?.map_err(|e| broken(&e))?;
        let manifest = ModelManifest {
            sha256: sha256.to_vec(),
            length,
            items: short(self.order.len()),
            dimensions: short(self.options.dimensions),
            learned_ms: (self.learner.clock)().0,
            people: self.people,
            rounds: self.options.rounds,
            run: self.run.run.clone(),
            domains: self.run.domains.clone(),
        };
        learner.spread(&manifest).await?;
        let activate = ActivateModel { manifest: Some(manifest) };
        self.learner.propose(Change::ActivateModel(activate)).await
    }
}

/// The sum of all parties' shares: whole, or none of it is looked at.
fn sum(
    at: Attempt,
    domains: &BTreeSet<DomainId>,
    shape: (usize, usize),
    shares: &[MaskedShare],
) -> Result<bailiwick_core::learning::Share, Failure> {
    let mut gathering = Gathering::new(at, domains.clone(), shape)?;
    shares.iter().try_for_each(|share| gathering.take(share))?;
    Ok(gathering.total()?)
}
