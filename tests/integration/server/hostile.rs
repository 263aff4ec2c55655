//! What no client of good will sends. Whatever it is: the next one is answered, nothing panicked, and no connection is left.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::{Request, StatusCode};
use quorate::server::Limits;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::requests::{Webhook, review};
use super::{Client1, Served, dial, serve_with, soon, text, until};

/// A webhook with little patience.
pub(super) fn webhook() -> Served {
    webhook_with(Limits { body_time: Duration::from_millis(300), ..Limits::default() })
}

pub(super) fn webhook_with(limits: Limits) -> Served {
    let mut webhook = Webhook::new();
    webhook.limits = limits;
    let router: Router = webhook.router();
    serve_with(router, limits, None)
}

/// Whether all is as it was before: a review is answered, nothing panicked, nobody is connected.
pub(super) async fn is_well(served: &Served) {
    let mut client = Client1::dial(served).await;
    let request = Request::post("/validate").header("host", "quorate").header("content-type", "application/json");
    let response = client.send(request.body(Body::from(review(10))).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("7e6f3c1c"));
    drop(client);
    until("nobody is connected", async || served.connections.open() == 0).await;
    assert!(!served.metrics.encode().contains("kind=\"panic\"} 1"));
}

async fn dial_http1(served: &Served) -> TlsStream<TcpStream> {
    soon(dial(served.address, &served.made.ca, &["http/1.1"])).await.unwrap()
}

/// The status of every answer to these bytes, until the connection ends or nothing more comes.
async fn answers(served: &Served, bytes: &[u8]) -> Vec<u16> {
    let mut stream = dial_http1(served).await;
    // It may end in the middle.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    while let Ok(Ok(read)) = timeout(Duration::from_secs(2), stream.read_buf(&mut answer)).await {
        if read == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    text.split("HTTP/1.").skip(1).map(|answer| answer[2..5].parse().unwrap()).collect()
}

fn head(lines: &str) -> String {
    format!("POST /validate HTTP/1.1\r\nhost: quorate\r\ncontent-type: application/json\r\n{lines}")
}

fn with(lines: &str, body: &[u8]) -> Vec<u8> {
    [head(lines).as_bytes(), b"\r\n", body].concat()
}

fn good(lines: &str) -> Vec<u8> {
    let body = review(10);
    with(&format!("content-length: {}\r\n{lines}", body.len()), &body)
}

fn chunked(lines: &str, chunks: &str) -> Vec<u8> {
    with(&format!("transfer-encoding: chunked\r\n{lines}"), chunks.as_bytes())
}

fn good_chunks() -> String {
    let body = review(10);
    format!("{:x}\r\n{}\r\n0\r\n\r\n", body.len(), String::from_utf8(body).unwrap())
}

