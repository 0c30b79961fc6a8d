use super::rig::{Script, rig, rig_with};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn raw(address: std::net::SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.replace('\n', "\r\n").as_bytes()).await.unwrap();
    stream
}

/// What comes until the peer closes or `wait` is over.
async fn reply(stream: &mut TcpStream, wait: Duration) -> String {
    let mut found = Vec::new();
    let _ = tokio::time::timeout(wait, stream.read_to_end(&mut found)).await;
    String::from_utf8_lossy(&found).into_owned()
}

/// The head of an answer, as soon as it is there.
async fn head(stream: &mut TcpStream) -> String {
    let mut found = Vec::new();
    let read = async {
        while !found.ends_with(b"\r\n\r\n") {
            found.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    String::from_utf8(found).unwrap()
}

#[tokio::test]
async fn a_foreign_edge_answers_before_the_body_is_read() {
    let rig = rig("us", "US-NY").await;
    let token = rig.token("EU-DE", "events");
    let request = format!(
        "POST /v1/events HTTP/1.1\nhost: x\nauthorization: Bearer {token}\nexpect: 100-continue\n\
         content-length: 1000\n\n"
    );
    let mut stream = raw(rig.router.public_address(), &request).await;
    let found = head(&mut stream).await;
    assert!(found.starts_with("HTTP/1.1 307"), "{found}");
    assert!(found.contains("location: http://eu.example:8080/v1/events"), "{found}");
    rig.end().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_not_taken() {
    let rig = rig("eu", "EU-DE").await;
    let large = format!(r#"{{"session": ["{}"]}}"#, "x".repeat(1 << 20));
    let (status, _, found) = rig.send("POST", "/v1/recommendations", &[], large).await;
    assert_eq!((status, &found["error"]["kind"]), (413, &json!("invalid")));
    // Announced and never sent: the answer does not wait for it.
    let token = rig.token("EU-DE", "items:write");
    let request = format!(
        "PUT /v1/items HTTP/1.1\nhost: x\nauthorization: Bearer {token}\ncontent-length: 70000000\n\n"
    );
    let mut stream = raw(rig.router.public_address(), &request).await;
    let found = head(&mut stream).await;
    assert!(found.starts_with("HTTP/1.1 413"), "{found}");
    drop(stream);
    rig.end().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_everything_before_it_reads() {
    let rig = rig("eu", "EU-DE").await;
    let token = rig.token("EU-DE", "events");
    let body = " ".repeat(5 << 20);
    for (token, due) in [(token.as_str(), "413"), ("nobody's", "401")].repeat(10) {
        let request = format!(
            "POST /v1/events HTTP/1.1\nhost: x\nauthorization: Bearer {token}\n\
             content-length: {}\n\n{body}",
            body.len()
        );
        let mut stream = raw(rig.router.public_address(), &request).await;
        let found = head(&mut stream).await;
        assert!(found.starts_with(&format!("HTTP/1.1 {due}")), "{found}");
    }
    rig.end().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_given_up() {
    let rig = rig_with("eu", "EU-DE", |edge| {
        edge.limits.header_timeout = Duration::from_millis(150);
        edge.limits.body_timeout = Duration::from_millis(150);
    })
    .await;
    let address = rig.router.public_address();
    let wait = Duration::from_secs(3);
    for begun in ["", "P", "PRI * HTTP/2.0\n", "POST /v1/recommendations HTTP/1.1\nhost:"] {
        let began = Instant::now();
        let mut stream = raw(address, begun).await;
        let found = reply(&mut stream, wait).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{begun:?} was waited for: {found}");
    }
    let head = "POST /v1/recommendations HTTP/1.1\nhost: x\ncontent-length: 10\n\n{";
    let mut stream = raw(address, head).await;
    let found = reply(&mut stream, Duration::from_millis(600)).await;
    assert!(found.starts_with("HTTP/1.1 408"), "{found}");
    let token = rig.token("EU-DE", "items:write");
    let request = format!(
        "PUT /v1/items HTTP/1.1\nhost: x\nauthorization: Bearer {token}\ncontent-length: 99\n\n{{"
    );
    let mut stream = raw(address, &request).await;
    let found = reply(&mut stream, Duration::from_millis(600)).await;
    assert!(found.starts_with("HTTP/1.1 408"), "{found}");
    rig.end().await;
}

#[tokio::test]
async fn more_than_can_be_borne_is_shed_at_once() {
    let rig = rig_with("eu", "EU-DE", |edge| edge.limits.concurrency_max = 2).await;
    rig.nodes.values().for_each(|node| node.set(Script::Slow(Duration::from_millis(400))));
    let ask = || rig.send("POST", "/v1/recommendations", &[], "");
    let (first, second, third) = tokio::join!(ask(), ask(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        (ask().await, began.elapsed())
    });
    assert_eq!((first.0, second.0), (200, 200));
    let ((status, headers, found), took) = third;
    assert_eq!((status, &found["error"]["kind"]), (429, &json!("overloaded")));
    assert_eq!(found["error"]["retry_after_ms"], 500);
    assert!(headers.contains_key("retry-after") && took < Duration::from_millis(100), "{took:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way() {
    let rig = rig("eu", "EU-DE").await;
    rig.nodes.values().for_each(|node| node.set(Script::Slow(Duration::from_millis(200))));
    let request = rig.http.post(rig.url("/v1/recommendations")).send();
    let address = rig.router.public_address();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        rig.router.stop(Duration::from_secs(5)).await
    };
    let (answer, late) = tokio::join!(request, stop);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(late, Vec::<String>::new());
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}
