//! A process of Quorate, from outside: how soon it is ready, and what memory it takes.

use std::fs;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::contestants::{review, straight};
use crate::controlplane::Quorate;
use crate::controlplane::quorate::http_get;

/// How often it is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(2);

/// For what is only needed while it starts to be given back.
const REST: Duration = Duration::from_secs(2);

/// How many connections ask it at once.
const CONNECTIONS: usize = 16;

/// How it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// From the start of the process until all caches were listed.
    pub(crate) listed: Duration,
    /// From then until it said that it is ready.
    pub(crate) ready: Duration,
}

/// What memory it takes, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// The most that it ever took.
    pub(crate) peak: f64,
}

/// Ends the process and starts it anew; how that went.
pub(crate) fn restart(quorate: &mut Quorate<'_>) -> Start {
    quorate.terminate().unwrap();
    let started = Instant::now();
    quorate.start_unawaited().unwrap();
    let mut listed = None;
    loop {
        if let Ok((status, parts)) = http_get(quorate.admin_port(), "/readyz?verbose") {
            let now = started.elapsed();
            // Parts that aren't known yet aren't there.
            let caches: Vec<_> = parts.lines().filter(|line| line.contains("cache-")).collect();
            if listed.is_none() && !caches.is_empty() && caches.iter().all(|cache| cache.starts_with("[+]")) {
                listed = Some(now);
            }
            if let (200, Some(listed)) = (status, listed) {
                return Start { listed, ready: now.checked_sub(listed).unwrap() };
            }
        }
        quorate.process().check().unwrap();
        std::thread::sleep(LOOK);
    }
}

/// What memory it takes now.
pub(crate) fn memory(quorate: &Quorate<'_>) -> Memory {
    let status = fs::read_to_string(format!("/proc/{}/status", quorate.pid())).unwrap();
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    Memory { resident: mebibytes("VmRSS:"), peak: mebibytes("VmHWM:") }
}

/// The same, once it has had time to settle.
pub(crate) async fn settled(quorate: &Quorate<'_>) -> Memory {
    tokio::time::sleep(REST).await;
    memory(quorate)
}

/// Sends it so many reviews of a StatefulSet in this Namespace, half of them to be mutated, sixteen at once.
pub(crate) async fn ask(quorate: &Quorate<'_>, namespace: &str, requests: usize) {
    let (client, review) = (straight(quorate), review(namespace));
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, review): (Client, _) = (client.clone(), review.clone());
            tokio::spawn(async move {
                let mut connection = client.connect().await;
                for number in 0..requests / CONNECTIONS {
                    let path = if number % 2 == 0 { "/mutate?timeout=3s" } else { "/validate?timeout=3s" };
                    let answer = connection.post(path, review.clone()).await;
                    let text = String::from_utf8_lossy(&answer.body);
                    assert!(answer.json()["response"]["allowed"] == true, "{path}: {text}");
                }
            })
        })
        .collect();
    for asked in asking {
        asked.await.unwrap();
    }
}
