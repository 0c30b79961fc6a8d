//! A wire in user space between network namespaces: a packet may come late, out of order, twice or never.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tun_rs::{AsyncDevice, SyncDevice};

/// More than any of the interfaces hands over at once.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// Packets of a place that are late at once; more are lost, as in a router whose queue is full.
const LATE_MAX: usize = 4096;

/// How packets fare one way between two places. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wire {
    /// Nothing arrives.
    pub cut: bool,
    /// A packet takes at least this long.
    pub delay: Duration,
    /// And up to this much longer: later ones may overtake it.
    pub jitter: Duration,
    /// The share of packets that are lost, from 0 to 1.
    pub loss: f64,
    /// The share of packets that arrive twice, from 0 to 1.
    pub twice: f64,
}

impl Wire {
    /// How long each copy of a packet takes; of one that is lost there is none.
    fn copies(&self, draws: &mut impl Rng) -> [Option<Duration>; 2] {
        let lost = self.cut || draws.random_bool(self.loss);
        let copies = if lost { 0 } else { 1 + usize::from(draws.random_bool(self.twice)) };
        [0, 1].map(|copy| (copy < copies).then(|| self.delay + self.jitter.mul_f64(draws.random())))
    }
}

/// How packets fare between all places, each by its number. Shared with whoever makes the weather.
#[derive(Debug, Default)]
pub struct Wires(Mutex<Vec<(usize, usize, Wire)>>);

impl Wires {
    fn wires(&self) -> MutexGuard<'_, Vec<(usize, usize, Wire)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on packets from `from` to `to` fare so.
    pub fn set(&self, from: usize, to: usize, wire: Wire) {
        let mut wires = self.wires();
        wires.retain(|(a, b, _)| (*a, *b) != (from, to));
        wires.push((from, to, wire));
    }

    /// All wires are perfect again.
    pub fn heal(&self) {
        self.wires().clear();
    }

    fn get(&self, from: usize, to: usize) -> Wire {
        let wires = self.wires();
        let found = wires.iter().find(|(a, b, _)| (*a, *b) == (from, to));
        found.map(|(_, _, wire)| *wire).unwrap_or_default()
    }
}

/// The network of which each place is a part: 10.77.PLACE.HOST.
const NETWORK: [u8; 2] = [10, 77];

/// The address of a place.
#[must_use]
pub fn address(place: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK[0], NETWORK[1], place, 1)
}

/// The place that an IPv4 packet goes to; none of others, and none outside.
fn destination(packet: &[u8]) -> Option<usize> {
    let v4 = packet.first()? >> 4 == 4;
    let to = packet.get(16..20)?;
    (v4 && to.starts_with(&NETWORK)).then(|| to.get(2).copied().map(usize::from)).flatten()
}

/// Carries packets on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Proxy {
    /// Joins the interfaces of all places, by their numbers. `seed` draws what is lost, late and doubled.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(devices: Vec<SyncDevice>, wires: Arc<Wires>, seed: u64) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let carrying = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::select! {
                    done = carry(devices, wires, seed) => done,
                    _ = stopped => Ok(()),
                }
            })
        };
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(carrying)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the proxy ended early: {error}");
        }
    }
}

async fn carry(devices: Vec<SyncDevice>, wires: Arc<Wires>, seed: u64) -> io::Result<()> {
    let devices: io::Result<Vec<_>> =
        devices.into_iter().map(|device| AsyncDevice::new(device).map(Arc::new)).collect();
    let devices = devices?;
    let each = (0..devices.len()).map(|from| {
        let draws = ChaCha8Rng::seed_from_u64(seed.wrapping_add(from as u64));
        carry_from(from, &devices, &wires, draws)
    });
    try_join_all(each).await.map(|_| ())
}

async fn carry_from(
    from: usize,
    devices: &[Arc<AsyncDevice>],
    wires: &Wires,
    mut draws: ChaCha8Rng,
) -> io::Result<()> {
    let Some(source) = devices.get(from) else { return Ok(()) };
    let (mut buffer, mut late) = (vec![0; PACKET_BYTES_MAX], FuturesUnordered::new());
    loop {
        let length = tokio::select! {
            length = source.recv(&mut buffer) => length?,
            Some(()) = late.next(), if !late.is_empty() => continue,
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let Some(place) = destination(packet) else { continue };
        let Some(to) = devices.get(place) else { continue };
        for takes in wires.get(from, place).copies(&mut draws).into_iter().flatten() {
            if takes.is_zero() {
                deliver(to, packet).await;
            } else if late.len() < LATE_MAX {
                let packet = packet.to_vec();
                late.push(async move {
                    sleep(takes).await;
                    deliver(to, &packet).await;
                });
            }
        }
    }
}

/// A packet that an interface does not take is lost, as anywhere: whoever sent it sends it again.
async fn deliver(to: &AsyncDevice, packet: &[u8]) {
    let _ = to.send(packet).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: usize = 10_000;

    /// How many copies of `TIMES` packets arrive, and the longest that one took.
    fn sent(wire: Wire) -> (usize, Duration) {
        let mut draws = ChaCha8Rng::seed_from_u64(1);
        let copies: Vec<Duration> =
            (0..TIMES).flat_map(|_| wire.copies(&mut draws)).flatten().collect();
        (copies.len(), copies.into_iter().max().unwrap_or_default())
    }

    #[test]
    fn a_wire_does_what_it_says() {
        let (delay, jitter) = (Duration::from_millis(40), Duration::from_millis(10));
        assert_eq!(sent(Wire::default()), (TIMES, Duration::ZERO));
        assert_eq!(sent(Wire { cut: true, ..Wire::default() }), (0, Duration::ZERO));
        let (arrived, slowest) = sent(Wire { delay, jitter, ..Wire::default() });
        assert!(arrived == TIMES && slowest > Duration::from_millis(49), "{slowest:?}");
        assert!(slowest < delay + jitter);
        let (arrived, _) = sent(Wire { loss: 0.1, ..Wire::default() });
        assert!((8_700..9_300).contains(&arrived), "{arrived}");
        let (arrived, _) = sent(Wire { twice: 0.1, ..Wire::default() });
        assert!((10_700..11_300).contains(&arrived), "{arrived}");
    }

    #[test]
    fn a_wire_goes_one_way() {
        let (wires, cut) = (Wires::default(), Wire { cut: true, ..Wire::default() });
        wires.set(1, 2, cut);
        wires.set(1, 2, Wire { loss: 0.5, ..cut });
        assert_eq!(wires.get(1, 2).loss, 0.5);
        assert_eq!(wires.get(2, 1), Wire::default());
        wires.heal();
        assert_eq!(wires.get(1, 2), Wire::default());
    }

    #[test]
    fn a_packet_goes_where_its_header_says() {
        let to = |address: [u8; 4]| {
            let mut packet = vec![0; 20];
            packet[0] = 0x45;
            packet[16..20].copy_from_slice(&address);
            packet
        };
        assert_eq!(destination(&to(address(2).octets())), Some(2));
        assert_eq!(destination(&to([10, 78, 2, 1])), None);
        assert_eq!(destination(&to(address(2).octets())[..19]), None);
        let mut six = to(address(2).octets());
        six[0] = 0x60;
        assert_eq!(destination(&six), None);
        assert_eq!(destination(&[]), None);
    }
}
