//! What a simulation relies on: the same seed tells the same story, and the network's cuts hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_net::identity::Role;
use bailiwick_net::memory::{MemoryNet, MemoryTransport, Passport, Weather};
use bailiwick_net::transport::{Connection, Frame, Lost, Tag, Transport};
use bailiwick_net::{Expect, Identity};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

const STORMY: Weather = Weather {
    delay_min: Duration::from_millis(1),
    delay_max: Duration::from_millis(50),
    late_rate: 0.1,
    late_by: Duration::from_millis(200),
    break_rate: 0.005,
};

fn identity(name: &str) -> Identity {
    format!("spiffe://demo/domain/eu/region/eu-west/node/{name}").parse().unwrap()
}

fn addr(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

fn process(net: &MemoryNet, name: &str, port: u16) -> MemoryTransport {
    let accepts = Expect::Role(Role::Node);
    net.endpoint(addr(port), Passport::genuine(identity(name)), accepts).unwrap()
}

type Ends = (Arc<dyn Connection>, Arc<dyn Connection>);

async fn connect(from: &MemoryTransport, to: &MemoryTransport) -> Result<Ends, Lost> {
    let near = from.dial(to.local_addr().unwrap(), Expect::Member).await?;
    let far = to.accept().await.ok_or(Lost::Closed)?.admit().await?;
    Ok((near, far))
}

fn data(n: usize) -> Frame {
    Frame { tag: Tag::Data, body: Bytes::from(n.to_string()) }
}

/// When each frame arrived, in milliseconds, and how it ended.
async fn story(seed: u64) -> (Vec<u128>, Option<Lost>) {
    let net = MemoryNet::new(seed, STORMY);
    let (a, b) = (process(&net, "a", 1), process(&net, "b", 2));
    let start = Instant::now();
    let Ok((near, far)) = connect(&a, &b).await else { return (Vec::new(), None) };
    let mut sent = near.open().await.unwrap();
    let mut got = far.accept().await.unwrap();
    let mut arrivals = Vec::new();
    for n in 0..300 {
        if let Err(lost) = sent.sink.send(data(n)).await {
            return (arrivals, Some(lost));
        }
        match got.source.recv(64).await {
            Ok(frame) => assert_eq!(frame.unwrap(), data(n)),
            Err(lost) => return (arrivals, Some(lost)),
        }
        arrivals.push(start.elapsed().as_millis());
    }
    (arrivals, None)
}

#[tokio::test(start_paused = true)]
async fn one_seed_tells_one_story() {
    let mut stories = Vec::new();
    for seed in 0..20 {
        let told = story(seed).await;
        assert_eq!(told, story(seed).await, "seed {seed}");
        stories.push(told);
    }
    stories.dedup();
    assert_eq!(stories.len(), 20, "other seeds tell other stories");
    assert!(stories.iter().any(|(_, end)| end.is_some()), "some connections break");
    assert!(stories.iter().any(|(arrivals, _)| arrivals.len() > 100), "some do not, for long");
}

/// Frames held up by a short cut arrive after it; nothing is lost and nothing overtakes.
#[tokio::test(start_paused = true)]
async fn a_short_cut_only_delays() {
    let net = MemoryNet::new(1, Weather::default());
    let (a, b) = (process(&net, "a", 1), process(&net, "b", 2));
    let (near, far) = connect(&a, &b).await.unwrap();
    let mut sent = near.open().await.unwrap();
    let mut got = far.accept().await.unwrap();
    net.cut(&identity("a").name, &identity("b").name);
    sent.sink.send(data(1)).await.unwrap();
    sent.sink.send(data(2)).await.unwrap();
    let early = timeout(Duration::from_secs(2), got.source.recv(64)).await;
    assert!(early.is_err(), "the way is cut");
    net.heal_all();
    assert_eq!(got.source.recv(64).await.unwrap(), Some(data(1)));
    assert_eq!(got.source.recv(64).await.unwrap(), Some(data(2)));
}

/// One deaf side is enough: it gives the connection up, and the other learns of it.
#[tokio::test(start_paused = true)]
async fn a_one_way_cut_ends_the_connection_for_both() {
    let net = MemoryNet::new(1, Weather::default());
    let (a, b) = (process(&net, "a", 1), process(&net, "b", 2));
    let (near, far) = connect(&a, &b).await.unwrap();
    let start = Instant::now();
    net.cut(&identity("a").name, &identity("b").name);
    assert_eq!((near.closed().await, far.closed().await), (Lost::TimedOut, Lost::TimedOut));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(connect(&a, &b).await.err(), Some(Lost::TimedOut), "and no new one is made");
}

/// A crash says nothing; a close does.
#[tokio::test(start_paused = true)]
async fn a_crash_is_found_out_by_silence() {
    let net = MemoryNet::new(1, Weather::default());
    let (a, b) = (process(&net, "a", 1), process(&net, "b", 2));
    let (near, far) = connect(&a, &b).await.unwrap();
    let start = Instant::now();
    net.crash(addr(2));
    drop(far);
    assert!(near.lost().is_none(), "nobody has said anything");
    assert_eq!(near.closed().await, Lost::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    drop(b);
    let again = process(&net, "b", 2);
    let (near, far) = connect(&a, &again).await.unwrap();
    drop(far);
    assert_eq!(near.closed().await, Lost::Closed);
    assert_eq!(start.elapsed(), Duration::from_secs(3), "at once");
}

#[tokio::test(start_paused = true)]
async fn one_address_holds_one_process() {
    let net = MemoryNet::new(1, Weather::default());
    let first = process(&net, "a", 1);
    let second = net.endpoint(addr(1), Passport::genuine(identity("b")), Expect::Member);
    assert_eq!(second.err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    process(&net, "b", 1);
}
