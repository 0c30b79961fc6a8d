//! What goes wrong in a simulation, drawn by seed: each fault begins, lasts a while, and is mended.

mod damage;
mod network;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_core::placement::admit;
use bailiwick_node::cluster::Group;
use bailiwick_node::raft::types::Member;
use futures::FutureExt as _;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::{sleep, timeout};

use super::SimError;
use super::node::{Rows, SimNode};
use super::observe::Observer;
use super::scenario::{Kind, Scenario};
use super::world::{ROUTERS, World};

/// A fault lasts so long, in milliseconds.
const LASTS_MS: std::ops::Range<u64> = 300..4_000;
/// Between the end of one and the next.
const PAUSE_MS: std::ops::Range<u64> = 50..1_500;
/// A power cut at a call of the disk waits for that call, as often as this.
const LOOKS: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A change of members is answered within this time.
const ANSWERS: Duration = Duration::from_secs(5);
/// The number of a member that no group has.
const STRANGER: u64 = 4_242;

pub use network::fair;

/// Draws faults and injects them.
pub struct Faults {
    dice: ChaCha8Rng,
    scenario: Scenario,
    observer: Observer,
    wiped: bool,
    /// Faults so far.
    pub count: u64,
}

impl Faults {
    /// The faults of a scenario, by seed.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64, observer: Observer) -> Self {
        let dice = ChaCha8Rng::seed_from_u64(seed ^ 0x6661_756c);
        Self { dice, scenario, observer, wiped: false, count: 0 }
    }

    /// Injects one fault after the other, each mended before the next.
    ///
    /// # Errors
    /// [`SimError`] when a node does not come back.
    pub async fn run(&mut self, world: &mut World) -> Result<(), SimError> {
        for _ in 0..self.scenario.rounds(&mut self.dice) {
            self.revive(world).await?;
            let pause = self.dice.random_range(PAUSE_MS);
            sleep(Duration::from_millis(pause)).await;
            let Some(kind) = self.scenario.draw(&mut self.dice) else { continue };
            self.count += 1;
            world.trace.line(format_args!("FAULT {kind:?}"));
            self.inject(kind, world).await?;
            world.trace.line("MENDED");
        }
        Ok(())
    }

    /// Nodes that have ended themselves are started again, as whoever runs them would. With a disk that is well
    /// none should have.
    ///
    /// # Errors
    /// [`SimError`] when one does not come back.
    pub async fn revive(&mut self, world: &mut World) -> Result<(), SimError> {
        let names: Vec<NodeName> = world.nodes.keys().cloned().collect();
        for name in names {
            let fatal = world.nodes.get(&name).and_then(|node| node.fatal().now_or_never());
            if let Some(words) = fatal {
                self.observer.note("no node ends itself", format!("{name}: {words}"));
                self.down(world, &name, Rows::Kept).await?;
                self.up(world, &name).await?;
            }
        }
        Ok(())
    }

    async fn lasts(&mut self) {
        let lasts = self.dice.random_range(LASTS_MS);
        sleep(Duration::from_millis(lasts)).await;
    }

    fn node(&mut self, world: &World) -> NodeName {
        let at = self.dice.random_range(0..world.nodes.len());
        // INVARIANT: a world has nodes.
        world.nodes.keys().nth(at).cloned().unwrap_or_else(|| unreachable!("a world without nodes"))
    }

    fn rows(&mut self) -> Rows {
        if self.dice.random_ratio(1, 3) { Rows::Lost } else { Rows::Kept }
    }

    async fn inject(&mut self, kind: Kind, world: &mut World) -> Result<(), SimError> {
        match kind {
            Kind::PowerCut => self.power_cut(world).await,
            Kind::PowerCutAtCall => self.power_cut_at_call(world).await,
            Kind::PowerCutOfAll => self.power_cut_of_all(world).await,
            Kind::Restart => self.restart(world).await,
            Kind::Wipe => self.wipe(world).await,
            Kind::StormyElection => {
                self.stormy_election(world).await;
                Ok(())
            }
            Kind::Isolate | Kind::OneWay | Kind::Deaf | Kind::SomeWays | Kind::DomainCut => {
                self.cut(kind, world).await;
                Ok(())
            }
            Kind::Storm => {
                self.storm(world).await;
                Ok(())
            }
            Kind::SlowDisk => {
                self.slow_disk(world).await;
                Ok(())
            }
            Kind::FailingDisk | Kind::FullDisk => self.broken_disk(kind, world).await,
            Kind::Clock => {
                self.clock(world).await;
                Ok(())
            }
            Kind::BitRot => self.bit_rot(world).await,
            Kind::MemberAbroad => self.member_abroad(world).await,
        }
    }

    async fn down(
        &mut self,
        world: &mut World,
        name: &NodeName,
        rows: Rows,
    ) -> Result<(), SimError> {
        let seed = self.dice.random();
        world.trace.line(format_args!("  {name} loses its power, rows {rows:?}"));
        let Some(node) = world.nodes.get_mut(name) else { return Ok(()) };
        node.cut_power(rows, seed).await?;
        node.set_slow(Duration::ZERO);
        Ok(())
    }

    async fn up(&self, world: &mut World, name: &NodeName) -> Result<(), SimError> {
        world.start(name, &self.observer).await
    }

    async fn power_cut(&mut self, world: &mut World) -> Result<(), SimError> {
        let (name, rows) = (self.node(world), self.rows());
        self.down(world, &name, rows).await?;
        self.lasts().await;
        self.up(world, &name).await
    }

    /// The power fails in the middle of what the disk is doing.
    async fn power_cut_at_call(&mut self, world: &mut World) -> Result<(), SimError> {
        let (name, rows, nth) = (self.node(world), self.rows(), self.dice.random_range(1..12));
        if let Some(node) = world.nodes.get(&name) {
            let due = node.disk().calls() + nth;
            node.disk().cut_power_at(nth);
            for _ in 0..LOOKS {
                if node.disk().calls() >= due {
                    break;
                }
                sleep(LOOK_EVERY).await;
            }
        }
        self.down(world, &name, rows).await?;
        self.lasts().await;
        self.up(world, &name).await
    }

    async fn power_cut_of_all(&mut self, world: &mut World) -> Result<(), SimError> {
        let names: Vec<NodeName> = world.nodes.keys().cloned().collect();
        self.slow_leader(world).await;
        // At one moment: nothing more leaves any of them.
        for node in world.nodes.values() {
            node.silence();
        }
        for name in &names {
            let rows = self.rows();
            self.down(world, name, rows).await?;
        }
        for name in &names {
            self.up(world, name).await?;
        }
        self.lasts().await;
        Ok(())
    }

    /// Often a leader's disk is slow before all power fails: others then have on disk what it lacks itself.
    async fn slow_leader(&mut self, world: &World) {
        let leads = |node: &&SimNode| {
            let groups = node.body().map(|body| body.groups());
            groups.is_some_and(|groups| groups.iter().any(|group| group.leads()))
        };
        let leaders: Vec<&SimNode> = world.nodes.values().filter(leads).collect();
        let at = self.dice.random_range(0..leaders.len().max(1) * 2);
        let Some(node) = leaders.get(at) else { return };
        let (slow, lasts) = (self.dice.random_range(200..1_500), self.dice.random_range(100..900));
        world.trace.line(format_args!("  {} has a slow disk", node.name()));
        node.set_slow(Duration::from_millis(slow));
        sleep(Duration::from_millis(lasts)).await;
    }

    async fn restart(&mut self, world: &mut World) -> Result<(), SimError> {
        let name = self.node(world);
        if let Some(node) = world.nodes.get_mut(&name) {
            node.stop().await;
        }
        self.lasts().await;
        self.up(world, &name).await
    }

    /// A node that leads a users group, and the group.
    fn leader(&mut self, world: &World) -> Option<(NodeName, Arc<Group>)> {
        let leading = world.nodes.values().filter_map(|node| {
            let groups = node.body()?.groups();
            let group = groups.iter().find(|g| g.leads() && g.id().pinned_to().is_some())?;
            Some((node.name().clone(), Arc::clone(group)))
        });
        leading.collect::<Vec<_>>().choose(&mut self.dice).cloned()
    }

    /// A leader of a users group errs and takes a node of another domain for a member. Its own log refuses, which
    /// ends it; what it did is nowhere.
    async fn member_abroad(&mut self, world: &mut World) -> Result<(), SimError> {
        let Some((name, group)) = self.leader(world) else { return Ok(()) };
        let stranger = world.nodes.values().find(|node| {
            admit(group.id(), node.name().as_str(), &node.plan().identity.domain).is_err()
        });
        let Some(stranger) = stranger else { return Ok(()) };
        let member = Member::from(stranger.plan().identity.site());
        world.trace.line(format_args!("  {name} lets {} into {}", member.name, group.id()));
        let added = timeout(ANSWERS, group.raft().add_learner(STRANGER, member, false)).await;
        if let Ok(Ok(_)) = added {
            self.observer.note("members stand at home", format!("{name} let a stranger in"));
        }
        drop(group);
        let rows = self.rows();
        self.down(world, &name, rows).await?;
        self.lasts().await;
        self.up(world, &name).await
    }

    /// A clock is wrong for a while: by seconds, or by more than a node may be ready with.
    async fn clock(&mut self, world: &mut World) {
        let name = self.node(world);
        let most = if self.dice.random_ratio(1, 4) { 900_000 } else { 8_000 };
        let skew = self.dice.random_range(-most..most);
        world.trace.line(format_args!("  {name} by {skew} ms"));
        let set = |world: &World, skew| {
            world.nodes.get(&name).into_iter().for_each(|node| node.set_skew(skew));
        };
        set(world, skew);
        self.lasts().await;
        set(world, 0);
    }
}

impl World {
    /// All processes, with their domains.
    #[must_use]
    pub fn everybody(&self) -> Vec<(NodeName, String)> {
        let nodes = self.nodes.values().map(|node| (node.name().clone(), node.domain().to_owned()));
        let routers = ROUTERS
            .iter()
            .filter_map(|(name, domain, _)| Some((name.parse().ok()?, (*domain).to_owned())));
        nodes.chain(routers).collect()
    }

    /// Whether both are nodes, and neither a router.
    fn are_nodes(&self, one: &NodeName, other: &NodeName) -> bool {
        self.nodes.contains_key(one) && self.nodes.contains_key(other)
    }

    /// Starts a node and watches it.
    ///
    /// # Errors
    /// [`SimError`] when it does not start.
    pub async fn start(&mut self, name: &NodeName, observer: &Observer) -> Result<(), SimError> {
        let Some(node) = self.nodes.get_mut(name) else { return Ok(()) };
        let started = node.start().await;
        started.map_err(|error| SimError::Part(format!("{name} does not start: {error}")))?;
        self.trace.line(format_args!("  {name} starts, life {}", node.life()));
        observer.watch(node, node.tasks());
        Ok(())
    }
}
