//! The stories, each told in both worlds.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::kind::Kind;
use bailiwick_core::pinned::{Destination, Pinned, clear};
use bailiwick_net::transport::{Frame, Lost, Tag};
use bailiwick_net::{
    AnyLink, CallError, Domestic, Expect, Foreign, FrameReceiver, FrameSender, Lane, Link,
    MeshConfig, NetError, StreamError,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::handler::{ECHO, FAIL, GATED, PINNED, failure};
use crate::world::{
    FRAME_BYTES_MAX, LONG, Member, World, config, control, frame, identity, join, join_with, name,
    on, users_eu,
};

fn foreign(link: &AnyLink) -> &Link<Foreign> {
    match link {
        AnyLink::Foreign(link) => link,
        AnyLink::Domestic(_) => panic!("the link should be foreign"),
    }
}

fn domestic(link: &AnyLink) -> &Link<Domestic> {
    link.domestic().expect("the link should be domestic")
}

async fn echo(link: &AnyLink, text: &'static str) -> Result<Bytes, CallError> {
    link.call(control(ECHO), &frame(text), LONG).await
}

pub async fn a_call_is_answered_and_counted(world: impl World) {
    let (eu, us) = (join(&world, "eu", "eu-1").await, join(&world, "us", "us-1").await);
    let link = eu.link(&us).await;
    assert_eq!(link.peer().identity(), us.mesh.own());
    assert_eq!(echo(&link, "hello").await.unwrap(), "hello");
    assert!(eu.mesh.reachable(&name("us-1")));
    assert!(eu.mesh.last_heard(&name("us-1")).is_some());
    assert!(us.mesh.last_heard(&name("eu-1")).is_some());
    assert_eq!((eu.metric("net_calls_total"), us.metric("net_calls_total")), (1, 1));
    assert_eq!((eu.metric("net_dials_total"), eu.metric("net_connections")), (1, 1));
    let again = eu.link(&us).await;
    assert!(Arc::ptr_eq(&link, &again), "a link that stands is used again");
}

pub async fn a_failure_arrives_as_it_was_sent(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let answered = link.call(control(FAIL), &frame("x"), LONG).await.unwrap_err();
    assert_eq!(answered, CallError::Answered { peer: name("eu-2"), failure: failure() });
    let (_tx, mut rx) = domestic(&link).open(control(FAIL)).await.unwrap();
    let ended = rx.recv().await.unwrap_err();
    assert_eq!(ended, StreamError::Answered { peer: name("eu-2"), failure: failure() });
}

pub async fn a_call_without_a_reply_is_uncertain(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let silent = link.call(control(GATED), &frame("x"), Duration::from_millis(300)).await;
    let error = silent.unwrap_err();
    assert_eq!(error.kind(), Kind::Uncertain, "{error}");
    assert!(!error.not_sent());
    assert_eq!(echo(&link, "the link still works").await.unwrap(), "the link still works");
}

pub async fn frames_keep_their_order_both_ways(world: impl World) {
    let (eu, us) = (join(&world, "eu", "eu-1").await, join(&world, "us", "us-1").await);
    let link = eu.link(&us).await;
    let (mut tx, mut rx) = foreign(&link).open(control(ECHO)).await.unwrap();
    let writer = eu.tasks.spawn("writer", async move {
        for n in 0..200_u32 {
            tx.send(&frame(n.to_be_bytes().to_vec())).await.unwrap();
        }
        tx.finish();
    });
    for n in 0..200_u32 {
        assert_eq!(rx.recv().await.unwrap().unwrap(), n.to_be_bytes().to_vec());
    }
    assert_eq!(rx.recv().await.unwrap(), None);
    assert_eq!(rx.recv().await.unwrap(), None, "an end stays an end");
    writer.join().await.unwrap();
}

pub async fn a_big_frame_passes_and_a_bigger_one_is_not_sent(world: impl World) {
    let (eu, us) = (join(&world, "eu", "eu-1").await, join(&world, "us", "us-1").await);
    let link = eu.link(&us).await;
    let big = vec![7_u8; FRAME_BYTES_MAX];
    assert_eq!(link.call(control(ECHO), &frame(big.clone()), LONG).await.unwrap(), big);
    let bigger = frame(vec![7_u8; FRAME_BYTES_MAX + 1]);
    let error = link.call(control(ECHO), &bigger, LONG).await.unwrap_err();
    assert_eq!(error, CallError::TooLarge { len: FRAME_BYTES_MAX + 1, max: FRAME_BYTES_MAX });
    let (mut tx, mut rx) = foreign(&link).open(control(ECHO)).await.unwrap();
    assert_eq!(tx.send(&bigger).await.unwrap_err().kind(), Kind::Invalid);
    tx.send(&frame(big.clone())).await.unwrap();
    assert_eq!(rx.recv().await.unwrap().unwrap(), big);
    assert_eq!(us.echo.seen(), 2, "what was too big never arrived");
}

/// 64 MiB are far more than any window: a writer whose reader sleeps has to wait at some point, and
/// when the reader wakes nothing is missing.
pub async fn a_slow_reader_holds_up_its_writer(world: impl World) {
    const FRAMES: usize = 256;
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let (mut tx, mut rx) = domestic(&link).open(control(GATED)).await.unwrap();
    let body = frame(vec![1_u8; 256 << 10]);
    let (stall, mut stalled) = tokio::sync::watch::channel(0_usize);
    let writer = a.tasks.spawn("writer", async move {
        for n in 0..FRAMES {
            stall.send_replace(n);
            tx.send(&body).await.unwrap();
        }
        tx.finish();
    });
    // Until a while passes without a frame leaving.
    while let Ok(changed) = timeout(Duration::from_millis(500), stalled.changed()).await {
        changed.expect("the writer was never held up");
    }
    let sent = *stalled.borrow();
    assert!(sent < FRAMES - 1, "{sent} frames left although nobody reads");
    b.echo.gate.add_permits(1);
    for _ in 0..FRAMES {
        assert_eq!(rx.recv().await.unwrap().unwrap().len(), 256 << 10);
    }
    assert_eq!(rx.recv().await.unwrap(), None);
    writer.join().await.unwrap();
}

pub async fn a_stream_that_is_cut_never_ends_in_order(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let (mut tx, mut rx) = domestic(&link).open(control(ECHO)).await.unwrap();
    tx.send(&frame("half")).await.unwrap();
    assert_eq!(rx.recv().await.unwrap().unwrap(), "half");
    drop(tx);
    // The echo sees the cut, and cuts in turn.
    let ended = rx.recv().await.unwrap_err();
    assert!(matches!(ended, StreamError::Lost { lost: Lost::Cut, .. }), "{ended}");
}

pub async fn bulk_takes_a_connection_of_its_own(world: impl World) {
    let (eu, us) = (join(&world, "eu", "eu-1").await, join(&world, "us", "us-1").await);
    let link = eu.link(&us).await;
    let send = |lane: Lane| async {
        let (mut tx, mut rx) = foreign(&link).bulk(lane).await.unwrap();
        tx.send(&frame("chunk")).await.unwrap();
        tx.finish();
        assert_eq!(rx.recv().await.unwrap().unwrap(), "chunk");
        assert_eq!(rx.recv().await.unwrap(), None);
    };
    send(control(ECHO)).await;
    send(control(ECHO)).await;
    assert_eq!(us.metric("net_connections"), 2, "one for all bulk, one for the rest");
}

pub async fn a_peer_that_comes_back_is_reached_again(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let (link, addr, own) = (a.link(&b).await, b.addr, b.mesh.own().clone());
    b.leave().await;
    timeout(LONG, link.closed()).await.expect("the peer said goodbye");
    let lost = echo(&link, "x").await.unwrap_err();
    assert!(lost.not_sent(), "{lost}");
    let (transport, addr) = world.transport(&own, "eu", Some(addr)).await;
    let b = on(transport, addr, own, config());
    let link = a.link_at_last("eu-2").await;
    assert_eq!(echo(&link, "again").await.unwrap(), "again");
    assert_eq!(b.echo.seen(), 1);
}

pub async fn a_partition_breaks_links_and_healing_mends_them(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let (mut tx, mut rx) = domestic(&link).open(control(ECHO)).await.unwrap();
    world.cut();
    let error = link.call(control(ECHO), &frame("x"), LONG).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Uncertain, "sent, perhaps: {error}");
    assert_eq!(rx.recv().await.unwrap_err().kind(), Kind::Uncertain);
    assert!(tx.send(&frame("x")).await.is_err());
    assert_eq!(timeout(LONG, link.closed()).await.unwrap(), Lost::TimedOut);
    assert!(!a.mesh.reachable(&name("eu-2")));
    let error = a.mesh.link(&name("eu-2")).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    world.heal();
    let link = a.link_at_last("eu-2").await;
    assert_eq!(echo(&link, "again").await.unwrap(), "again");
}

