//! HTTP/2 that no client of good will speaks, frame by frame.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::hostile::{is_well, webhook};
use super::{Served, dial, soon};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK: `POST https://q/validate`, and these bytes more.
fn fields(more: &[u8]) -> Vec<u8> {
    [&[0x83, 0x87, 0x44, 9][..], b"/validate", &[0x41, 1], b"q", more].concat()
}

/// HPACK: a header with a value of so many bytes, 127 and more, that no table keeps.
fn field(length: usize) -> Vec<u8> {
    let mut bytes = vec![0, 1, b'x', 0x7f];
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes.resize(bytes.len() + length, b'y');
    bytes
}

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(&[]))
}

/// The kinds of the frames that come back until the connection ends or nothing more comes, and the error that a GOAWAY says.
async fn answers(served: &Served, frames: &[u8]) -> (Vec<u8>, Option<u32>) {
    let mut stream = soon(dial(served.address, &served.made.ca, &["h2"])).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    // It may end in the middle, or stop reading.
    let _ = timeout(Duration::from_secs(5), async {
        stream.write_all(frames).await?;
        stream.flush().await
    })
    .await;
    let mut bytes = Vec::new();
    while let Ok(Ok(1..)) = timeout(Duration::from_secs(2), stream.read_buf(&mut bytes)).await {}
    let (mut kinds, mut error, mut rest) = (Vec::new(), None, &bytes[..]);
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if payload.len() < length {
            break;
        }
        if *kind == GOAWAY {
            error = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        kinds.push(*kind);
        rest = &payload[length..];
    }
    (kinds, error)
}

#[tokio::test]
async fn ends_who_takes_requests_back_as_fast_as_they_are_sent() {
    let served = webhook();
    let mut frames = Vec::new();
    for stream in (1..20_000).step_by(2) {
        frames.extend([request(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat());
    }
    let (kinds, error) = answers(&served, &frames).await;
    assert_eq!(error, Some(ENHANCE_YOUR_CALM), "{kinds:?}");
    is_well(&served).await;
}

/// Resets that the server has to send, here since a window overflows, are counted likewise ("made you reset").
#[tokio::test]
async fn ends_who_makes_the_server_reset_its_requests() {
    let served = webhook();
    let mut frames = Vec::new();
    for stream in (1..20_000).step_by(2) {
        frames.extend([request(stream), frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat());
    }
    let (kinds, error) = answers(&served, &frames).await;
    assert_eq!(error, Some(ENHANCE_YOUR_CALM), "{kinds:?}");
    is_well(&served).await;
}

#[tokio::test]
async fn ends_a_head_that_goes_on_for_ever() {
    let served = webhook();
    let mut frames = frame(HEADERS, 0, 1, &fields(&[]));
    for _ in 0..2_000 {
        frames.extend(frame(CONTINUATION, 0, 1, &field(1_000)));
    }
    let (kinds, error) = answers(&served, &frames).await;
    assert!(error.is_some(), "{kinds:?}");
    is_well(&served).await;
}

#[tokio::test]
async fn refuses_a_head_that_is_too_long() {
    let served = webhook();
    let long = [fields(&[]), field(10_000), field(10_000)].concat();
    let (first, rest) = long.split_at(16_000);
    let frames = [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, rest)].concat();
    let (kinds, error) = answers(&served, &frames).await;
    assert!(kinds.contains(&HEADERS) || kinds.contains(&RST_STREAM) || error.is_some(), "{kinds:?}");
    is_well(&served).await;
}

#[tokio::test]
async fn opens_no_more_streams_than_it_said() {
    let served = webhook();
    let frames: Vec<u8> = (1..2_000).step_by(2).flat_map(request).collect();
    let (kinds, _) = answers(&served, &frames).await;
    assert!(kinds.contains(&RST_STREAM), "{kinds:?}");
    is_well(&served).await;
}

/// Frames that need an answer, or none, by the thousand and out of order.
#[tokio::test]
async fn survives_floods_and_nonsense() {
    let served = webhook();
    let many = |frame: Vec<u8>| frame.repeat(20_000);
    let floods = [
        many(frame(PING, 0, 0, &[0; 8])),
        many(frame(SETTINGS, 0, 0, &[])),
        many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        [request(1), many(frame(DATA, 0, 1, &[]))].concat(),
        frame(DATA, 0, 1, b"before its head"),
        frame(HEADERS, END_HEADERS, 2, &fields(&[])),
        frame(CONTINUATION, END_HEADERS, 1, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(99, 0xff, 7, &[0; 100]),
        [request(1), request(1)].concat(),
        [&[0xff, 0xff, 0xff][..], &[HEADERS, 0, 0, 0, 0, 1]].concat(),
        frame(HEADERS, END_HEADERS, 1, &[0xff; 500]),
        b"POST /validate HTTP/1.1\r\nhost: q\r\n\r\n".to_vec(),
    ];
    for frames in &floods {
        answers(&served, frames).await;
        is_well(&served).await;
    }
}
