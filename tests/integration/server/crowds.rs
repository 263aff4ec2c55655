//! Many clients at once that ask nothing, or slowly, or too much: those that ask as they should are answered.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::future::join_all;
use hyper::{Request, Response, StatusCode};
use quorate::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;

use super::hostile::{is_well, webhook_with};
use super::requests::review;
use super::{Client1, Client2, Gate, Served, dial, request, serve_with, soon, text, until};

const MIB: usize = 1 << 20;

fn post(body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("https://quorate/validate?timeout=30s").header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

async fn dial_http1(served: &Served) -> io::Result<TlsStream<TcpStream>> {
    soon(dial(served.address, &served.made.ca, &["http/1.1"])).await
}

/// A client that sends this and then nothing.
async fn stall(served: &Served, bytes: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = dial_http1(served).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

fn head(length: usize) -> String {
    format!("POST /validate HTTP/1.1\r\nhost: q\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn who_is_idle_for_the_longest_makes_room_but_not_who_was_answered() {
    let served = webhook_with(Limits { connections: 16, ..Limits::default() });
    let mut api_server = Client1::dial(&served).await;
    assert_eq!(api_server.send(post(review(10))).await.unwrap().status(), StatusCode::OK);
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(dial_http1(&served).await.unwrap());
        assert!(served.connections.open() <= 16);
    }
    assert_eq!(api_server.send(post(review(10))).await.unwrap().status(), StatusCode::OK, "on its old connection");
    assert_eq!(Client1::dial(&served).await.send(post(review(10))).await.unwrap().status(), StatusCode::OK);
    assert!(soon(idle[0].read(&mut [0; 1])).await.is_ok_and(|read| read == 0), "it was told goodbye");
    drop((idle, api_server));
    is_well(&served).await;
}

#[tokio::test]
async fn who_is_being_answered_keeps_its_connection() {
    let gate = Gate::new();
    let served = serve_with(gate.router(), Limits { connections: 2, ..Limits::default() }, None);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client1::dial(&served).await;
        assert_eq!(text(client.get("/fast").await.unwrap()).await, "fast");
        clients.push(client);
    }
    // Of these two, one is asked something that takes its time; the other goes.
    let mut busy = clients.remove(0);
    let answer = tokio::spawn(async move { busy.send(request("POST", "/slow")).await });
    gate.until_waiting(1).await;
    let mut newcomer = Client1::dial(&served).await;
    assert_eq!(text(newcomer.get("/fast").await.unwrap()).await, "fast");
    gate.let_pass(1);
    assert_eq!(text(soon(answer).await.unwrap().unwrap()).await, "slow");
}

/// Handshakes that never end, heads that never end, bodies that never end: more of them than there is room for.
#[tokio::test]
async fn slow_clients_lock_nobody_out() {
    let served = webhook_with(Limits { connections: 24, requests: 4, ..Limits::default() });
    let mut slow = Vec::new();
    let mut silent = Vec::new();
    for round in 0..3 {
        for _ in 0..10 {
            silent.push(TcpStream::connect(served.address).await.unwrap());
            slow.push(stall(&served, b"POST /valid").await);
            slow.push(stall(&served, head(6 * MIB).as_bytes()).await);
            slow.push(stall(&served, &[head(6 * MIB).as_bytes(), &[b' '; 100]].concat()).await);
        }
        let response = Client1::dial(&served).await.send(post(review(10))).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "round {round}");
    }
    drop((slow, silent));
    is_well(&served).await;
}

/// 6 MiB of 7 are there and take room; who comes after them gets it.
#[tokio::test]
async fn long_bodies_that_stall_make_room() {
    let served = webhook_with(Limits { body_memory: 16 * MIB, ..Limits::default() });
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(stall(&served, &[head(7 * MIB).into_bytes(), vec![b' '; 6 * MIB]].concat()).await);
        let response = Client1::dial(&served).await.send(post(review(10))).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    let mut first = Vec::new();
    let _ = soon(stalled.remove(0).read_to_end(&mut first)).await;
    let first = String::from_utf8(first).unwrap();
    assert!(first.starts_with("HTTP/1.1 503") && first.contains("retry-after: 1"), "{first}");
    drop(stalled);
    is_well(&served).await;
}

