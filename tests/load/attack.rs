//! What the second process does to Quorate.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::client::{Client, head, post, review};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// 10,000 connections that ask nothing; whichever is closed comes again
    Idle,
    /// The same, with a limit under which all of them may stay
    IdleAllKept,
    /// 1,000 clients that send a head, a byte a second
    SlowHeads,
    /// 1,000 clients that send a body of 6 MiB, a KiB a second
    SlowBodies,
    /// 32 clients that send 6 of 7 MiB at once, and then nothing
    StalledBodies,
    /// 24 MiB again and again, by 32 clients, half of which don't say how long it is
    LongBodies,
    /// 6 MiB of `{"a":0},` again and again, by 16 clients
    ManyValues,
    /// Connections, as many as can be made
    Handshakes,
}

impl Scenario {
    pub(crate) const ALL: [Self; 8] = [
        Self::Idle,
        Self::IdleAllKept,
        Self::SlowHeads,
        Self::SlowBodies,
        Self::StalledBodies,
        Self::LongBodies,
        Self::ManyValues,
        Self::Handshakes,
    ];

    /// What `quorate serve` needs to be told.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        if self == Self::IdleAllKept { &["--max-connections", "12000"] } else { &[] }
    }

    /// How many attack.
    pub(crate) fn clients(self) -> usize {
        match self {
            Self::Idle | Self::IdleAllKept => 10_000,
            Self::SlowHeads | Self::SlowBodies => 1_000,
            Self::StalledBodies | Self::LongBodies => 32,
            Self::ManyValues => 16,
            Self::Handshakes => 64,
        }
    }

    /// How long a client that was cut off stays away.
    fn pause(self) -> Duration {
        match self {
            Self::Idle | Self::IdleAllKept => Duration::from_secs(20),
            Self::SlowHeads | Self::SlowBodies => Duration::from_secs(1),
            Self::StalledBodies | Self::LongBodies | Self::ManyValues | Self::Handshakes => Duration::ZERO,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use clap::ValueEnum as _;
        formatter.write_str(self.to_possible_value().unwrap().get_name())
    }
}

#[derive(Default)]
struct Counts {
    dialled: AtomicUsize,
    refused: AtomicUsize,
    ended: AtomicUsize,
    open: AtomicUsize,
}

/// Attacks until stdin ends; says `ready` once all clients have begun, and at the end what was done.
pub(crate) async fn run(scenario: Scenario, clients: usize, address: SocketAddr, ca: &Path) {
    let client = Client::new(address, ca);
    let counts = Arc::new(Counts::default());
    let bodies = Arc::new(Bodies::new());
    for number in 0..clients {
        let (client, counts, bodies) = (client.clone(), Arc::clone(&counts), Arc::clone(&bodies));
        tokio::spawn(async move {
            // So that each is at another point.
            sleep(scenario.pause() * u32::try_from(number).unwrap() / 10_000).await;
            loop {
                counts.dialled.fetch_add(1, Ordering::Relaxed);
                match timeout(Duration::from_secs(20), client.dial()).await {
                    Ok(Ok(mut stream)) => {
                        counts.open.fetch_add(1, Ordering::Relaxed);
                        let _ = attack(scenario, number, &mut stream, &bodies).await;
                        counts.open.fetch_sub(1, Ordering::Relaxed);
                        counts.ended.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => drop(counts.refused.fetch_add(1, Ordering::Relaxed)),
                }
                sleep(scenario.pause()).await;
            }
        });
    }
    while counts.open.load(Ordering::Relaxed) + counts.ended.load(Ordering::Relaxed) < clients {
        sleep(Duration::from_millis(50)).await;
    }
    println!("ready");
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
    let [dialled, refused, ended, open] =
        [&counts.dialled, &counts.refused, &counts.ended, &counts.open].map(|count| count.load(Ordering::Relaxed));
    println!("{dialled} dials, {refused} refused, {ended} ended, {open} open");
    std::process::exit(0);
}

struct Bodies {
    values: Vec<u8>,
}

impl Bodies {
    fn new() -> Self {
        let values = format!("[{}0]", r#"{"a":0},"#.repeat((6 << 20) / 8));
        Self { values: post("/mutate?timeout=30s", &review(&values)) }
    }
}

async fn attack(
    scenario: Scenario,
    number: usize,
    stream: &mut TlsStream<TcpStream>,
    bodies: &Bodies,
) -> std::io::Result<()> {
    match scenario {
        Scenario::Idle | Scenario::IdleAllKept => drop(stream.read(&mut [0; 1]).await?),
        Scenario::SlowHeads => {
            for byte in head("/validate?timeout=30s").into_bytes().iter().cycle() {
                stream.write_all(&[*byte]).await?;
                ended(stream, Duration::from_secs(1)).await?;
            }
        }
        Scenario::SlowBodies => {
            stream
                .write_all(format!("{}content-length: 6291456\r\n\r\n", head("/validate?timeout=30s")).as_bytes())
                .await?;
            loop {
                stream.write_all(&[b' '; 1024]).await?;
                ended(stream, Duration::from_secs(1)).await?;
            }
        }
        Scenario::StalledBodies => {
            stream
                .write_all(format!("{}content-length: 7340032\r\n\r\n", head("/validate?timeout=30s")).as_bytes())
                .await?;
            stream.write_all(&vec![b' '; 6 << 20]).await?;
            ended(stream, Duration::from_mins(1)).await?;
        }
        Scenario::LongBodies => {
            let chunk = vec![b' '; 1 << 20];
            if number.is_multiple_of(2) {
                stream.write_all(format!("{}content-length: 25165824\r\n\r\n", head("/validate")).as_bytes()).await?;
            } else {
                stream
                    .write_all(format!("{}transfer-encoding: chunked\r\n\r\n1800000\r\n", head("/validate")).as_bytes())
                    .await?;
            }
            for _ in 0..24 {
                stream.write_all(&chunk).await?;
            }
            let _answered = stream.read(&mut [0; 64]).await?;
        }
        Scenario::ManyValues => {
            stream.write_all(&bodies.values).await?;
            let _answered = stream.read(&mut [0; 64]).await?;
        }
        Scenario::Handshakes => {}
    }
    Ok(())
}

/// An error once the connection has ended, or an answer came.
async fn ended(stream: &mut TlsStream<TcpStream>, within: Duration) -> std::io::Result<()> {
    match timeout(within, stream.read(&mut [0; 64])).await {
        Err(_) => Ok(()),
        Ok(_) => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}
