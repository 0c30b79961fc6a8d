//! Keeping the index: due generations are taken over where another node has built them, and built where not.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bailiwick_ann::{AnnError, LiveIndex, Merged};
use bailiwick_core::ids::{GroupId, NodeName};
use bailiwick_core::kind::Kind;
use bailiwick_net::Supervisor;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::catalog_command::Change;
use bailiwick_proto::store::{CatalogCommand, CatalogOutcome, GenerationManifest, NameGeneration};
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::file;
use super::plan::{self, Named, Sight, Step, Tried};
use super::{GENERATION, GenerationError, Generations, How};
use crate::catalog::FORMAT;
use crate::cluster::Group;
use crate::files::Content;
use crate::recommend::tune;

/// How often the index is looked after.
const EVERY: Duration = Duration::from_millis(500);
/// Peers that can't be reached are asked again for so long: after a start they come one by one.
const ASK_FOR: Duration = Duration::from_secs(10);
/// Naming a generation may take this long.
const NAME_WITHIN: Duration = Duration::from_secs(5);

/// Keeps the index: searches and writes go on meanwhile.
pub async fn keep_index(generations: Arc<Generations>, tasks: Supervisor) {
    let mut course = Course::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(index) = generations.catalogue.index() else { continue };
        // A merge that panics would do so again.
        if let Err(Stopped) = generations.step(&index, &mut course, &tasks).await {
            return;
        }
    }
}

/// A merge was ended, or panicked.
struct Stopped;

/// What was tried so far.
#[derive(Default)]
struct Course {
    /// The index that it was tried on: a catalogue that is loaded anew has another one.
    index: Weak<LiveIndex>,
    /// The latest generation, by its hash, and what came of it.
    latest: Option<(Vec<u8>, Option<Tried>)>,
    /// Since when another's is waited for.
    since: Option<Instant>,
}

impl Course {
    /// Whether `named` is another generation than was known.
    fn follow(&mut self, index: &Arc<LiveIndex>, named: Option<&GenerationManifest>) -> bool {
        if !std::ptr::eq(self.index.as_ptr(), Arc::as_ptr(index)) {
            *self = Self { index: Arc::downgrade(index), ..Self::default() };
        }
        let known = self.latest.as_ref().map(|(sha256, _)| sha256);
        let Some(named) = named.filter(|named| known != Some(&named.sha256)) else { return false };
        // Whoever names generations may be trusted to name the next.
        *self = Self {
            index: Arc::downgrade(index),
            latest: Some((named.sha256.clone(), None)),
            since: None,
        };
        true
    }

    fn note(&mut self, tried: Tried) {
        if let Some((_, came)) = &mut self.latest {
            *came = Some(tried);
        }
        self.since = None;
    }

    fn sight(&mut self, index: &LiveIndex, leads: bool, rows: Option<u64>) -> Sight {
        let due = index.needs_merge();
        self.since = due.then(|| self.since.unwrap_or_else(Instant::now));
        let tried = self.latest.as_ref().and_then(|(_, tried)| *tried);
        let rows = rows.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        Sight {
            due,
            backlog: index.backlog(),
            live: index.len(),
            half_full: index.is_half_full(),
            leads,
            named: rows.map(|rows| Named { rows, tried }),
            waited: self.since.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }
}

impl Generations {
    fn group(&self) -> Option<&Arc<Group>> {
        self.groups.get(&GroupId::Catalog(0))
    }

    async fn step(
        self: &Arc<Self>,
        index: &Arc<LiveIndex>,
        course: &mut Course,
        tasks: &Supervisor,
    ) -> Result<(), Stopped> {
        let named = self.catalogue.generation();
        if course.follow(index, named.as_deref()) {
            self.tidy(named.as_deref()).await;
        }
        let leads = self.group().is_some_and(|group| group.leads());
        let sight = course.sight(index, leads, named.as_ref().map(|named| named.rows));
        match (plan::next(&sight), named) {
            (Step::Adopt, Some(named)) => {
                let again = sight.waited < ASK_FOR;
                if let Some(tried) = self.adopt(index, named, again, tasks).await {
                    course.note(tried);
                }
            }
            (Step::Build, _) => _ = self.build(index, tasks).await?,
            (Step::BuildAndName, _) => self.build_and_name(index, tasks).await?,
            (Step::Rest | Step::Wait | Step::Adopt, _) => {}
        }
        Ok(())
    }