pub async fn an_absent_peer_is_refused_at_once_while_it_is_too_early(world: impl World) {
    let a = join(&world, "eu", "eu-1").await;
    let own = identity("eu", "eu-2");
    let (transport, addr) = world.transport(&own, "eu", None).await;
    transport.close(Duration::ZERO).await;
    a.mesh.book().set_node(&own.name, addr);
    assert!(matches!(a.mesh.link(&own.name).await, Err(NetError::Unreachable { .. })));
    let dials = a.metric("net_dials_total");
    for _ in 0..100 {
        assert!(a.mesh.link(&own.name).await.is_err());
    }
    assert!(a.metric("net_dials_total") <= dials + 1, "a hundred calls are not a hundred dials");
    let unknown = a.mesh.link(&name("nobody")).await.err().unwrap();
    assert_eq!(unknown, NetError::Unknown { peer: name("nobody") });
}

pub async fn a_node_never_routes_to_itself(world: impl World) {
    let a = join(&world, "eu", "eu-1").await;
    a.knows(&a);
    let error = a.mesh.link(&name("eu-1")).await.err().unwrap();
    assert_eq!(error, NetError::Itself { peer: name("eu-1") });
}

pub async fn another_node_at_the_address_is_not_spoken_to(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let expects = [
        Expect::Node(name("eu-3")),
        Expect::Exactly(identity("us", "eu-2")),
        Expect::Within(bailiwick_net::Role::Node, "us".parse().unwrap()),
        Expect::Member,
    ];
    for (n, expect) in expects.into_iter().enumerate() {
        // The last is let through by the handshake, but the book knows the peer by another name.
        let refusal = a.refusal(&format!("eu-{}", n + 3), b.addr, expect).await;
        assert!(refusal.contains("expected") || refusal.contains("answers there"), "{refusal}");
    }
    assert_eq!(b.echo.seen(), 0);
}