/// `close` asks for the answer to be the last, so that the test need not wait for more.
#[rstest]
#[case::as_it_should_be(good("connection: close\r\n"), &[200])]
#[case::chunked(chunked("connection: close\r\n", &good_chunks()), &[200])]
#[case::two_at_once([good(""), good("connection: close\r\n")].concat(), &[200, 200])]
#[case::absolute_form(String::from_utf8(good("connection: close\r\n")).unwrap().replacen("/validate", "https://other/validate", 1).into_bytes(), &[200])]
#[case::expecting_100(good("expect: 100-continue\r\nconnection: close\r\n"), &[100, 200])]
#[case::expecting_100_for_too_much(with("content-length: 33554432\r\nexpect: 100-continue\r\n", b""), &[413])]
#[case::expecting_something_else(good("expect: 200-tea\r\nconnection: close\r\n"), &[200])]
#[case::http_1_0(String::from_utf8(good("")).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes(), &[200])]
#[case::upgrade(good("connection: upgrade, close\r\nupgrade: h2c\r\n"), &[200])]
#[case::bare_line_feeds(String::from_utf8(good("connection: close\r\n")).unwrap().replace("\r\n", "\n").into_bytes(), &[200])]
#[case::no_body(with("content-length: 0\r\nconnection: close\r\n", b""), &[400])]
#[case::no_length(with("connection: close\r\n", b""), &[400])]
#[case::another_path(b"POST /admin HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[404])]
#[case::asterisk_form(b"OPTIONS * HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[404])]
#[case::get(b"GET /validate HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[405])]
#[case::head(b"HEAD /validate HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[405])]
#[case::put(b"PUT /validate HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[405])]
#[case::trace(b"TRACE /validate HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[405])]
#[case::own_method(b"QUORATE /validate HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[405])]
#[case::connect(b"CONNECT quorate:443 HTTP/1.1\r\nhost: q\r\nconnection: close\r\n\r\n".to_vec(), &[404])]
#[case::another_content_type(b"POST /validate HTTP/1.1\r\nhost: q\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n".to_vec(), &[415])]
// Shapes by which one request hides in another.
#[case::two_lengths(with("content-length: 5\r\ncontent-length: 6\r\n", b"{    }"), &[400])]
#[case::a_list_of_lengths(with("content-length: 5, 6\r\n", b"{    }"), &[400])]
#[case::negative_length(with("content-length: -1\r\n", b"{}"), &[400])]
#[case::signed_length(with("content-length: +2\r\n", b"{}"), &[400])]
#[case::overlong_length(with("content-length: 99999999999999999999999\r\n", b"{}"), &[400])]
#[case::folded_header(good("x: a\r\n b\r\n"), &[400])]
#[case::space_before_colon(with("transfer-encoding : chunked\r\n", b"0\r\n\r\n"), &[400])]
#[case::not_chunked_last(with("transfer-encoding: chunked, identity\r\n", b"0\r\n\r\n"), &[400])]
#[case::almost_chunked(with("transfer-encoding: xchunked\r\n", b"0\r\n\r\n"), &[400])]
#[case::zero_byte(good("x: a\0b\r\n"), &[400])]
#[case::bare_carriage_return(good("x: a\rb: c\r\n"), &[400])]
#[case::huge_chunk(chunked("", "fffffffffffffffff\r\n{}"), &[400])]
#[case::chunk_of_no_size(chunked("", "x\r\n{}\r\n0\r\n\r\n"), &[400])]
#[case::length_too_short([with("content-length: 2\r\n", b"{}"), b"garbage\r\n\r\n".to_vec()].concat(), &[400, 400])]
// Too much.
#[case::too_long_a_header(good(&format!("x: {}\r\n", "y".repeat(20 << 10))), &[431])]
#[case::too_long_a_path(format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(20 << 10)).into_bytes(), &[431])]
#[case::too_many_headers(good(&"x: y\r\n".repeat(200)), &[431])]
#[case::too_long(with("content-length: 33554432\r\n", b"{"), &[413])]
#[case::trailers_without_end(chunked("", &format!("2\r\n{{}}\r\n0\r\n{}", "x: y\r\n".repeat(20_000))), &[400])]
#[case::chunk_extension_without_end(chunked("", &format!("2;{}", "x".repeat(100_000))), &[400])]
// Too slow.
#[case::length_too_long(with("content-length: 100\r\n", b"{}"), &[408])]
#[case::no_last_chunk(chunked("", "2\r\n{}\r\n"), &[408])]
#[case::half_a_chunk(chunked("", "20\r\n{}"), &[408])]
// Something else.
#[case::garbage(b"\x00\x01\x02\xff garbage \r\n\r\n".to_vec(), &[400])]
#[case::http_2_where_http_1_was_agreed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[])]
#[case::http_0_9(b"GET /validate\r\n\r\n".to_vec(), &[400])]
#[tokio::test]
async fn answers_http_1_of_every_shape(#[case] bytes: Vec<u8>, #[case] expected: &[u16]) {
    let served = webhook();
    assert_eq!(answers(&served, &bytes).await, expected, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
    is_well(&served).await;
}

/// A request whose length is said in both ways is read by its chunks, and nothing after it is taken for another.
#[tokio::test]
async fn takes_nothing_for_a_request_that_hides_in_another() {
    let served = webhook();
    let hidden = "POST /mutate HTTP/1.1\r\nhost: q\r\n\r\n";
    for lines in
        ["content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"]
    {
        let bytes = with(lines, format!("{}{hidden}", good_chunks()).as_bytes());
        let statuses = answers(&served, &bytes).await;
        assert!(statuses == [400] || statuses == [200], "{statuses:?}");
    }
    is_well(&served).await;
}

/// What comes before or instead of TLS.
#[rstest]
#[case::nothing(b"")]
#[case::plaintext(b"POST /validate HTTP/1.1\r\nhost: q\r\ncontent-length: 0\r\n\r\n")]
#[case::garbage(&[0xff; 4096])]
#[case::half_a_hello(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])]
#[case::hello_without_end(&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff, 3, 3])]
#[case::alert(&[21, 3, 3, 0, 2, 1, 0])]
#[tokio::test]
async fn ends_what_is_no_tls(#[case] bytes: &[u8]) {
    let served = webhook();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.len() < 16 && !answer.starts_with(b"HTTP"), "at most an alert: {answer:?}");
    is_well(&served).await;
}

/// A `ClientHello` that knows nothing newer than this version.
fn client_hello(version: u8) -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x14, 0, 0x2f, 0, 0x35];
    let groups_and_signatures = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    let hello = [&[3, version][..], &[7; 32], &[0, 0, 8], &suites, &[1, 0, 0, 16], &groups_and_signatures].concat();
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat()
}

#[rstest]
#[case::ssl_3(0)]
#[case::tls_1_0(1)]
#[case::tls_1_1(2)]
#[tokio::test]
async fn refuses_what_is_older_than_tls_1_2(#[case] version: u8) {
    const PROTOCOL_VERSION: u8 = 70;
    let served = webhook();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&client_hello(version)).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert_eq!((answer.first(), answer.last()), (Some(&21), Some(&PROTOCOL_VERSION)), "{answer:?}");
    is_well(&served).await;
}

#[tokio::test]
async fn takes_tls_on_a_plain_port_for_nothing() {
    let served = super::serve_plain(Router::new());
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&client_hello(3)).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    until("it is gone", async || served.connections.open() == 0).await;
}

#[tokio::test]
async fn forgets_who_closes_half_of_a_connection() {
    let served = webhook();
    for bytes in [&b""[..], b"POST /valid", &with("content-length: 10\r\n", b"{"), &chunked("", "5\r\n{")] {
        let mut stream = dial_http1(&served).await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        until("it is gone", async || served.connections.open() == 0).await;
    }
    is_well(&served).await;
}
