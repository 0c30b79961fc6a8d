//! The world in memory, under paused time and in middling weather.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_core::ids::NodeName;
use bailiwick_net::identity::Role;
use bailiwick_net::memory::{MemoryNet, Passport, Weather};
use bailiwick_net::transport::Transport;
use bailiwick_net::{Expect, Identity};

use crate::world::World;

pub struct InMemory {
    net: MemoryNet,
    names: Mutex<Vec<NodeName>>,
}

impl Default for InMemory {
    fn default() -> Self {
        let weather = Weather {
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(20),
            late_rate: 0.05,
            late_by: Duration::from_millis(100),
            break_rate: 0.0,
        };
        Self { net: MemoryNet::new(7, weather), names: Mutex::default() }
    }
}

impl InMemory {
    fn pairs(&self, each: impl Fn(&NodeName, &NodeName)) {
        let names = self.names.lock().unwrap();
        for a in names.iter() {
            for b in names.iter().filter(|b| *b != a) {
                each(a, b);
            }
        }
    }
}

impl World for InMemory {
    async fn transport(
        &self,
        identity: &Identity,
        ca: &str,
        again_at: Option<SocketAddr>,
    ) -> (Arc<dyn Transport>, SocketAddr) {
        let mut names = self.names.lock().unwrap();
        names.push(identity.name.clone());
        let port = 7000 + u16::try_from(names.len()).unwrap();
        let addr = again_at.unwrap_or_else(|| ([127, 0, 0, 1], port).into());
        let passport = Passport::signed_by(identity.clone(), ca.parse().unwrap());
        let transport = self.net.endpoint(addr, passport, Expect::Role(Role::Node)).unwrap();
        (Arc::new(transport), addr)
    }

    fn cut(&self) {
        self.pairs(|a, b| self.net.partition(a, b));
    }

    fn heal(&self) {
        self.net.heal_all();
    }
}