pub async fn a_node_minted_by_another_domain_is_not_spoken_to(world: impl World) {
    let honest = join(&world, "eu", "eu-1").await;
    let forged = join_with(&world, identity("eu", "eu-2"), "us", config()).await;
    let refusal = honest.refusal("eu-2", forged.addr, Expect::Node(name("eu-2"))).await;
    assert!(refusal.contains("the CA of"), "{refusal}");
    assert!(!honest.mesh.reachable(&name("eu-2")));
}

/// In TLS 1.3 the forger's own side believes for a moment that it is connected.
pub async fn a_node_minted_by_another_domain_is_not_listened_to(world: impl World) {
    let honest = join(&world, "eu", "eu-1").await;
    let forged = join_with(&world, identity("eu", "eu-2"), "us", config()).await;
    let refusal = forged.refusal("eu-1", honest.addr, Expect::Node(name("eu-1"))).await;
    assert!(refusal.contains("unreachable"), "{refusal}");
    assert_eq!(honest.echo.seen(), 0);
    assert_eq!(honest.metric("net_handshake_failures_total"), 1);
}

pub async fn a_router_is_not_a_peer(world: impl World) {
    let node = join(&world, "eu", "eu-1").await;
    let own = "spiffe://demo/domain/eu/region/eu-west/router/eu-edge-1".parse().unwrap();
    let router = join_with(&world, own, "eu", config()).await;
    router.refusal("eu-1", node.addr, Expect::Node(name("eu-1"))).await;
    assert_eq!(node.metric("net_handshake_failures_total"), 1);
}

pub async fn a_pinned_group_is_not_sent_abroad(world: impl World) {
    let (us, eu) = (join(&world, "us", "us-1").await, join(&world, "eu", "eu-1").await);
    let link = us.link(&eu).await;
    // eu is home to users-eu-0, so a us node may open the lane as far as eu is concerned; the other
    // way round nothing leaves.
    let back = eu.link(&us).await;
    let called = back.call(users_eu(ECHO), &frame("x"), LONG).await.unwrap_err();
    assert!(matches!(called, CallError::Placement(_)), "{called}");
    assert!(called.not_sent());
    assert!(foreign(&back).open(users_eu(ECHO)).await.is_err());
    assert!(foreign(&back).bulk(users_eu(ECHO)).await.is_err());
    assert_eq!((us.echo.seen(), eu.metric("net_placements_refused_total")), (0, 3));
    // And eu refuses what a us node sends for the group, although that side sees no fault.
    let refused = link.call(users_eu(ECHO), &frame("x"), LONG).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused, "{refused}");
    assert_eq!((eu.echo.seen(), eu.metric("net_placements_refused_total")), (0, 4));
}

/// A node that lies about nothing but its right to the group: it writes the head by hand.
pub async fn a_foreigner_that_sends_for_a_pinned_group_is_refused_unread(world: impl World) {
    let (us, eu) = (join(&world, "us", "us-1").await, join(&world, "eu", "eu-1").await);
    let connection = us.transport.dial(eu.addr, Expect::Member).await.unwrap();
    for purpose in [2_u8, 3, 4] {
        let mut stream = connection.open().await.unwrap();
        let mut head = vec![0x08, 1, 0x10, purpose, 0x18, 1, 0x22, 10];
        head.extend_from_slice(b"users-eu-0");
        stream.sink.send(Frame { tag: Tag::Head, body: head.into() }).await.unwrap();
        let answer = timeout(LONG, stream.source.recv(4096)).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.tag, Tag::Failure);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("refused") && text.contains("pinned to eu"), "{text}");
    }
    assert_eq!((eu.echo.seen(), eu.metric("net_placements_refused_total")), (0, 3));
}

