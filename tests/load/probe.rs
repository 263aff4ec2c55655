//! The client that means well: reviews over connections that it keeps, and now and then over one of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::client::TlsStream;

use crate::client::{Client, post, review};

/// Connections that are kept, and how often each is used.
const KEPT: usize = 4;
const PACE: Duration = Duration::from_millis(20);

/// How often a new connection is made.
const PACE_OF_NEW: Duration = Duration::from_millis(100);

/// The API server's patience with this webhook.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Probe {
    client: Client,
    request: Vec<u8>,
}

/// What was measured, sorted, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) kept: Vec<u64>,
    pub(crate) new: Vec<u64>,
    /// Requests without the right answer in time.
    pub(crate) failed: usize,
    /// Kept connections that had to be made again.
    pub(crate) cut: usize,
}

impl Probe {
    pub(crate) fn new(address: SocketAddr, ca: &Path) -> Self {
        Self { client: Client::new(address, ca), request: post("/validate?timeout=3s", &review("")) }
    }

    pub(crate) async fn run(&self, time: Duration) -> Times {
        let until = Instant::now() + time;
        let kept = futures::future::join_all((0..KEPT).map(|_| self.keep(until)));
        let (kept, new) = futures::join!(kept, self.renew(until));
        let mut all = new;
        for mut times in kept {
            all.kept.append(&mut times.kept);
            all.failed += times.failed;
            all.cut += times.cut;
        }
        all.kept.sort_unstable();
        all.new.sort_unstable();
        all
    }

    async fn keep(&self, until: Instant) -> Times {
        let mut times = Times::default();
        let mut stream = None;
        let mut pace = pace(PACE);
        while Instant::now() < until {
            pace.tick().await;
            let began = Instant::now();
            if stream.is_none() {
                stream = timeout(PATIENCE, self.client.dial()).await.ok().and_then(Result::ok);
            }
            let Some(mut kept) = stream.take() else {
                times.failed += 1;
                continue;
            };
            match timeout(PATIENCE, ask(&mut kept, &self.request)).await {
                Ok(Ok(true)) => {
                    times.kept.push(micros(began));
                    stream = Some(kept);
                }
                Ok(Ok(false)) => times.failed += 1,
                _ => {
                    times.failed += 1;
                    times.cut += 1;
                }
            }
        }
        times
    }

    async fn renew(&self, until: Instant) -> Times {
        let mut times = Times::default();
        let mut pace = pace(PACE_OF_NEW);
        while Instant::now() < until {
            pace.tick().await;
            let began = Instant::now();
            let answered = timeout(PATIENCE, async { ask(&mut self.client.dial().await?, &self.request).await });
            match answered.await {
                Ok(Ok(true)) => times.new.push(micros(began)),
                _ => times.failed += 1,
            }
        }
        times
    }
}

/// Whether the answer is a decision.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> std::io::Result<bool> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            let length: usize =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().trim().parse().unwrap();
            if answer.len() >= end + 4 + length {
                return Ok(head.starts_with("http/1.1 200"));
            }
        }
    }
}

fn pace(every: Duration) -> tokio::time::Interval {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap()
}
