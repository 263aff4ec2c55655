//! Clients that meet a limit, or go away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;
use quorate::certs::client_authorities;
use quorate::server::{Limits, Probe, dial_self};
use quorate::telemetry::{Health, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Client1, Client2, Gate, dial, request, serve, serve_with, soon, text, until};

/// L1
#[tokio::test]
async fn prefers_http_1_and_speaks_http_2() {
    let served = serve(Gate::new().router());
    for (offered, chosen) in [(&["h2", "http/1.1"][..], "http/1.1"), (&["h2"], "h2"), (&["http/1.1"], "http/1.1")] {
        let stream = soon(dial(served.address, &served.made.ca, offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()), "of {offered:?}");
    }
}

/// L36
#[tokio::test]
async fn drops_a_request_with_its_http_1_connection() {
    let gate = Gate::new();
    let served = serve(gate.router());
    let mut client = Client1::dial(&served).await;
    let answer = tokio::spawn(async move { client.send(request("POST", "/slow")).await.map(drop) });
    gate.until_waiting(1).await;
    answer.abort();
    until("the request is dropped", async || gate.dropped.load(Ordering::SeqCst) == 1).await;
}

/// L36
#[tokio::test]
async fn drops_a_request_with_its_http_2_stream() {
    let gate = Gate::new();
    let served = serve(gate.router());
    let mut client = Client2::dial(&served).await;
    let streams: Vec<_> = (0..3).map(|_| tokio::spawn(client.sender.send_request(request("POST", "/slow")))).collect();
    gate.until_waiting(3).await;
    streams[0].abort();
    until("one request is dropped", async || gate.dropped.load(Ordering::SeqCst) == 1).await;
    gate.let_pass(2);
    for stream in streams.into_iter().skip(1) {
        assert_eq!(text(soon(stream).await.unwrap().unwrap()).await, "slow");
    }
}

/// L36
#[tokio::test]
async fn drops_all_requests_with_their_http_2_connection() {
    let gate = Gate::new();
    let served = Arc::new(serve(gate.router()));
    // A runtime takes all that is left of a client with it.
    let clients = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dialled = Arc::clone(&served);
    clients.spawn(async move {
        let mut client = Client2::dial(&dialled).await;
        let requests = (0..3).map(|_| client.sender.send_request(request("POST", "/slow")));
        futures::future::join_all(requests).await;
    });
    gate.until_waiting(3).await;
    clients.shutdown_background();
    until("all requests are dropped", async || gate.dropped.load(Ordering::SeqCst) == 3).await;
}

#[tokio::test]
async fn answers_a_panic_and_goes_on() {
    let served = serve(Gate::new().router());
    let mut client = Client1::dial(&served).await;
    assert_eq!(client.get("/panic").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(client.get("/fast").await.unwrap()).await, "fast");
    assert!(served.metrics.encode().contains(r#"quorate_internal_errors_total{kind="panic"} 1"#));
}

#[tokio::test]
async fn closes_who_is_idle_where_another_needs_the_place() {
    let served = serve_with(Gate::new().router(), Limits { connections: 1, ..Limits::default() }, None);
    let mut first = Client1::dial(&served).await;
    assert_eq!(text(first.get("/fast").await.unwrap()).await, "fast");
    assert_eq!(text(Client1::dial(&served).await.get("/fast").await.unwrap()).await, "fast");
    soon(first.connection).await.unwrap().unwrap();
    assert!(served.metrics.encode().contains(r#"reason="connections"} 1"#));
    until("nobody is left", async || served.connections.open() == 0).await;
}

#[tokio::test]
async fn cuts_off_who_does_not_finish_a_handshake() {
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    let served = serve_with(Gate::new().router(), limits, None);
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(soon(silent.read(&mut [0; 1])).await.unwrap(), 0);
    until("it is counted", async || served.metrics.encode().contains(r#"reason="handshake"} 1"#)).await;
}

#[tokio::test]
async fn cuts_off_plaintext() {
    let served = serve(Gate::new().router());
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"POST /validate HTTP/1.1\r\nhost: quorate\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or a reset; no HTTP.
    let _ = soon(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn cuts_off_who_does_not_finish_a_head() {
    let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
    let served = serve_with(Gate::new().router(), limits, None);
    let mut slow = soon(dial(served.address, &served.made.ca, &["http/1.1"])).await.unwrap();
    slow.write_all(b"POST /slow HT").await.unwrap();
    // The end may come without a TLS goodbye.
    let _ = soon(slow.read(&mut [0; 1])).await;
    until("it is closed", async || served.connections.open() == 0).await;
    assert!(served.metrics.encode().contains(r#"reason="slow"} 1"#));
}

#[tokio::test]
async fn reaches_itself_where_clients_need_certificates_and_counts_no_failure() {
    let own = tempfile::tempdir().unwrap();
    let clients = client_authorities(&super::certificates(own.path()).ca).unwrap();
    let served = serve_with(Gate::new().router(), Limits::default(), Some(clients));
    let health = Arc::new(Health::default());
    let probe = Probe {
        address: served.address,
        serving: Arc::clone(&served.serving),
        connections: served.connections.clone(),
        shutdown: served.shutdown.clone(),
    };
    tokio::spawn(dial_self(probe, Arc::clone(&health)));
    until("it reached itself", async || health.states().get("tls") == Some(&State::Ok)).await;
    until("the dial is over", async || served.connections.open() == 0).await;
    assert!(served.metrics.encode().contains(r#"reason="handshake"} 0"#));
}

#[tokio::test]
async fn requires_a_client_certificate_where_told_to() {
    let own = tempfile::tempdir().unwrap();
    let clients = client_authorities(&super::certificates(own.path()).ca).unwrap();
    let served = serve_with(Gate::new().router(), Limits::default(), Some(clients));
    let stream = soon(dial(served.address, &served.made.ca, &["http/1.1"])).await;
    // With TLS 1.3 the client learns that it is refused when it reads.
    if let Ok(mut stream) = stream {
        let _ = stream.write_all(b"GET /fast HTTP/1.1\r\nhost: quorate\r\n\r\n").await;
        soon(stream.read_to_end(&mut Vec::new())).await.unwrap_err();
    }
    until("it is counted", async || served.metrics.encode().contains(r#"reason="handshake"} 1"#)).await;
}