pub async fn a_pinned_answer_stays_at_home(world: impl World) {
    let eu = join(&world, "eu", "eu-1").await;
    let (neighbour, us) = (join(&world, "eu", "eu-2").await, join(&world, "us", "us-1").await);
    let home = neighbour.link(&eu).await;
    assert_eq!(home.call(control(PINNED), &frame("x"), LONG).await.unwrap(), "x");
    let (tx, rx) = domestic(&home).open(control(PINNED)).await.unwrap();
    assert_eq!(one(tx, rx).await.unwrap().unwrap(), "x");
    let abroad = us.link(&eu).await;
    let refused = abroad.call(control(PINNED), &frame("x"), LONG).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused, "{refused}");
    let (tx, rx) = foreign(&abroad).open(control(PINNED)).await.unwrap();
    assert_eq!(one(tx, rx).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(eu.metric("net_pins_refused_total"), 2);
}

async fn one<S>(
    mut tx: FrameSender<S>,
    mut rx: FrameReceiver,
) -> Result<Option<Bytes>, StreamError> {
    tx.send(&frame("x")).await?;
    rx.recv().await
}

/// `Destination` can be made by anybody, so a clearance alone does not decide: the certificate does.
pub async fn a_pinned_value_goes_only_where_it_was_cleared_for(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let link = domestic(&link);
    let value = Pinned::new("eu".parse().unwrap(), b"profile".to_vec());
    let cleared = || clear(&value, &link.peer().destination()).unwrap();
    assert_eq!(link.call_pinned(users_eu(ECHO), cleared(), LONG).await.unwrap(), "profile");
    let (mut tx, mut rx) = link.open(users_eu(ECHO)).await.unwrap();
    tx.send_pinned(cleared()).await.unwrap();
    assert_eq!(rx.recv().await.unwrap().unwrap(), "profile");

    let stray = Pinned::new("us".parse().unwrap(), b"profile".to_vec());
    let elsewhere = || clear(&stray, &Destination::domain("us".parse().unwrap())).unwrap();
    let refused = link.call_pinned(users_eu(ECHO), elsewhere(), LONG).await.unwrap_err();
    assert!(matches!(refused, CallError::Pin(_)), "{refused}");
    assert!(matches!(tx.send_pinned(elsewhere()).await, Err(StreamError::Pin(_))));
    assert_eq!(a.metric("net_pins_refused_total"), 2);
}

pub async fn too_many_calls_are_shed(world: impl World) {
    let a = join(&world, "eu", "eu-1").await;
    let narrow = MeshConfig { calls_max: 1, ..config() };
    let b = join_with(&world, identity("eu", "eu-2"), "eu", narrow).await;
    let link = a.link(&b).await;
    let first = gated(&a, &link);
    b.echo.arrived.acquire().await.unwrap().forget();
    let shed = echo(&link, "x").await.unwrap_err();
    assert_eq!(shed.kind(), Kind::Overloaded, "{shed}");
    b.echo.gate.add_permits(1);
    assert_eq!(first.join().await.unwrap().unwrap(), "slow");
    assert_eq!(b.metric("net_shed_total"), 1);
}

fn gated(
    member: &Member,
    link: &Arc<AnyLink>,
) -> bailiwick_net::supervisor::Task<Result<Bytes, CallError>> {
    let link = link.clone();
    let call = async move { link.call(control(GATED), &frame("slow"), LONG).await };
    member.tasks.spawn("call", call)
}

pub async fn a_shutdown_lets_a_call_end_and_takes_no_new_one(world: impl World) {
    let (a, b) = (join(&world, "eu", "eu-1").await, join(&world, "eu", "eu-2").await);
    let link = a.link(&b).await;
    let begun = gated(&a, &link);
    b.echo.arrived.acquire().await.unwrap().forget();
    let mesh = b.mesh.clone();
    let stopping = a.tasks.spawn("shutdown", async move { mesh.shutdown(LONG).await });
    let refused = loop {
        match echo(&link, "new").await {
            Err(error) => break error,
            // The shutdown has not begun yet.
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
    assert_eq!(b.mesh.link(&name("eu-1")).await.err(), Some(NetError::Stopping));
    b.echo.gate.add_permits(1);
    assert_eq!(begun.join().await.unwrap().unwrap(), "slow");
    assert_eq!(stopping.join().await.unwrap(), Vec::<String>::new());
    assert!(link.closed().await == Lost::Closed);
}
