//! Ways that are cut, and bad weather.

use std::time::Duration;

use bailiwick_net::memory::Weather;
use rand::Rng as _;

use super::{Faults, Kind, World};

/// The weather of every day: a little delay.
#[must_use]
pub fn fair() -> Weather {
    Weather {
        delay_min: Duration::from_micros(100),
        delay_max: Duration::from_millis(4),
        ..Weather::default()
    }
}

impl Faults {
    pub(super) async fn cut(&mut self, kind: Kind, world: &mut World) {
        let victim = self.node(world);
        let domain = world.nodes.get(&victim).map_or("", |node| node.domain()).to_owned();
        let everybody = world.everybody();
        for (one, at) in &everybody {
            for (other, there) in &everybody {
                let cuts = match kind {
                    Kind::Isolate => (*one == victim) != (*other == victim),
                    Kind::OneWay => *one == victim && *other != victim,
                    Kind::Deaf => {
                        (*one == victim) != (*other == victim) && world.are_nodes(one, other)
                    }
                    Kind::DomainCut => (*at == domain) != (*there == domain),
                    _ => one != other && self.dice.random_ratio(1, 4),
                };
                if cuts {
                    world.wires.cut(one, other);
                }
            }
        }
        world.trace.line(format_args!("  around {victim}"));
        self.lasts().await;
        world.wires.heal();
    }

    /// Whoever leads a users group is cut off, again and again, while messages take nearly as long as the
    /// candidates' timeouts lie apart.
    pub(super) async fn stormy_election(&mut self, world: &mut World) {
        let most = Duration::from_millis(self.dice.random_range(60..250));
        let delay_min = Duration::from_millis(20);
        world.wires.set_weather(Weather { delay_min, delay_max: most, ..fair() });
        for _ in 0..self.dice.random_range(1..4) {
            let Some((leader, _)) = self.leader(world) else { break };
            for (other, _) in world.everybody() {
                if other != leader {
                    world.wires.cut(&leader, &other);
                    world.wires.cut(&other, &leader);
                }
            }
            world.trace.line(format_args!("  around {leader}"));
            self.lasts().await;
            world.wires.heal();
        }
        world.wires.set_weather(fair());
    }

    pub(super) async fn storm(&mut self, world: &mut World) {
        let most = self.dice.random_range(5..120);
        world.wires.set_weather(Weather {
            delay_min: Duration::from_micros(100),
            delay_max: Duration::from_millis(most),
            late_rate: self.dice.random_range(0.0..0.3),
            late_by: Duration::from_millis(self.dice.random_range(50..500)),
            break_rate: self.dice.random_range(0.0..0.02),
        });
        self.lasts().await;
        world.wires.set_weather(fair());
    }
}
