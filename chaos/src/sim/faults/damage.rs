//! Disks that are slow, full, failing, rotten or gone.

use std::io::ErrorKind;
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_node::log::sim::Call;
use rand::Rng as _;

use super::{Faults, Kind, Rows, SimError, World};
use crate::sim::node::SimNode;

impl Faults {
    /// Whether all that a node has may be lost: once a run, and not where a domain has too few others or while
    /// events wait on it for their group, since what only one disk has is gone with it.
    fn is_expendable(&self, world: &World, name: &NodeName) -> bool {
        let others = |node: &SimNode| world.of_domain(node.domain()).count() >= 3;
        let node = world.nodes.get(name);
        !self.wiped && node.is_some_and(|node| others(node) && !node.has_events_waiting())
    }

    /// A node loses everything.
    pub(super) async fn wipe(&mut self, world: &mut World) -> Result<(), SimError> {
        let name = self.node(world);
        if !self.is_expendable(world, &name) {
            return self.restart(world).await;
        }
        self.wiped = true;
        self.down(world, &name, Rows::Wiped).await?;
        self.lasts().await;
        self.up(world, &name).await
    }

    pub(super) async fn slow_disk(&mut self, world: &mut World) {
        let (name, slow) = (self.node(world), self.dice.random_range(20..800));
        let set = |world: &World, slow| {
            world.nodes.get(&name).into_iter().for_each(|node| node.set_slow(slow));
        };
        set(world, Duration::from_millis(slow));
        self.lasts().await;
        set(world, Duration::ZERO);
    }

    /// The disk refuses; the node must end itself rather than go on, and comes back on a disk that is well.
    pub(super) async fn broken_disk(
        &mut self,
        kind: Kind,
        world: &mut World,
    ) -> Result<(), SimError> {
        let (name, nth) = (self.node(world), self.dice.random_range(1..20));
        let (call, error) = match kind {
            Kind::FullDisk => (Call::Write, ErrorKind::StorageFull),
            _ => (Call::Sync, ErrorKind::Other),
        };
        if let Some(node) = world.nodes.get(&name) {
            node.disk().fail_from(nth, call, error);
            let fatal = tokio::time::timeout(Duration::from_secs(4), node.fatal()).await;
            world.trace.line(format_args!("  {name}: {fatal:?}"));
        }
        let rows = self.rows();
        self.down(world, &name, rows).await?;
        self.lasts().await;
        self.up(world, &name).await
    }

    /// A bit of a node's log changes while it is down. Either nothing hangs on it, or the log says so and does not
    /// open; its node is then given an empty disk, as its operator would do.
    pub(super) async fn bit_rot(&mut self, world: &mut World) -> Result<(), SimError> {
        let (name, seed) = (self.node(world), self.dice.random());
        if !self.is_expendable(world, &name) {
            return self.restart(world).await;
        }
        self.down(world, &name, Rows::Kept).await?;
        if let Some(node) = world.nodes.get(&name) {
            node.disk().rot(seed);
        }
        match self.up(world, &name).await {
            Err(SimError::Part(words)) if words.contains("damaged") => {
                world.trace.line(format_args!("  {words}"));
                self.wiped = true;
                self.down(world, &name, Rows::Wiped).await?;
                self.up(world, &name).await
            }
            other => other,
        }
    }
}