/// L9, over both versions of HTTP, at once and again and again.
#[tokio::test]
async fn takes_eighteen_mebibytes_and_refuses_twenty_one() {
    // However busy the machine is that tests run on.
    let served = webhook_with(Limits { body_time: Duration::from_mins(1), ..Limits::default() });
    for _ in 0..3 {
        let mut client = Client1::dial(&served).await;
        assert_eq!(client.send(post(review(18 * MIB))).await.unwrap().status(), StatusCode::OK);
        let refused = Client1::dial(&served).await.send(post(review(21 * MIB))).await;
        // hyper's client may see the connection end while it still sends.
        assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE));

        let mut client = Client2::dial(&served).await;
        let mut send = async |size| soon(client.sender.send_request(post(review(size)))).await;
        assert_eq!(send(18 * MIB).await.unwrap().status(), StatusCode::OK);
        assert_eq!(send(21 * MIB).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send(10).await.unwrap().status(), StatusCode::OK, "on the same connection");
    }
    is_well(&served).await;
}

/// A body that would be decoded to more than there is: nobody reads its values.
#[tokio::test]
async fn passes_over_more_values_than_there_is_memory_for_l131() {
    let served = webhook_with(Limits::default());
    let values = format!("[{}0]", r#"{"a":0},"#.repeat(6 * MIB / 8));
    let body = String::from_utf8(review(10)).unwrap().replace("\"xxxxxxxxxx\"", &values);
    let response = Client1::dial(&served).await.send(post(body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    is_well(&served).await;
}

/// One worker, and many who take nothing of long answers, or send nothing of what they announced.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn slow_readers_and_writers_hold_no_worker() {
    let long = Bytes::from(vec![b'x'; 32 * MIB]);
    let router = Gate::new().router().route("/long", get(|| async { long }));
    let router = router.route("/echo", axum::routing::post(|body: String| async { body }));
    let limits = Limits { write: Duration::from_secs(1), ..Limits::default() };
    let served = serve_with(router, limits, None);
    let slow = join_all((0..16).map(|_| async {
        let reader = stall(&served, b"GET /long HTTP/1.1\r\nhost: q\r\n\r\n").await;
        let writer = stall(&served, b"POST /echo HTTP/1.1\r\nhost: q\r\ncontent-length: 9\r\n\r\nx").await;
        (reader, writer)
    }))
    .await;
    for _ in 0..10 {
        assert_eq!(text(Client1::dial(&served).await.get("/fast").await.unwrap()).await, "fast");
    }
    until("the readers are cut off", async || served.connections.open() <= 16).await;
    drop(slow);
    until("all are gone", async || served.connections.open() == 0).await;
}

/// Over HTTP/2 a client holds an answer back by giving it no window: the connection is an idle one like any other.
#[tokio::test]
async fn who_holds_answers_back_makes_room() {
    let router = Router::new().route("/fast", get(|| async { Response::new(Body::from(vec![b'x'; MIB])) }));
    let served = serve_with(router, Limits { connections: 1, ..Limits::default() }, None);
    let mut client = Client2::dial(&served).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        // The answers' bodies are not read.
        held.push(soon(client.sender.send_request(request("GET", "/fast"))).await.unwrap());
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(text(Client1::dial(&served).await.get("/fast").await.unwrap()).await.len(), MIB);
    drop(held);
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_closed() {
    let router = Router::new().route("/long", get(|| async { "x".repeat(16 * MIB) }));
    let served = serve_with(router, Limits { write: Duration::from_millis(200), ..Limits::default() }, None);
    let _slow = stall(&served, b"GET /long HTTP/1.1\r\nhost: q\r\n\r\n").await;
    until("it is closed", async || served.connections.open() == 0).await;
    assert!(served.metrics.encode().contains(r#"reason="slow"} 1"#));
}