    /// Removes the files that are no longer named.
    async fn tidy(&self, named: Option<&GenerationManifest>) {
        let Some(sha256) = named.map(|named| named.sha256.clone()) else { return };
        let folder = Arc::clone(&self.folder);
        let kept = self.exchange.offload.call(move || folder.keep([sha256.as_slice()])).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "generations that nobody needs are still on the disk");
        }
    }

    /// Takes over a generation; none if it is to be tried `again`.
    async fn adopt(
        self: &Arc<Self>,
        index: &Arc<LiveIndex>,
        named: Arc<GenerationManifest>,
        again: bool,
        tasks: &Supervisor,
    ) -> Option<Tried> {
        match self.try_adopt(index, &named, tasks).await {
            Ok((how, merged)) => {
                self.counts.note(how);
                tracing::info!(how = how.as_str(), ?merged, "took over a generation of the index");
                Some(Tried::Spent)
            }
            Err(error) if again && error.kind() == Kind::Unavailable => {
                tracing::info!(%error, node = %named.node, "a generation of the index is asked for again");
                None
            }
            Err(error) => {
                self.counts.note(How::Failed);
                tracing::warn!(%error, node = %named.node, "a generation of the index was not taken over");
                Some(if error.is_idle() { Tried::Spent } else { Tried::Failed })
            }
        }
    }

    async fn try_adopt(
        self: &Arc<Self>,
        index: &Arc<LiveIndex>,
        named: &Arc<GenerationManifest>,
        tasks: &Supervisor,
    ) -> Result<(How, Merged), GenerationError> {
        let content = Content::named(&named.sha256, named.length);
        let content = content.ok_or(GenerationError::Other("its hash has not 32 bytes"))?;
        let how = self.have(content, &named.node).await?;
        let path = self.folder.file(&content.sha256);
        let (this, index, named) = (Arc::clone(self), Arc::clone(index), Arc::clone(named));
        let taken = tasks
            .spawn_blocking("adopt", move || file::take(&this.catalogue, &index, &named, &path));
        let merged = taken.join().await.map_err(|_| GenerationError::Ended)??;
        Ok((how, merged))
    }

    /// Sees to it that the file is on this node's disk, and what it should be.
    async fn have(&self, content: Content, node: &str) -> Result<How, GenerationError> {
        let folder = Arc::clone(&self.folder);
        let found = self.exchange.offload.call(move || folder.whole(&content)).await;
        if found.map_err(|_| GenerationError::Ended)??.is_some() {
            return Ok(How::Opened);
        }
        let node = NodeName::new(node).ok();
        let fetched = self.exchange.fetch(GENERATION, content, &self.folder, node.as_ref()).await;
        fetched.map(|()| How::Fetched).map_err(GenerationError::Fetch)
    }

    /// Builds a generation; none if the index refused.
    async fn build(
        &self,
        index: &Arc<LiveIndex>,
        tasks: &Supervisor,
    ) -> Result<Option<Merged>, Stopped> {
        let merging = Arc::clone(index);
        match tasks.spawn_blocking("merge", move || merge_and_tune(&merging)).join().await {
            Ok(Ok(merged)) => {
                self.counts.note(How::Built);
                tracing::info!(?merged, "merged the index");
                Ok(Some(merged))
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the index was not merged");
                Ok(None)
            }
            Err(_) => Err(Stopped),
        }
    }

    async fn build_and_name(
        self: &Arc<Self>,
        index: &Arc<LiveIndex>,
        tasks: &Supervisor,
    ) -> Result<(), Stopped> {
        let Some(merged) = self.build(index, tasks).await? else { return Ok(()) };
        match self.name(index, merged, tasks).await {
            Ok(()) => self.counts.note(How::Named),
            // The others wait for a while, and then build their own.
            Err(error) => tracing::warn!(%error, "a generation of the index is not named"),
        }
        Ok(())
    }

    async fn name(
        self: &Arc<Self>,
        index: &Arc<LiveIndex>,
        merged: Merged,
        tasks: &Supervisor,
    ) -> Result<(), GenerationError> {
        // Another leader builds its own.
        let group = self.group().filter(|group| group.leads()).ok_or(GenerationError::Led)?;
        let (this, writing) = (Arc::clone(self), Arc::clone(index));
        let written = tasks.spawn_blocking("generation", move || {
            file::write(&this.catalogue, &writing, &merged, &this.folder, &this.exchange.name)
        });
        let manifest = written.join().await.map_err(|_| GenerationError::Ended)??;
        let sha256 = manifest.sha256.clone();
        let named = propose(group, manifest).await;
        // Where it is not known whether it is named, the file stays until another one is.
        if named.as_ref().is_err_and(|failure| failure.kind != Kind::Uncertain) {
            self.folder.remove(&sha256)?;
        }
        named.map_err(GenerationError::Name)
    }
}

/// Merges, and finds out how far searches of the new generation must go.
fn merge_and_tune(index: &LiveIndex) -> Result<Merged, AnnError> {
    let merged = index.merge()?;
    tune(index)?;
    Ok(merged)
}

async fn propose(group: &Group, manifest: GenerationManifest) -> Result<(), Failure> {
    let naming = NameGeneration { generation: Some(manifest) };
    let change = Some(Change::NameGeneration(naming));
    let command = CatalogCommand { format: FORMAT, at_ms: 0, change };
    let done = group.propose_here(command.encode_to_vec().into(), NAME_WITHIN).await?;
    let outcome = CatalogOutcome::decode(done.outcome);
    match outcome.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?.refused.as_str() {
        "" => Ok(()),
        why => Err(Failure::new(Kind::Stale, why)),
    }
}
