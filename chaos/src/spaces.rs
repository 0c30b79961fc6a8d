//! A network namespace for the clients and one for each domain, joined by nothing but the proxy.
//!
//! What happens in them touches nothing outside: no address, route or rule of the machine changes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick::dev::Place;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::process::Command;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::ChaosError;
use crate::proxy::{Proxy, Wire, Wires, address};
use crate::system::system;

/// So begin the names of namespaces; then comes the number of the process that made them.
const PREFIX: &str = "bailiwick-chaos-";
const INTERFACE: &str = "wire0";
const CLIENTS: &str = "clients";
/// The domains of a cluster, which have the numbers from 1 on; the clients have 0.
pub(crate) const DOMAINS: [&str; 3] = ["eu", "us", "in"];

/// What wires between domains do, and what is run meanwhile.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Milliseconds that a packet takes at least.
    #[arg(long, default_value_t = 0)]
    pub delay_ms: u64,
    /// And at most this many more; later packets may overtake it.
    #[arg(long, default_value_t = 0)]
    pub jitter_ms: u64,
    /// The share of packets that are lost, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub loss: f64,
    /// The share of packets that arrive twice, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub twice: f64,
    /// Of the draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What to run; it finds the options of `bailiwick dev --processes` in the variable PLACES.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("not between 0 and 1".into()) }
}

/// Runs a command among the clients until it ends.
///
/// # Errors
/// [`ChaosError`] when there are no namespaces, no such command, or it fails.
pub async fn run(args: &Args, spaces: Option<&Spaces>) -> Result<(), ChaosError> {
    let spaces = spaces.ok_or(ChaosError::NoWires)?;
    spaces.everywhere(Wire {
        cut: false,
        delay: Duration::from_millis(args.delay_ms),
        jitter: Duration::from_millis(args.jitter_ms),
        loss: args.loss,
        twice: args.twice,
    });
    let Some((program, rest)) = args.command.split_first() else { return Ok(()) };
    let places: Vec<String> =
        spaces.places().iter().map(|place| format!("--place {place}")).collect();
    let ended = Command::new(program).args(rest).env("PLACES", places.join(" ")).status().await?;
    let line = program.display().to_string();
    if ended.success() {
        Ok(())
    } else {
        Err(ChaosError::Command { line, said: ended.to_string() })
    }
}

/// Namespaces that are there until this is dropped.
#[derive(Debug)]
pub struct Spaces {
    names: Vec<String>,
    wires: Arc<Wires>,
    // Dropped first: it holds the interfaces.
    proxy: Option<Proxy>,
}

impl Spaces {
    /// Makes them, and moves the calling thread, with all threads and processes that it starts from here on,
    /// into that of the clients.
    ///
    /// # Errors
    /// [`ChaosError::NoSpaces`] without root or without what the kernel needs for them.
    pub fn enter(seed: u64) -> Result<Self, ChaosError> {
        Self::make(seed).map_err(|error| ChaosError::NoSpaces(Box::new(error)))
    }

    fn make(seed: u64) -> Result<Self, ChaosError> {
        sweep();
        let mut spaces = Self { names: Vec::new(), wires: Arc::default(), proxy: None };
        let mut devices = Vec::new();
        for (number, name) in (0..).zip([CLIENTS].into_iter().chain(DOMAINS)) {
            let name = format!("{PREFIX}{}-{name}", std::process::id());
            system("ip", &["netns", "add", &name])?;
            spaces.names.push(name.clone());
            devices.push(interface(&name, number)?);
        }
        spaces.proxy = Some(Proxy::start(devices, Arc::clone(&spaces.wires), seed)?);
        let clients = spaces.names.first().map(|name| file(name)).unwrap_or_default();
        go_into(&clients)?;
        Ok(spaces)
    }

    /// Where the domains of a cluster are to run.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let numbered = (1..).zip(DOMAINS).zip(self.names.iter().skip(1));
        let place = |((number, domain), name): ((u8, &str), &String)| Place {
            domain: domain.to_owned(),
            address: address(number).into(),
            namespace: file(name),
        };
        numbered.map(place).collect()
    }

    /// All wires from a domain to the other domains, and where `both`, also those to it, are from here on so.
    /// Its clients hear it as before.
    pub fn around(&self, domain: &str, both: bool, wire: Wire) {
        let number = |wanted: &str| DOMAINS.iter().position(|name| *name == wanted);
        let Some(own) = number(domain) else { return };
        for other in (0..DOMAINS.len()).filter(|other| *other != own) {
            self.wires.set(own + 1, other + 1, wire);
            if both {
                self.wires.set(other + 1, own + 1, wire);
            }
        }
    }

    /// All wires between domains are so from here on.
    pub fn everywhere(&self, wire: Wire) {
        for domain in DOMAINS {
            self.around(domain, false, wire);
        }
    }

    /// All wires are perfect again.
    pub fn heal(&self) {
        self.wires.heal();
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        drop(self.proxy.take());
        self.names.iter().for_each(|name| remove(name));
    }
}

fn remove(name: &str) {
    if let Err(error) = system("ip", &["netns", "del", name]) {
        eprintln!("a network namespace is left: {error}");
    }
}

/// Removes what earlier processes left that were ended before they could.
fn sweep() {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            remove(&name);
        }
    }
}

/// The process that made a namespace; none of one that is nobody's here.
fn owner(name: &str) -> Option<u32> {
    let (owner, place) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let ours = place == CLIENTS || DOMAINS.contains(&place);
    ours.then(|| owner.parse().ok()).flatten()
}

fn file(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn go_into(namespace: &Path) -> Result<(), ChaosError> {
    let file = File::open(namespace)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(std::io::Error::from)?;
    Ok(())
}

/// Makes the interface of a namespace and gives it its address; what is sent through it is read from here.
fn interface(name: &str, number: u8) -> Result<SyncDevice, ChaosError> {
    let namespace = file(name);
    let make = move || -> Result<SyncDevice, ChaosError> {
        go_into(&namespace)?;
        Ok(DeviceBuilder::new().name(INTERFACE).build_sync()?)
    };
    // Only the thread that makes it goes there.
    let made = std::thread::spawn(make).join();
    let device = made.unwrap_or_else(|_| Err(std::io::Error::other("no interface").into()))?;
    let network = format!("{}/16", address(number));
    system("ip", &["-n", name, "link", "set", "lo", "up"])?;
    system("ip", &["-n", name, "addr", "replace", &network, "dev", INTERFACE])?;
    system("ip", &["-n", name, "link", "set", INTERFACE, "up"])?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_here_is_ever_removed() {
        assert_eq!(owner("bailiwick-chaos-4711-eu"), Some(4711));
        assert_eq!(owner("bailiwick-chaos-4711-clients"), Some(4711));
        for foreign in ["bailiwick-eu", "bailiwick-chaos-prod-eu", "bailiwick-chaos-4711-lab", "eu"]
        {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
